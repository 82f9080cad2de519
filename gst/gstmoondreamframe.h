// Video frames of any format as the pictures that models look at.
#pragma once

#include <gst/video/video.h>

#include <memory>

#include "pointers.h"
#include "types.h"

namespace moondream {

// Every format that FrameConverter reads, for pad templates.
#define GST_MOONDREAM_FRAME_FORMATS GST_VIDEO_FORMATS_ALL
// Frames of these, or single fields.
#define GST_MOONDREAM_FRAME_CAPS                   \
  GST_VIDEO_CAPS_MAKE(GST_MOONDREAM_FRAME_FORMATS) \
  "; " GST_VIDEO_CAPS_MAKE_WITH_FEATURES(          \
      GST_CAPS_FEATURE_FORMAT_INTERLACED,          \
      GST_MOONDREAM_FRAME_FORMATS) ", interlace-mode = (string) alternate"

// Copies frames of one format and size into RGB pictures of the same size.
// Thread-safety: one thread at a time; it keeps scratch memory.
class FrameConverter {
 public:
  // whole_height: where frames are single fields, of what; their metas may say either height.
  // Throws FrameError if GStreamer cannot convert the format.
  explicit FrameConverter(const GstVideoInfo &info, int whole_height = 0);

  // Reads the frame in `buffer`, which is not modified and not kept. Throws FrameError if it
  // cannot be mapped, or holds less or something else than the format says.
  std::shared_ptr<const Image> convert(GstBuffer *buffer) const;

 private:
  GstVideoInfo in_;
  int whole_height_;
  GstVideoInfo out_;  // RGB, rows tightly packed
  ConverterPtr converter_;
};

}  // namespace moondream
