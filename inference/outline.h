// Outlines as pixels, and pixels as outlines.
// Thread-safety: all functions are safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "types.h"

namespace moondream {

// Which pixels of a picture belong to an object: 1, others 0; rows tightly packed.
struct Mask {
  int width = 0;   // pixels, >= 1
  int height = 0;  // pixels, >= 1
  std::vector<std::uint8_t> pixels;

  std::uint8_t at(int x, int y) const {
    return pixels[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                  static_cast<std::size_t>(x)];
  }
  bool empty() const;  // no pixel belongs to it
};

// The pixels of which an outline covers more than half, by the nonzero winding rule. `path` is data
// of an SVG path in fractions of `box`; as SVG says, it is drawn up to the first thing in it that
// cannot be read.
Mask fill_outline(std::string_view path, const Box &box, int width, int height);

// The other way round: the edges between the mask's pixels and others as closed polygons, holes the
// other way about, less corners that are within 0.75 pixels of the line without them. Their box is
// that of the pixels. Of an empty mask: no box, no path.
SegmentResult trace_outline(const Mask &mask);

}  // namespace moondream
