// How downstream wants frames to be laid out in memory.
#pragma once

#include <gst/gst.h>

#include "picture_maker.h"
#include "pointers.h"

namespace moondream {

// Whoever allocates frames for a moondreamfilter may choose strides and offsets and say so in a
// GstVideoMeta, which the filter reads. Downstream gets the same frames: where it does not read
// that meta it would show them skewed, so the frames that need it are copied for it, as their
// producer would have done without this offer.
//
// Thread-safety: the upstream thread only; ALLOCATION is a serialized query.
class DownstreamLayout {
 public:
  // Adds GstVideoMeta to downstream's answer to ALLOCATION and notes whether it was there, and
  // takes GstVideoCropMeta off. Also if there was no answer: then `query` is as it was asked.
  void propose(GstQuery *query);

  // The frame as it came; or a copy of it, laid out as the caps alone say, if downstream does not
  // read a GstVideoMeta, was asked for that by propose(), and the frame is laid out in another way.
  // Everything but memory and GstVideoMeta is kept. frames: what they are. Throws FrameError if the
  // frame does not hold what its meta says.
  BufferPtr lay_out(BufferPtr frame, const PictureMaker &frames) const;

 private:
  bool reads_meta_ = true;  // as far as anybody asked
};

}  // namespace moondream
