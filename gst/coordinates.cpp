#include "coordinates.h"

#include <gst/video/gstvideometa.h>
#include <gst/video/video.h>

#include <algorithm>
#include <cmath>
#include <mutex>

namespace moondream {
namespace {

constexpr const char *kMetaName = "moondream-coordinates";
// Of borders: scalers round the size of the picture to whole pixels, and borders come of that.
constexpr double kRounding = 1;

struct Picture {
  int width = 0, height = 0;
  Drift drift;
};

// Beyond the picture nothing is known any more.
bool is_within(double drift) { return drift >= 0 && drift <= 1; }

std::optional<Picture> read(const GstStructure *structure) {
  Picture picture;
  const bool complete = structure && gst_structure_get_int(structure, "width", &picture.width) &&
                        gst_structure_get_int(structure, "height", &picture.height) &&
                        gst_structure_get_double(structure, "drift-x", &picture.drift.x) &&
                        gst_structure_get_double(structure, "drift-y", &picture.drift.y) &&
                        is_within(picture.drift.x) && is_within(picture.drift.y);
  return complete ? std::optional(picture) : std::nullopt;
}

void write(GstBuffer *buffer, const Picture &picture) {
  GstCustomMeta *meta = gst_buffer_add_custom_meta(buffer, kMetaName);
  gst_structure_set(gst_custom_meta_get_structure(meta), "width", G_TYPE_INT, picture.width,
                    "height", G_TYPE_INT, picture.height, "drift-x", G_TYPE_DOUBLE, picture.drift.x,
                    "drift-y", G_TYPE_DOUBLE, picture.drift.y, nullptr);
}

// Width over height, as it is shown.
double aspect_of(const GstVideoInfo &info) {
  return static_cast<double>(info.width) * info.par_n /
         (static_cast<double>(info.height) * info.par_d);
}

// Whether all of a picture of `in` fills one of `out` without being distorted: then there is no
// reason for borders.
bool fills(const GstVideoInfo &in, const GstVideoInfo &out) {
  const double wider = aspect_of(in) / aspect_of(out);
  const double border = wider > 1 ? out.height * (1 - 1 / wider) : out.width * (1 - wider);
  return border <= kRounding;  // false of NaN
}

// A scaler mixes pixels with their neighbours and rounds to pixels: what is drawn at an edge
// reaches up to a pixel of the smaller picture beyond it.
double drift_between(int in, int out) { return in == out ? 0 : 1.0 / std::min(in, out); }

std::optional<Picture> scaled(const Picture &picture, const GstVideoMetaTransform &transform) {
  const GstVideoInfo &in = *transform.in_info, &out = *transform.out_info;
  if (in.width != picture.width || in.height != picture.height || !fills(in, out))
    return std::nullopt;
  return Picture{out.width,
                 out.height,
                 {picture.drift.x + drift_between(in.width, out.width),
                  picture.drift.y + drift_between(in.height, out.height)}};
}

gboolean transform_coordinates(GstBuffer *target, GstCustomMeta *meta, GstBuffer *, GQuark type,
                               gpointer data, gpointer) {
  // An element that merges buffers keeps those of the first, as it does with the sentinel.
  if (gst_buffer_get_custom_meta(target, kMetaName)) return TRUE;
  std::optional<Picture> picture = read(gst_custom_meta_get_structure(meta));
  if (picture && GST_VIDEO_META_TRANSFORM_IS_SCALE(type)) {
    picture = scaled(*picture, *static_cast<const GstVideoMetaTransform *>(data));
  } else if (!GST_META_TRANSFORM_IS_COPY(type)) {
    return FALSE;
  }
  if (picture) write(target, *picture);
  return picture.has_value();
}

}  // namespace

void register_coordinates_meta() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Another module of this process that holds this code may have done it.
    if (gst_meta_get_info(kMetaName)) return;
    const gchar *tags[] = {GST_META_TAG_VIDEO_STR, GST_META_TAG_VIDEO_SIZE_STR,
                           GST_META_TAG_VIDEO_ORIENTATION_STR, nullptr};
    gst_meta_register_custom(kMetaName, tags, transform_coordinates, nullptr, nullptr);
  });
}

void attach_coordinates(GstBuffer *buffer, int width, int height) {
  register_coordinates_meta();
  if (GstCustomMeta *old = gst_buffer_get_custom_meta(buffer, kMetaName))
    gst_buffer_remove_meta(buffer, &old->meta);
  write(buffer, {width, height, {}});
}

std::optional<Drift> drift_of(GstBuffer *buffer, int width, int height) {
  register_coordinates_meta();
  GstCustomMeta *meta = gst_buffer_get_custom_meta(buffer, kMetaName);
  const auto picture = meta ? read(gst_custom_meta_get_structure(meta)) : std::nullopt;
  if (!picture || picture->width != width || picture->height != height) return std::nullopt;
  return picture->drift;
}

Box widened(const Box &box, const Drift &drift) {
  return {box.x_min - drift.x, box.y_min - drift.y, box.x_max + drift.x, box.y_max + drift.y};
}

}  // namespace moondream
