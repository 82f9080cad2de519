// Colours in the components that a video format unpacks to.
#pragma once

#include <gst/video/video.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

namespace moondream {

// From RGB to the components of frames of one GstVideoInfo, with its matrix and range. Formats
// without colour unpack to Y, U, V, too.
// Thread-safety: safe.
class FrameColour {
 public:
  explicit FrameColour(const GstVideoInfo &info);

  // A and the three others as deep as the format unpacks (T: see unpacked_bits()), premultiplied as
  // `argb` is: 0xAARRGGBB, no component above its alpha. An opaque colour is simply itself.
  template <typename T>
  std::array<T, 4> unpacked(std::uint32_t argb) const {
    constexpr double kMax = std::numeric_limits<T>::max();
    const double alpha = (argb >> 24) / 255.0;
    const double r = argb >> 16 & 255, g = argb >> 8 & 255, b = argb & 255;
    std::array<T, 4> out = {static_cast<T>(std::lround(alpha * kMax))};
    for (int c = 0; c < 3; ++c) {
      const double value =
          alpha * offset_[c] + weights_[c][0] * r + weights_[c][1] * g + weights_[c][2] * b;
      // Rounding must not lift a colour above what its alpha allows.
      out[c + 1] = static_cast<T>(std::lround(std::clamp(value, 0.0, alpha * kMax)));
    }
    return out;
  }

 private:
  // Each component is alpha * offset + a weighted sum of R, G and B.
  std::array<double, 3> offset_;                  // of full alpha, in units of T
  std::array<std::array<double, 3>, 3> weights_;  // of R, G, B in [0, 255]
};

}  // namespace moondream
