// What of a frame a region touches, against a look at every group.
#include <gtest/gtest.h>

#include <algorithm>

#include "../redact_frames.h"
#include "redact_region.h"

namespace moondream::redact {
namespace {

using test::between;

// How far inside the region's shape the nearest point of a group is: < 1 inside, > 1 outside.
double distance(const Region &region, double x0, double y0, double x1, double y1) {
  const double a = (region.x_max - region.x_min) / 2.0, b = (region.y_max - region.y_min) / 2.0;
  const double cx = region.x_min + a, cy = region.y_min + b;
  const double dx = (std::clamp(cx, x0, x1) - cx) / a, dy = (std::clamp(cy, y0, y1) - cy) / b;
  return region.shape == Shape::kEllipse ? dx * dx + dy * dy : std::max(std::abs(dx), std::abs(dy));
}

TEST(RedactRegion, AFootprintIsEveryGroupThatTheRegionTouchesAndNoOther) {
  test::Random random(1);
  for (int round = 0; round < 20000; ++round) {
    const GroupGrid grid{.columns = 1 << between(random, 0, 2),
                         .rows = 1 << between(random, 0, 2),
                         .width = between(random, 1, 40),
                         .height = between(random, 1, 40)};
    const int x = between(random, -30, 50), y = between(random, -30, 50);
    const Region region{x, y, x + between(random, 0, 50), y + between(random, 0, 50),
                        between(random, 0, 1) ? Shape::kEllipse : Shape::kRectangle};
    const Footprint print = footprint_of(region, grid);
    const bool has_area = region.x_min < region.x_max && region.y_min < region.y_max;
    int touched = 0;
    for (int row = 0; row * grid.rows < grid.height; ++row) {
      for (int column = 0; column * grid.columns < grid.width; ++column) {
        const bool spanned = row >= print.y && row < print.y + print.rows() &&
                             column - print.x >= print.spans[row - print.y].begin &&
                             column - print.x < print.spans[row - print.y].end;
        touched += spanned;
        // Pixels that there are: at the edge a group may have fewer.
        const double d = has_area ? distance(region, column * grid.columns, row * grid.rows,
                                             std::min((column + 1) * grid.columns, grid.width),
                                             std::min((row + 1) * grid.rows, grid.height))
                                  : 2;
        // Shapes that only touch from outside may be on either side of rounding.
        if (d < 1 - 1e-9) {
          ASSERT_TRUE(spanned) << "round " << round << ": " << column << "," << row;
        }
        // An ellipse may touch the part of a group that is outside of the frame.
        const bool whole =
            (column + 1) * grid.columns <= grid.width && (row + 1) * grid.rows <= grid.height;
        if (d > 1 + 1e-9 && (whole || region.shape == Shape::kRectangle)) {
          ASSERT_FALSE(spanned) << "round " << round << ": " << column << "," << row;
        }
      }
    }
    ASSERT_EQ(print.empty(), touched == 0) << "round " << round;
    for (const Footprint::Span &span : print.spans) {
      if (span.begin >= span.end) continue;
      ASSERT_GE(span.begin, 0);
      ASSERT_LE(span.end, print.columns);
    }
  }
}

TEST(RedactRegion, SidesBeyondAnyFrameDoNotOverflow) {
  constexpr int kFar = 2000000000;
  const GroupGrid grid{.columns = 2, .rows = 2, .width = 5, .height = 3};
  for (const Shape shape : {Shape::kRectangle, Shape::kEllipse}) {
    const Footprint print = footprint_of({-kFar, -kFar, kFar, kFar, shape}, grid);
    EXPECT_EQ(print.columns, 3);
    EXPECT_EQ(print.rows(), 2);
    EXPECT_EQ(print.spans[1].end, 3);
    EXPECT_TRUE(footprint_of({kFar, 0, kFar + 1, 3, shape}, grid).empty());
  }
}

}  // namespace
}  // namespace moondream::redact
