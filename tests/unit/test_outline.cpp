// Outlines to pixels and back, and what is made of them by looking again.
#include "outline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "outline_refinement.h"

namespace moondream {
namespace {

constexpr Box kAll{0, 0, 1, 1};

// '#' is a pixel of the object.
Mask mask_of(const std::vector<std::string> &rows) {
  Mask mask{static_cast<int>(rows[0].size()), static_cast<int>(rows.size()), {}};
  for (const std::string &row : rows) {
    for (const char c : row) mask.pixels.push_back(c == '#');
  }
  return mask;
}

std::vector<std::string> rows_of(const Mask &mask) {
  std::vector<std::string> rows(static_cast<std::size_t>(mask.height));
  for (int y = 0; y < mask.height; ++y) {
    for (int x = 0; x < mask.width; ++x)
      rows[static_cast<std::size_t>(y)] += mask.at(x, y) ? '#' : '.';
  }
  return rows;
}

using Rows = std::vector<std::string>;

int area(const Mask &mask) {
  return static_cast<int>(std::count(mask.pixels.begin(), mask.pixels.end(), 1));
}

double overlap(const Mask &a, const Mask &b) {
  int both = 0, any = 0;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    both += a.pixels[i] && b.pixels[i];
    any += a.pixels[i] || b.pixels[i];
  }
  return any ? static_cast<double>(both) / any : 1;
}

Mask disc(int width, int height, double x, double y, double radius) {
  Mask mask{width, height, {}};
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < width; ++column) {
      mask.pixels.push_back(std::hypot(column + 0.5 - x, row + 0.5 - y) < radius);
    }
  }
  return mask;
}

// ---- Filling -----------------------------------------------------------------------------------

TEST(FillOutline, CoordinatesAreFractionsOfTheBox) {
  EXPECT_EQ(rows_of(fill_outline("M 0 0 L 1 0 L 1 1 L 0 1 Z", {0.25, 0.5, 0.75, 1}, 8, 4)),
            (Rows{"........", "........", "..####..", "..####.."}));
  EXPECT_EQ(rows_of(fill_outline("M 0 0 L 0.5 0 L 0.5 1 L 0 1 Z", {0.25, 0.5, 0.75, 1}, 8, 4)),
            (Rows{"........", "........", "..##....", "..##...."}));
}

TEST(FillOutline, APixelCountsIfMoreThanHalfOfItIsCovered) {
  // The right edge at 2.5 and at 2.6 pixels of 4.
  EXPECT_EQ(rows_of(fill_outline("M 0 0 H 0.625 V 1 H 0 Z", kAll, 4, 1)), Rows{"##.."});
  EXPECT_EQ(rows_of(fill_outline("M 0 0 H 0.65 V 1 H 0 Z", kAll, 4, 1)), Rows{"###."});
  // And two thin ones together.
  EXPECT_EQ(rows_of(fill_outline("M 0 0 H 0.3 V 1 H 0 Z M 0.6 0 H 1 V 1 H 0.6 Z", kAll, 1, 1)),
            Rows{"#"});
}

TEST(FillOutline, EveryCommandIsAbsoluteOrRelative) {
  const Rows expected =
      rows_of(fill_outline("M 0.25 0.25 L 0.75 0.25 L 0.75 0.75 L 0.25 0.75 Z", kAll, 16, 16));
  EXPECT_EQ(rows_of(fill_outline("m 0.25 0.25 l 0.5 0 l 0 0.5 l -0.5 0 z", kAll, 16, 16)),
            expected);
  EXPECT_EQ(rows_of(fill_outline("M 0.25 0.25 H 0.75 V 0.75 H 0.25", kAll, 16, 16)), expected);
  EXPECT_EQ(rows_of(fill_outline("M0.25,0.25 h0.5 v0.5 h-0.5z", kAll, 16, 16)), expected);
  // More pairs behind M and m are lines.
  EXPECT_EQ(rows_of(fill_outline("M 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75", kAll, 16, 16)),
            expected);
  EXPECT_EQ(rows_of(fill_outline("m 0.25 0.25 0.5 0 0 0.5 -0.5 0", kAll, 16, 16)), expected);
}

// Four quarters of a circle, by the well-known control points: off by less than 0.03 %.
TEST(FillOutline, CurvesHaveTheAreaOfWhatTheyDraw) {
  const double expected = std::numbers::pi * 100 * 100;
  const Mask cubic = fill_outline(
      "M 1 0.5 C 1 0.776 0.776 1 0.5 1 C 0.224 1 0 0.776 0 0.5 S 0.224 0 0.5 0 S 1 0.224 1 0.5 Z",
      kAll, 200, 200);
  EXPECT_NEAR(area(cubic), expected, 0.005 * expected);
  EXPECT_GT(overlap(cubic, disc(200, 200, 100, 100, 100)), 0.99);
  // Under a parabola that touches the top there are two thirds of its box.
  EXPECT_NEAR(area(fill_outline("M 0 1 Q 0.5 -1 1 1 Z", kAll, 200, 200)), 2.0 / 3 * 40000, 300);
  // Two of half the width, the second one mirrored, cancel on the middle line.
  EXPECT_NEAR(area(fill_outline("M 0 0.5 Q 0.25 0 0.5 0.5 T 1 0.5 L 1 1 L 0 1 Z", kAll, 200, 200)),
              20000, 200);
  EXPECT_EQ(rows_of(fill_outline("M 0 0.5 q 0.25 -0.5 0.5 0 t 0.5 0 V 1 H 0 Z", kAll, 40, 40)),
            rows_of(fill_outline("M 0 0.5 Q 0.25 0 0.5 0.5 T 1 0.5 V 1 H 0 Z", kAll, 40, 40)));
}

TEST(FillOutline, ArcsHaveTheAreaOfWhatTheyDraw) {
  // 64 lines: 0.16 % less than the circle.
  const double expected = std::numbers::pi * 100 * 100;
  for (const char *path : {"M 0 0.5 A 0.5 0.5 0 0 1 1 0.5 A 0.5 0.5 0 0 1 0 0.5 Z",
                           "M 0 0.5 a 0.5 0.5 0 1 0 1 0 a 0.5 0.5 0 1 0 -1 0"}) {
    const Mask circle = fill_outline(path, kAll, 200, 200);
    EXPECT_NEAR(area(circle), expected, 0.005 * expected) << path;
    EXPECT_GT(overlap(circle, disc(200, 200, 100, 100, 100)), 0.99) << path;
  }
  // Three quarters of it and a quarter.
  EXPECT_NEAR(area(fill_outline("M 0.5 0 A 0.5 0.5 0 1 1 0 0.5 L 0.5 0.5 Z", kAll, 200, 200)),
              0.75 * expected, 0.005 * expected);
  EXPECT_NEAR(area(fill_outline("M 0.5 0 A 0.5 0.5 0 0 0 0 0.5 L 0.5 0.5 Z", kAll, 200, 200)),
              0.25 * expected, 0.005 * expected);
  // In a box that is not square, an ellipse.
  EXPECT_NEAR(area(fill_outline("M 0 0.5 A 0.5 0.5 0 0 1 1 0.5 A 0.5 0.5 0 0 1 0 0.5 Z",
                                {0.25, 0, 0.75, 1}, 200, 200)),
              expected / 2, 0.005 * expected);
}

TEST(FillOutline, LoopsOfOneDirectionAreFullAndOfTheOtherHoles) {
  const std::string outer = "M 0 0 H 1 V 1 H 0 Z ";
  EXPECT_EQ(area(fill_outline(outer + "M 0.25 0.25 H 0.75 V 0.75 H 0.25 Z", kAll, 8, 8)), 64);
  EXPECT_EQ(area(fill_outline(outer + "M 0.25 0.25 V 0.75 H 0.75 V 0.25 Z", kAll, 8, 8)), 48);
}

TEST(FillOutline, IsDrawnUpToWhatCannotBeRead) {
  const std::string square = "M 0 0 H 0.5 V 0.5 H 0 Z";
  const Rows expected = rows_of(fill_outline(square, kAll, 8, 8));
  for (const char *rest : {" A 1 1", " L cat", " M", " M 0.5", "x", " C 1 1 1 1", " L 0.1 nan"}) {
    EXPECT_EQ(rows_of(fill_outline(square + rest, kAll, 8, 8)), expected) << rest;
  }
  for (const char *none : {"", "L 0 0 L 1 1 L 0 1", "Z", "1 2 3", "M 0 0 L 1 1"}) {
    EXPECT_TRUE(fill_outline(none, kAll, 8, 8).empty()) << none;
  }
}

TEST(FillOutline, WhatIsOutsideOfThePictureIsCutOff) {
  EXPECT_EQ(area(fill_outline("M -9 -9 H 9 V 9 H -9 Z", kAll, 5, 3)), 15);
  EXPECT_EQ(area(fill_outline("M 0 0 H 1 V 1 H 0 Z", {-0.5, -0.5, 0.5, 0.5}, 10, 10)), 25);
  EXPECT_TRUE(fill_outline("M 2 2 H 3 V 3 H 2 Z", kAll, 5, 3).empty());
  EXPECT_EQ(area(fill_outline("M -1e300 -1e300 H 1e300 V 1e300 H -1e300 Z", kAll, 5, 3)), 15);
  fill_outline("M 0 0 c 1e308 1e308 1e308 1e308 1e308 1e308 c 1e308 1e308 1e308 1e308 1e308 1e308",
               kAll, 5, 3);
}

// ---- Tracing -----------------------------------------------------------------------------------

Mask traced_and_filled(const Mask &mask) {
  const SegmentResult outline = trace_outline(mask);
  return fill_outline(outline.path, outline.box.value(), mask.width, mask.height);
}

TEST(TraceOutline, ARectangleIsItsFourCorners) {
  const SegmentResult outline = trace_outline(mask_of({"......", "..###.", "..###.", "......"}));
  EXPECT_EQ(outline.box, (Box{2.0 / 6, 0.25, 5.0 / 6, 0.75}));
  EXPECT_EQ(outline.path, "M 0 0 L 1 0 L 1 1 L 0 1 Z");
}

TEST(TraceOutline, CornersHolesAndIslandsComeBackAsTheyWere) {
  for (const Rows &rows :
       {Rows{"#"}, Rows{"####....", "####....", "####....", "########", "########", "########"},
        Rows{"########", "########", "##....##", "##....##", "########", "########"},
        Rows{"###...##", "###...##", "###...##", "......##", "......##"},
        Rows{"###...", "###...", "###...", "...###", "...###", "...###"}}) {
    EXPECT_EQ(rows_of(traced_and_filled(mask_of(rows))), rows);
  }
}

TEST(TraceOutline, RoundThingsKeepTheirShape) {
  for (const double radius : {12.0, 40.0, 90.0}) {
    const Mask mask = disc(240, 200, 113.4, 97.8, radius);
    // Half of what the tolerance of 0.75 pixels could shave off all around.
    EXPECT_GT(overlap(mask, traced_and_filled(mask)), 1 - 0.75 / radius) << radius;
  }
}

TEST(TraceOutline, NoiseIsTracedWithoutEndlessLoops) {
  std::mt19937 random(1);
  for (int run = 0; run < 20; ++run) {
    Mask mask{37, 23, std::vector<std::uint8_t>(37 * 23)};
    for (auto &pixel : mask.pixels) pixel = random() % 2;
    EXPECT_TRUE(trace_outline(mask).box.has_value());
  }
}

TEST(TraceOutline, NothingHasNoOutline) {
  const SegmentResult outline = trace_outline(mask_of({"...", "..."}));
  EXPECT_FALSE(outline.box);
  EXPECT_EQ(outline.path, "");
}

// ---- Looking again -----------------------------------------------------------------------------

TEST(CleanMask, HolesAreFilledIslandsDroppedAndGapsClosed) {
  // Of 100 x 80 pixels, 12 are 0.15 %.
  Mask mask{100, 80, std::vector<std::uint8_t>(8000)};
  const auto set = [&](int x, int y, int width, int height, std::uint8_t value) {
    for (int row = y; row < y + height; ++row) {
      for (int column = x; column < x + width; ++column) {
        mask.pixels[static_cast<std::size_t>(row * 100 + column)] = value;
      }
    }
  };
  set(10, 10, 40, 30, 1);
  Mask expected = mask;
  set(20, 20, 3, 3, 0);   // a hole of 9
  set(80, 60, 3, 3, 1);   // an island of 9
  set(30, 10, 1, 10, 0);  // a gap, open at the top
  EXPECT_EQ(rows_of(clean_mask(mask)), rows_of(expected));
  set(30, 25, 4, 4, 0);  // a hole of 16, which stays
  set(70, 20, 4, 4, 1);  // an island of 16
  EXPECT_EQ(area(clean_mask(mask)), area(expected));
  EXPECT_EQ(clean_mask(mask).at(71, 21), 1);
  EXPECT_EQ(clean_mask(mask).at(31, 26), 0);
}

TEST(CleanMask, TheLargestIslandStaysHoweverSmall) {
  Mask mask{100, 80, std::vector<std::uint8_t>(8000)};
  mask.pixels[505] = 1;
  for (const std::size_t i : {1010, 1011, 1012, 1110, 1111}) mask.pixels[i] = 1;
  const Mask cleaned = clean_mask(mask);
  EXPECT_EQ(cleaned.pixels[505], 0);
  EXPECT_EQ(cleaned.pixels[1011], 1);
}

// A picture whose red is the column and green the row, and a refiner that checks what it is shown.
TEST(RefineOutline, ShowsTheBoxAndAQuarterMoreOnEachSide) {
  Image image{200, 100, {}};
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 200; ++x) {
      image.pixels.insert(image.pixels.end(),
                          {static_cast<std::uint8_t>(x), static_cast<std::uint8_t>(y), 0});
    }
  }
  const SegmentResult coarse{Box{0.4, 0.4, 0.6, 0.8}, "M 0 0 H 1 V 1 H 0 Z"};
  int calls = 0;
  const auto refined =
      refine_outline(image.view(), coarse, 60, [&](const auto &pixels, const auto &mask) {
        ++calls;
        EXPECT_EQ(pixels.size(), 3u * 60 * 60);
        // The box is 80 to 120 by 40 to 80: with its margins, 70 to 130 by 30 to 90.
        EXPECT_NEAR(pixels[0], 70, 1);
        EXPECT_NEAR(pixels[1], 30, 1);
        EXPECT_NEAR(pixels[pixels.size() - 3], 129, 1);
        EXPECT_NEAR(pixels[pixels.size() - 2], 89, 1);
        EXPECT_EQ(std::count(mask.begin(), mask.end(), 1), 40 * 40);
        EXPECT_EQ(mask[10 * 60 + 10], 1);
        EXPECT_EQ(mask[9 * 60 + 10], 0);
        // It finds the right half only.
        std::vector<float> found;
        for (std::size_t i = 0; i < mask.size(); ++i) {
          found.push_back(mask[i] && i % 60 >= 30 ? 0.9f : 0.1f);
        }
        return found;
      });
  EXPECT_EQ(calls, 1);
  ASSERT_TRUE(refined);
  EXPECT_EQ(refined->box, (Box{0.5, 0.4, 0.6, 0.8}));
  EXPECT_EQ(refined->path, "M 0 0 L 1 0 L 1 1 L 0 1 Z");
}

TEST(RefineOutline, WithoutAnythingToRefineNobodyIsAsked) {
  const Image image{20, 10, std::vector<std::uint8_t>(600)};
  const auto never = [](const auto &, const auto &) -> std::vector<float> { throw 0; };
  const std::string square = "M 0 0 H 1 V 1 H 0 Z";
  EXPECT_FALSE(refine_outline(image.view(), {std::nullopt, square}, 8, never));
  EXPECT_FALSE(refine_outline(image.view(), {kAll, ""}, 8, never));
  EXPECT_FALSE(refine_outline(image.view(), {kAll, "M 0 0"}, 8, never));
  EXPECT_FALSE(refine_outline(image.view(), {Box{2, 2, 3, 3}, square}, 8, never));
  EXPECT_FALSE(refine_outline(image.view(), {Box{0.5, 0.5, 0.5, 0.5}, square}, 8, never));
  EXPECT_FALSE(refine_outline(image.view(), {kAll, square}, 8, [](const auto &, const auto &) {
    return std::vector<float>(64, 0.0f);
  }));
}

}  // namespace
}  // namespace moondream
