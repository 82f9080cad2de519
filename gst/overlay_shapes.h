// Lines and dots as layers: box outlines, point markers and rays, each with a translucent dark rim
// so that it is seen on a ground of its own colour.
// Thread-safety: safe.
#pragma once

#include <vector>

#include "overlay_layer.h"

namespace moondream::overlay {

// A pen as it looks on a display; on a frame whose pixels are not square its width in columns is
// `width * x_scale`.
struct Pen {
  Colour colour;
  double width = 1;    // rows, >= 1
  double x_scale = 1;  // > 0, 1 / pixel aspect ratio

  int columns() const;  // >= 1
  int rows() const;     // >= 1
  // The rim's width, less than the line's.
  int rim_columns() const;
  int rim_rows() const;
};

// The outline of `box` within a frame of width x height pixels. It runs just outside the box, so
// that what the box is about stays visible, and just inside at those edges of the frame where there
// is no room. Nothing for a box that has no pixel in the frame. Appends to `layers`; returns the
// line's outer rectangle.
PixelRect add_outline(const PixelRect &box, const Pen &pen, int width, int height,
                      std::vector<Layer> *layers);

// A disc of `radius` rows about the centre of pixel (x, y), with a white ring. Appends to `layers`;
// returns what is covered.
PixelRect add_dot(int x, int y, double radius, const Pen &pen, std::vector<Layer> *layers);

// A line between the centres of two pixels of the frame, in strips, for its bounding box may be
// large and empty. Appends to `layers`.
void add_ray(int x0, int y0, int x1, int y1, const Pen &pen, std::vector<Layer> *layers);

}  // namespace moondream::overlay
