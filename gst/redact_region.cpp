#include "redact_region.h"

#include <algorithm>
#include <cmath>

namespace moondream::redact {
namespace {

constexpr int divide_up(int value, int divisor) { return (value + divisor - 1) / divisor; }

// Pixels [begin, end) of the rows [y_min, y_max) that the ellipse in `region` touches. Not clipped.
Footprint::Span ellipse_span(const Region &region, int y_min, int y_max) {
  // Doubles: the sides of a region that reaches far out of the frame may have no int.
  const double a = (static_cast<double>(region.x_max) - region.x_min) / 2;
  const double b = (static_cast<double>(region.y_max) - region.y_min) / 2;
  const double centre_x = region.x_min + a, centre_y = region.y_min + b;
  // The ellipse is widest where the rows come nearest to its centre.
  const double nearest = std::clamp<double>(centre_y, y_min, y_max) - centre_y;
  const double rest = 1 - (nearest / b) * (nearest / b);
  if (rest <= 0) return {};
  const double half = a * std::sqrt(rest);
  return {static_cast<int>(std::floor(centre_x - half)),
          static_cast<int>(std::ceil(centre_x + half))};
}

}  // namespace

Footprint footprint_of(const Region &region, const GroupGrid &grid) {
  const int x_min = std::max(region.x_min, 0), x_max = std::min(region.x_max, grid.width);
  const int y_min = std::max(region.y_min, 0), y_max = std::min(region.y_max, grid.height);
  if (x_min >= x_max || y_min >= y_max) return {};

  const int columns = divide_up(grid.width, grid.columns);
  const auto in_groups = [&](Footprint::Span pixels) {
    return Footprint::Span{std::max(pixels.begin, 0) / grid.columns,
                           std::min(divide_up(std::max(pixels.end, 0), grid.columns), columns)};
  };
  Footprint print;
  print.y = y_min / grid.rows;
  const auto [begin, end] = in_groups({x_min, x_max});
  int first = end, last = begin;  // of all spans
  for (int row = print.y; row < divide_up(y_max, grid.rows); ++row) {
    Footprint::Span span{begin, end};
    if (region.shape == Shape::kEllipse) {
      span = in_groups(ellipse_span(region, row * grid.rows, (row + 1) * grid.rows));
      span = {std::max(span.begin, begin), std::min(span.end, end)};
    }
    print.spans.push_back(span);
    if (span.begin >= span.end) continue;
    first = std::min(first, span.begin);
    last = std::max(last, span.end);
  }
  if (first >= last) return {};
  print.x = first;
  print.columns = last - first;
  for (Footprint::Span &span : print.spans) span = {span.begin - first, span.end - first};
  return print;
}

}  // namespace moondream::redact
