#include "overlay_composition.h"

namespace moondream::overlay {
namespace {

constexpr const char *kFeature = GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION;

using SharedBitmap = std::shared_ptr<const Bitmap>;

// The pixels of a bitmap, which lives as long as they are used.
GstBuffer *wrap(const SharedBitmap &bitmap) {
  const gsize size = bitmap->pixels.size() * sizeof bitmap->pixels[0];
  // Read-only, so nothing writes through the pointer.
  GstBuffer *buffer = gst_buffer_new_wrapped_full(
      GST_MEMORY_FLAG_READONLY, const_cast<std::uint32_t *>(bitmap->pixels.data()), size, 0, size,
      new SharedBitmap(bitmap), [](gpointer owner) { delete static_cast<SharedBitmap *>(owner); });
  gst_buffer_add_video_meta(buffer, GST_VIDEO_FRAME_FLAG_NONE,
                            GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB,
                            static_cast<guint>(bitmap->width), static_cast<guint>(bitmap->height));
  return buffer;
}

GstVideoOverlayRectangle *new_rectangle(const Layer &layer) {
  GstBuffer *pixels = wrap(layer.bitmap);
  GstVideoOverlayRectangle *rectangle = gst_video_overlay_rectangle_new_raw(
      pixels, layer.x, layer.y, static_cast<guint>(layer.bitmap->width),
      static_cast<guint>(layer.bitmap->height), GST_VIDEO_OVERLAY_FORMAT_FLAG_PREMULTIPLIED_ALPHA);
  gst_buffer_unref(pixels);
  return rectangle;
}

}  // namespace

CompositionPtr make_composition(std::span<const Layer> layers) {
  CompositionPtr composition;
  for (const Layer &layer : layers) {
    GstVideoOverlayRectangle *rectangle = new_rectangle(layer);
    if (composition) {
      gst_video_overlay_composition_add_rectangle(composition.get(), rectangle);
    } else {
      composition.reset(gst_video_overlay_composition_new(rectangle));
    }
    gst_video_overlay_rectangle_unref(rectangle);
  }
  return composition;
}

void attach_composition(GstBuffer *buffer, GstVideoOverlayComposition *composition) {
  GstVideoOverlayCompositionMeta *meta = gst_buffer_get_video_overlay_composition_meta(buffer);
  if (!meta) {
    gst_buffer_add_video_overlay_composition_meta(buffer, composition);
    return;
  }
  GstVideoOverlayComposition *both = gst_video_overlay_composition_copy(meta->overlay);
  const guint count = gst_video_overlay_composition_n_rectangles(composition);
  for (guint i = 0; i < count; ++i) {
    gst_video_overlay_composition_add_rectangle(
        both, gst_video_overlay_composition_get_rectangle(composition, i));
  }
  gst_video_overlay_composition_unref(meta->overlay);
  meta->overlay = both;
}

bool has_composition(const GstCaps *caps) {
  const guint size = gst_caps_get_size(caps);
  for (guint i = 0; i < size; ++i) {
    if (gst_caps_features_contains(gst_caps_get_features(caps, i), kFeature)) return true;
  }
  return false;
}

GstCaps *with_composition(const GstCaps *caps) {
  GstCaps *out = gst_caps_new_empty();
  const guint size = gst_caps_get_size(caps);
  for (guint i = 0; i < size; ++i) {
    const GstCapsFeatures *features = gst_caps_get_features(caps, i);
    if (gst_caps_features_is_any(features)) continue;
    // A rectangle is on a picture, and a buffer with one field is half of it.
    if (gst_caps_features_contains(features, GST_CAPS_FEATURE_FORMAT_INTERLACED)) continue;
    GstCapsFeatures *more = gst_caps_features_copy(features);
    if (!gst_caps_features_contains(more, kFeature)) gst_caps_features_add(more, kFeature);
    gst_caps_append_structure_full(out, gst_structure_copy(gst_caps_get_structure(caps, i)), more);
  }
  return out;
}

GstCaps *without_composition(const GstCaps *caps) {
  GstCaps *out = gst_caps_copy(caps);
  const guint size = gst_caps_get_size(out);
  for (guint i = 0; i < size; ++i) {
    GstCapsFeatures *features = gst_caps_get_features(out, i);
    if (!gst_caps_features_is_any(features)) gst_caps_features_remove(features, kFeature);
  }
  return out;
}

}  // namespace moondream::overlay
