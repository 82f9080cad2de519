// GStreamer's own test video of a ball, and where that is.
#pragma once

#include <vector>

#include "types.h"

namespace scenes {

struct BallFrame {
  moondream::Image image;
  moondream::Box ball;  // fractions [0, 1]
};

// Every tenth frame of `videotestsrc pattern=ball` as it is by itself, 320x240, `count` of them.
// gst_init() must have been called. Throws std::runtime_error if GStreamer cannot make them.
// Thread-safety: safe.
std::vector<BallFrame> ball_frames(int count);

}  // namespace scenes
