// Path data as polygons; arcs against the circles and ellipses that they were made of.
#include "svg_polygons.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <random>
#include <string>

namespace moondream {

void PrintTo(const Point &point, std::ostream *out) { *out << point.x << "," << point.y; }

namespace {

constexpr double kPi = std::numbers::pi;
// Of numbers around 1 that are printed in full.
constexpr double kExact = 1e-9;

// The only polygon of a path.
Polygon polygon_of(const std::string &path) {
  const std::vector<Polygon> polygons = svg_polygons(path);
  EXPECT_EQ(polygons.size(), 1u) << path;
  return polygons.size() == 1 ? polygons[0] : Polygon{};
}

template <typename... Numbers>
std::string text(const char *format, Numbers... numbers) {
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, format, numbers...);
  return buffer;
}

void expect_near(const Point &point, const Point &expected) {
  EXPECT_NEAR(point.x, expected.x, kExact);
  EXPECT_NEAR(point.y, expected.y, kExact);
}

// An ellipse, and places on it by the angle of its circle.
struct Ellipse {
  Point centre, radii;
  double degrees;

  Point at(double angle) const {
    const double turned = degrees * kPi / 180;
    const double x = radii.x * std::cos(angle), y = radii.y * std::sin(angle);
    return {centre.x + x * std::cos(turned) - y * std::sin(turned),
            centre.y + x * std::sin(turned) + y * std::cos(turned)};
  }
  // The place on its circle, of radius 1 around 0.
  Point on_circle(const Point &point) const {
    const double turned = degrees * kPi / 180;
    const double x = point.x - centre.x, y = point.y - centre.y;
    return {(x * std::cos(turned) + y * std::sin(turned)) / radii.x,
            (y * std::cos(turned) - x * std::sin(turned)) / radii.y};
  }
};

// An arc that is known by its centre and angles is written as SVG wants it, by its ends and flags:
// what is drawn has to be on that ellipse, all of it, and to turn as far and in that direction.
TEST(SvgPolygons, AnArcIsThePartOfItsEllipseThatTheFlagsSay) {
  std::mt19937 random(6);
  const auto between = [&](double low, double high) {
    return std::uniform_real_distribution(low, high)(random);
  };
  for (int run = 0; run < 400; ++run) {
    const Ellipse ellipse{
        {between(-1, 1), between(-1, 1)}, {between(0.1, 2), between(0.1, 2)}, between(-400, 400)};
    // Not where another arc of the same ends is nearly the same: around half and no turn.
    const double turn = between(0.1, 0.9) * kPi + (run % 4 >= 2 ? kPi : 0);
    const double sweep = run % 2 ? turn : -turn, from = between(-kPi, kPi);
    const Point start = ellipse.at(from), end = ellipse.at(from + sweep);
    const bool relative = run % 3 == 0;
    const Point origin = relative ? start : Point{};
    const std::string path =
        text("M %.17g %.17g %c %.17g %.17g %.17g %d %d %.17g %.17g", start.x, start.y,
             relative ? 'a' : 'A', ellipse.radii.x, ellipse.radii.y, ellipse.degrees, turn > kPi,
             sweep > 0, end.x - origin.x, end.y - origin.y);
    SCOPED_TRACE(path);
    const Polygon polygon = polygon_of(path);
    ASSERT_GE(polygon.size(), 2u);
    expect_near(polygon.front(), start);
    expect_near(polygon.back(), end);
    double turned = 0;
    for (std::size_t i = 0; i < polygon.size(); ++i) {
      const Point now = ellipse.on_circle(polygon[i]);
      // Ends that are rounded move the centre of an arc of little turn by ten times as much, and
      // radii of a tenth enlarge it again.
      ASSERT_NEAR(std::hypot(now.x, now.y), 1, 100 * kExact) << i;
      if (i == 0) continue;
      const Point last = ellipse.on_circle(polygon[i - 1]);
      const double step =
          std::atan2(last.x * now.y - last.y * now.x, last.x * now.x + last.y * now.y);
      EXPECT_EQ(step > 0, sweep > 0) << i;
      // Sixteen lines a quarter.
      EXPECT_LE(std::abs(step), kPi / 32 + kExact) << i;
      turned += step;
    }
    EXPECT_NEAR(turned, sweep, 100 * kExact);
  }
}

// The four arcs of SVG's own picture of the flags: two circles through the same two points.
TEST(SvgPolygons, TheFlagsChooseAmongFourArcs) {
  const auto middle = [](const std::string &flags) {
    const Polygon polygon = polygon_of("M 0 0 A 5 5 0 " + flags + " 6 0");
    // On the axis of both circles; it is a corner where the count of lines is even.
    return *std::ranges::min_element(polygon, {}, [](const Point &p) { return std::abs(p.x - 3); });
  };
  // Centres are 4 above and below the chord: the small arcs go 1 away from it, the large ones 9.
  const double sagitta = 5 * (1 - std::cos(kPi / 64));  // half a line from the axis at most
  EXPECT_NEAR(middle("0 1").y, -1, sagitta);
  EXPECT_NEAR(middle("0 0").y, 1, sagitta);
  EXPECT_NEAR(middle("1 1").y, -9, sagitta);
  EXPECT_NEAR(middle("1 0").y, 9, sagitta);
}

TEST(SvgPolygons, RadiiThatDoNotReachAreScaledUp) {
  // A half of the circle of radius 5 around 5, 0, and of an ellipse half as high.
  for (const auto &[radii, height] : {std::pair("1 1", 1.0), std::pair("-2 1", 0.5)}) {
    for (const char *large : {"0", "1"}) {
      const Polygon polygon =
          polygon_of(std::string("M 0 0 A ") + radii + " 0 " + large + " 1 10 0");
      EXPECT_EQ(polygon.size(), 33u);
      for (const Point &point : polygon) {
        EXPECT_NEAR(std::hypot(point.x - 5, point.y / height), 5, kExact);
        EXPECT_LE(point.y, kExact) << "clockwise from the left is above, where y is negative";
      }
      expect_near(polygon[16], {5, -5 * height});
    }
  }
}

TEST(SvgPolygons, AnArcWithoutARadiusIsALineAndOneWithoutALengthIsNothing) {
  const Polygon line = {{0, 0}, {3, 4}};
  for (const char *radii : {"0 5", "5 0", "0 0"}) {
    EXPECT_EQ(polygon_of(std::string("M 0 0 A ") + radii + " 30 1 1 3 4"), line) << radii;
  }
  // Where the chord is along an axis, nothing is divided by nothing.
  EXPECT_EQ(polygon_of("M 0 0 A 0 5 0 0 1 0 4"), (Polygon{{0, 0}, {0, 4}}));
  EXPECT_EQ(polygon_of("M 0 0 A 5 0 0 0 1 4 0"), (Polygon{{0, 0}, {4, 0}}));
  EXPECT_EQ(polygon_of("M 0 0 L 3 4 A 5 5 0 1 1 3 4"), line);
}

TEST(SvgPolygons, FlagsNeedNoSpaceBehindThem) {
  const Polygon spaced = polygon_of("M 0 0 A 5 5 0 0 1 6 0 A 5 5 0 1 0 0 0");
  EXPECT_EQ(polygon_of("M0,0A5,5,0,016,0,5,5,0,100,0"), spaced);
  EXPECT_EQ(polygon_of("m 0 0 a 5 5 0 0 1 6 0 5 5 0 1 0 -6 0").size(), spaced.size());
}

TEST(SvgPolygons, ThePathEndsAtAnArcThatCannotBeRead) {
  const Polygon line = {{0, 0}, {1, 0}};
  for (const char *rest :
       {"A 1 1 0 2 1 3 3", "A 1 1 0 1 0.5", "A 1 1 0 1 1 3", "A 1 1 0", "A", "A 1 1 nan 0 1 3 3"}) {
    EXPECT_EQ(polygon_of(std::string("M 0 0 L 1 0 ") + rest), line) << rest;
  }
}

// No endless counts of lines, and nothing that is not a number before there are too large ones.
TEST(SvgPolygons, NumbersOfAnySizeAreDrawn) {
  for (const char *arc :
       {"A 1e-300 1e-300 0 0 1 1 1", "A 1e300 1e300 0 1 1 1 1", "A 1e300 1e-300 45 0 0 1 1",
        "A 1 1 1e300 0 1 1 1", "A 1 1 0 1 1 1e-300 0", "A 1 1 0 1 1 1e308 1e308",
        "A 5e-324 5e-324 0 1 0 1e308 -1e308"}) {
    const Polygon polygon = polygon_of(std::string("M 0 0 ") + arc);
    EXPECT_LE(polygon.size(), 65u) << arc;
    EXPECT_GE(polygon.size(), 2u) << arc;
    EXPECT_TRUE(std::isfinite(polygon.back().x) && std::isfinite(polygon.back().y)) << arc;
  }
}

TEST(SvgPolygons, ASubpathIsAPolygon) {
  EXPECT_EQ(svg_polygons("M 0 0 L 1 0 L 1 1 Z L 0 1 M 9 9 M 5 5 l 1 0"),
            (std::vector<Polygon>{{{0, 0}, {1, 0}, {1, 1}}, {{0, 0}, {0, 1}}, {{5, 5}, {6, 5}}}));
  EXPECT_TRUE(svg_polygons("M 1 1 Z").empty());
}

// As if no curve were before it.
TEST(SvgPolygons, ASmoothCurveBehindAnythingElseBeginsStraight) {
  const Polygon straight = polygon_of("M 0 0 C 0 0 2 1 2 0");
  for (const char *before : {"M 5 5 C 5 6 1 7 0 0 M 0 0", "M 0 0 C 5 6 1 7 2 2 Z", "M 0 0 L 0 0"}) {
    const std::vector<Polygon> polygons = svg_polygons(std::string(before) + " S 2 1 2 0");
    ASSERT_FALSE(polygons.empty());
    ASSERT_GE(polygons.back().size(), straight.size()) << before;
    EXPECT_TRUE(std::equal(straight.begin() + 1, straight.end(),
                           polygons.back().end() - std::ssize(straight) + 1))
        << before;
  }
}

}  // namespace
}  // namespace moondream
