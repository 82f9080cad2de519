// A buffer's memory as a video frame.
#pragma once

#include <gst/base/gstbasetransform.h>
#include <gst/video/video.h>

#include <string>

#include "stored_frame.h"

namespace moondream {

// Format and size in words, for error messages.
std::string describe(const GstVideoInfo &info);

// Keeps a buffer mapped as a frame.
// Thread-safety: one thread at a time.
class MappedFrame {
 public:
  // A GstVideoMeta says what is in a buffer, where the planes are and how wide their rows. Mapping
  // believes it, so it is held against `info`, and then against the memory that is really there.
  // Throws FrameError if the buffer cannot be mapped, or holds less or something else than `info`
  // says. It must be writable if `flags` have GST_MAP_WRITE, and outlives the object.
  // whole_height: where `info` is that of a single field, of the frame; metas may say either.
  MappedFrame(const GstVideoInfo &info, GstBuffer *buffer, GstMapFlags flags, int whole_height = 0);
  MappedFrame(const StoredFrame &stored, GstBuffer *buffer, GstMapFlags flags)
      : MappedFrame(stored.info, buffer, flags, stored.whole_height) {}
  ~MappedFrame() { gst_video_frame_unmap(&frame_); }
  MappedFrame(const MappedFrame &) = delete;
  MappedFrame &operator=(const MappedFrame &) = delete;

  GstVideoFrame *get() { return &frame_; }

 private:
  GstVideoFrame frame_;
};

// Takes GstVideoCropMeta off downstream's answer to an ALLOCATION query: whoever crops by it leaves
// frames as they are and makes the caps smaller, so that they are no longer mapped by the caps.
void refuse_crop_meta(GstQuery *query);

// propose_allocation() of a class right below GstBaseTransform: what that proposes, but
// GstVideoCropMeta.
gboolean propose_without_crop(GstBaseTransform *transform, GstQuery *decided, GstQuery *query);

// Whether plane `plane` of a mapped frame has memory of its own for `rows` rows. Of frames in
// fields GStreamer rounds the rows of chroma up to even numbers, and reads what is in them: four
// rows of 4:2:0 share two rows of chroma, and so do the last two of 4n + 2.
bool has_rows(const GstVideoFrame &frame, int plane, int rows);

}  // namespace moondream
