// The currency of the drawing code: small pictures with a place on the frame.
// Thread-safety: values; bitmaps are shared const.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace moondream::overlay {

// Opaque sRGB.
struct Colour {
  std::uint8_t r = 0, g = 0, b = 0;

  bool operator==(const Colour &) const = default;
};

// Premultiplied 0xAARRGGBB, rows tightly packed, top row first: what Cairo calls ARGB32.
struct Bitmap {
  int width = 0;                      // pixels, >= 1
  int height = 0;                     // pixels, >= 1
  std::vector<std::uint32_t> pixels;  // [height, width]
};

// A bitmap with its top left corner at pixel (x, y) of the frame. It may reach over the frame's
// edges: what is outside is not drawn.
struct Layer {
  int x = 0, y = 0;
  std::shared_ptr<const Bitmap> bitmap;
};

// Pixels [x_min, x_max) x [y_min, y_max) of a frame.
struct PixelRect {
  int x_min = 0, y_min = 0, x_max = 0, y_max = 0;

  int width() const { return x_max - x_min; }
  int height() const { return y_max - y_min; }
  bool empty() const { return x_min >= x_max || y_min >= y_max; }
  bool intersects(const PixelRect &o) const {
    return x_min < o.x_max && o.x_min < x_max && y_min < o.y_max && o.y_min < y_max;
  }
  bool operator==(const PixelRect &) const = default;
};

}  // namespace moondream::overlay
