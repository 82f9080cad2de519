#include "mapped_frame.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "gstmoondreamerror.h"

namespace moondream {

std::string describe(const GstVideoInfo &info) {
  return std::string(gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(&info))) + " " +
         std::to_string(GST_VIDEO_INFO_WIDTH(&info)) + "x" +
         std::to_string(GST_VIDEO_INFO_HEIGHT(&info));
}

namespace {

// What the picture takes in a plane, from its first to its last pixel.
struct PlaneSize {
  gsize bytes;
  gsize row_bytes;  // of each row; 0 if the plane has no rows
};

PlaneSize plane_size(const GstVideoInfo &format, const GstVideoFrame &frame, guint plane) {
  const GstVideoFormatInfo *info = format.finfo;
  const gsize stride = static_cast<gsize>(frame.info.stride[plane]);
  if (GST_VIDEO_FORMAT_INFO_HAS_PALETTE(info) && plane == 1) return {256 * 4, 0};
  if (GST_VIDEO_FORMAT_INFO_IS_TILED(info)) {
    return {static_cast<gsize>(GST_VIDEO_TILE_X_TILES(stride)) * GST_VIDEO_TILE_Y_TILES(stride) *
                info->tile_info[plane].size,
            0};
  }
  gsize rows = 0, row_bytes = 0;
  for (guint c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS(info); ++c) {
    if (GST_VIDEO_FORMAT_INFO_PLANE(info, c) != plane) continue;
    rows = std::max<gsize>(rows, GST_VIDEO_FORMAT_INFO_SCALE_HEIGHT(info, c, format.height));
    const gsize pixels = GST_VIDEO_FORMAT_INFO_SCALE_WIDTH(info, c, format.width);
    row_bytes = std::max<gsize>(row_bytes, pixels * GST_VIDEO_FORMAT_INFO_PSTRIDE(info, c));
  }
  // Formats that pack pixels across bytes have no pixel stride, only a usual row.
  if (row_bytes == 0) row_bytes = static_cast<gsize>(format.stride[plane]);
  return {rows == 0 ? 0 : stride * (rows - 1) + std::min(row_bytes, stride), row_bytes};
}

void check_meta(const GstVideoInfo &format, int whole_height, GstBuffer *buffer) {
  const GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);
  if (!meta || (meta->format == GST_VIDEO_INFO_FORMAT(&format) &&
                meta->width == static_cast<guint>(GST_VIDEO_INFO_WIDTH(&format)) &&
                (meta->height == static_cast<guint>(GST_VIDEO_INFO_HEIGHT(&format)) ||
                 meta->height == static_cast<guint>(whole_height)))) {
    return;
  }
  throw FrameError("A buffer holds a " + std::string(gst_video_format_to_string(meta->format)) +
                   " " + std::to_string(meta->width) + "x" + std::to_string(meta->height) +
                   " frame where the caps say " + describe(format) + ".");
}

void check_planes(const GstVideoInfo &format, const GstVideoFrame &frame, bool writing) {
  for (guint plane = 0; plane < GST_VIDEO_FRAME_N_PLANES(&frame); ++plane) {
    // Without a meta there is one map for all planes.
    const GstMapInfo &map = frame.map[frame.meta ? plane : 0];
    const auto *first = static_cast<const guint8 *>(frame.data[plane]);
    const gsize available = static_cast<gsize>(map.data + map.size - first);
    const PlaneSize size = plane_size(format, frame, plane);
    // Whoever reads may do so from rows that overlap; who writes would spoil one with the other.
    const bool overlap = writing && frame.info.stride[plane] < static_cast<gint>(size.row_bytes);
    if (frame.info.stride[plane] < 0 || overlap || size.bytes > available) {
      throw FrameError("Plane " + std::to_string(plane) + " of a " + describe(format) +
                       " frame has " + std::to_string(available) + " bytes, too few for rows of " +
                       std::to_string(frame.info.stride[plane]) + ".");
    }
  }
}

}  // namespace

MappedFrame::MappedFrame(const GstVideoInfo &info, GstBuffer *buffer, GstMapFlags flags,
                         int whole_height) {
  check_meta(info, whole_height, buffer);
  if (!gst_video_frame_map(&frame_, &info, buffer, flags)) {
    throw FrameError("A buffer of " + std::to_string(gst_buffer_get_size(buffer)) +
                     " bytes cannot be mapped as a " + describe(info) + " frame.");
  }
  try {
    check_planes(info, frame_, (flags & GST_MAP_WRITE) != 0);
  } catch (...) {
    gst_video_frame_unmap(&frame_);
    throw;
  }
}

void refuse_crop_meta(GstQuery *query) {
  guint index;
  while (gst_query_find_allocation_meta(query, GST_VIDEO_CROP_META_API_TYPE, &index))
    gst_query_remove_nth_allocation_meta(query, index);
}

gboolean propose_without_crop(GstBaseTransform *transform, GstQuery *decided, GstQuery *query) {
  auto *base = static_cast<GstBaseTransformClass *>(g_type_class_peek(GST_TYPE_BASE_TRANSFORM));
  if (!base->propose_allocation(transform, decided, query)) return FALSE;
  refuse_crop_meta(query);
  return TRUE;
}

bool has_rows(const GstVideoFrame &frame, int plane, int rows) {
  const GstMapInfo &map = frame.map[frame.meta ? plane : 0];
  const auto *begin = static_cast<const guint8 *>(frame.data[plane]);
  const guint8 *end = map.data + map.size;
  for (guint other = 0; other < GST_VIDEO_FRAME_N_PLANES(&frame); ++other) {
    const auto *data = static_cast<const guint8 *>(frame.data[other]);
    if (data > begin) end = std::min(end, data);
  }
  return static_cast<std::ptrdiff_t>(rows) * frame.info.stride[plane] <= end - begin;
}

}  // namespace moondream
