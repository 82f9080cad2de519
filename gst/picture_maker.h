// Pictures for the model, made of frames on any thread.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <memory>
#include <mutex>
#include <vector>

#include "frame_view.h"
#include "gstmoondreamframe.h"
#include "stored_frame.h"
#include "types.h"

namespace moondream {

// For frames, or single fields, of one format and size.
// Thread-safety: safe. Several threads convert at the same time, each with its own converter.
class PictureMaker {
 public:
  // `caps` of the stream. Of interlace-mode alternate, each buffer holds one field.
  explicit PictureMaker(const GstVideoInfo &caps);

  // Rows and columns that a buffer holds.
  int width() const { return GST_VIDEO_INFO_WIDTH(&stored_.info); }
  int height() const { return GST_VIDEO_INFO_HEIGHT(&stored_.info); }

  // What a buffer holds.
  const StoredFrame &stored() const { return stored_; }

  // How a buffer is to be seen: what its GstVideoCropMeta leaves, with the aspect of the caps.
  FrameView view(GstBuffer *buffer, const Orientation &orientation) const;

  // What a model sees of a buffer, which is not modified. Throws FrameError.
  std::shared_ptr<const Image> picture(GstBuffer *buffer, const FrameView &view);

 private:
  const StoredFrame stored_;
  const double pixel_aspect_;

  std::mutex lock_;
  std::vector<std::unique_ptr<FrameConverter>> idle_;  // lock_
};

}  // namespace moondream
