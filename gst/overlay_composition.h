// Layers as a GstVideoOverlayComposition, for a sink that puts pictures over the video itself.
// Thread-safety: functions are safe on distinct buffers.
#pragma once

#include <gst/video/video.h>

#include <memory>
#include <span>

#include "overlay_layer.h"

namespace moondream::overlay {

struct ReleaseComposition {
  void operator()(GstVideoOverlayComposition *composition) const {
    gst_video_overlay_composition_unref(composition);
  }
};
using CompositionPtr = std::unique_ptr<GstVideoOverlayComposition, ReleaseComposition>;

// One rectangle for each layer, bottom first, in pixels of the frame. It shares the bitmaps. Null
// without layers. Who shows it may keep what it made of it for as long as it sees the same object.
CompositionPtr make_composition(std::span<const Layer> layers);

// Puts `composition` on a writable buffer, over one that is there already.
void attach_composition(GstBuffer *buffer, GstVideoOverlayComposition *composition);

// The caps with the feature that says that buffers may carry compositions: of those that are not of
// single fields. Transfer full.
GstCaps *with_composition(const GstCaps *caps);

// The caps without that feature. Transfer full.
GstCaps *without_composition(const GstCaps *caps);

bool has_composition(const GstCaps *caps);

}  // namespace moondream::overlay
