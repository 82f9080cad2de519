// Path data as straight lines.
#pragma once

#include <string_view>
#include <vector>

#include "types.h"

namespace moondream {

// Corners in the path's own coordinates, y downwards; the last one is joined to the first.
using Polygon = std::vector<Point>;

// The subpaths of SVG path data, each closed. A curve is 16 lines, and so is a quarter of an arc's
// ellipse: its polygon is within 0.13 % of the radius of it. As SVG says, the path is drawn up to
// the first thing in it that cannot be read. Corners may be infinite where numbers are too large.
// Thread-safety: safe.
std::vector<Polygon> svg_polygons(std::string_view path);

}  // namespace moondream
