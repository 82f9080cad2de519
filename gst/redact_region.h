// Regions of a frame, and what of the frame they touch.
// Thread-safety: safe.
#pragma once

#include <vector>

namespace moondream::redact {

enum class Shape { kRectangle, kEllipse };

// Pixels [x_min, x_max) x [y_min, y_max), or the ellipse that touches the middles of the four
// sides. It may reach out of the frame or lie outside of it, and is empty if a side is not
// positive.
struct Region {
  int x_min = 0, y_min = 0, x_max = 0, y_max = 0;
  Shape shape = Shape::kRectangle;

  bool operator==(const Region &) const = default;
};

// How a format divides a frame into groups: the smallest blocks of pixels that share no sample with
// pixels outside of them.
struct GroupGrid {
  int columns = 1, rows = 1;  // pixels of a group; those at the right and the bottom may have fewer
  int width = 0, height = 0;  // of the frame, pixels
};

// The groups that a region touches, if only by a part of a pixel.
struct Footprint {
  struct Span {
    int begin = 0, end = 0;  // groups, counted from Footprint::x; none if begin >= end
  };

  int x = 0, y = 0;         // the first group column and row
  int columns = 0;          // of the box around all groups
  std::vector<Span> spans;  // for each group row from y on

  int rows() const { return static_cast<int>(spans.size()); }
  bool empty() const { return columns == 0; }
};

// Empty if the region touches no pixel of the frame.
Footprint footprint_of(const Region &region, const GroupGrid &grid);

}  // namespace moondream::redact
