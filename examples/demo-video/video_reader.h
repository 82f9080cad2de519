// Decodes a video, frame by frame.
//
//   VideoReader reader = VideoReader::of_file("scenes.webm");
//   while (const auto frame = reader.next()) ... frame->picture, frame->pts
#pragma once

#include <gst/gst.h>

#include <cstdint>
#include <opencv2/core.hpp>
#include <optional>
#include <string>

#include "gst_ref.h"

namespace scenes {

struct VideoFrame {
  cv::Mat picture;        // 8-bit BGR, its own memory
  std::uint64_t pts = 0;  // ns
};

// gst_init() must have been called. Every function but the destructor throws std::runtime_error
// that names the source if it cannot be understood or decoded. Thread-safety: one thread at a time.
class VideoReader {
 public:
  static VideoReader of_file(const std::string &file);

  // `source`: what gives raw video, as in gst-launch-1.0; must end by itself.
  static VideoReader of_launch(const std::string &source);

  VideoReader(VideoReader &&) = default;
  VideoReader &operator=(VideoReader &&) = delete;
  ~VideoReader();

  // The next frame, or nothing behind the last.
  std::optional<VideoFrame> next();

 private:
  VideoReader(std::string name, const std::string &source);

  std::string name_;  // for errors
  GstRef<GstElement> pipeline_;
  GstRef<GstElement> sink_;
};

}  // namespace scenes
