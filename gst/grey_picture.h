// Small grey copies of frames, to follow motion on.
#pragma once

#include <gst/video/video.h>

#include <cstdint>
#include <opencv2/core.hpp>
#include <vector>

#include "pointers.h"

namespace moondream {

// Makes them of frames of one format and size. Each pixel is the mean brightness of a square of the
// frame, whose side is the smallest that leaves at most kMaxSize pixels each way. A last column or
// row that would be less than a square is left out, so that a place in the frame is at the same
// fraction of the copy, give or take one pixel of it.
//
// It reads the Y plane of 8-bit YUV and grey formats, and the colours of 8-bit RGB formats, as they
// are in memory: about a quarter of a millisecond for 1080p in I420. GStreamer converts frames of
// all other formats first, which takes several.
//
// Thread-safety: one thread at a time; it keeps scratch memory.
class GreyPicture {
 public:
  static constexpr int kMaxSize = 320;  // pixels

  // Throws FrameError if GStreamer cannot convert the format.
  explicit GreyPicture(const GstVideoInfo &info);

  // A new 8-bit picture. `buffer` is not modified and not kept. Throws FrameError as MappedFrame
  // does.
  cv::Mat of(GstBuffer *buffer);

 private:
  cv::Mat reduce(const GstVideoFrame &frame);

  GstVideoInfo info_;
  GstVideoInfo grey_;                // of the frames that converter_ makes
  ConverterPtr converter_;           // null: the format is read as it is
  BufferPtr converted_;              // scratch, if there is a converter
  cv::Size size_;                    // of the copies
  int square_;                       // side, pixels of the frame
  std::vector<std::uint16_t> sums_;  // scratch: of the bytes of a row of squares
};

}  // namespace moondream
