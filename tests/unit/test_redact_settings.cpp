// Zones as text, and where findings become regions.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "redact_plan.h"
#include "redact_settings.h"

namespace moondream::redact {
namespace {

TEST(RedactZones, RectanglesAreRead) {
  const auto zones = parse_zones(" 0,0,0.5,1 ; .25, 0.5 ,1,1;");
  ASSERT_TRUE(zones);
  ASSERT_EQ(zones->size(), 2u);
  EXPECT_EQ((*zones)[0].x_max, 0.5);
  EXPECT_EQ((*zones)[1].y_min, 0.5);
  EXPECT_TRUE(parse_zones("")->empty());
  EXPECT_TRUE(parse_zones("  ")->empty());
}

TEST(RedactZones, EverythingElseIsRefused) {
  for (const char *text : {"0,0,1", "0,0,1,1,1", "0,0,1,2", "-0.1,0,1,1", "0.5,0,0.5,1", "1,0,0,1",
                           "nan,0,1,1", "0,0,inf,1", "a", "0 0 1 1", ";", "0,0,1,1;;0,0,1,1",
                           "0,0,1,1 0,0,1,1", "0,,1,1", "0,0,1,1x"})
    EXPECT_FALSE(parse_zones(text)) << text;
  EXPECT_FALSE(parse_zones(std::string("0,0,1,1\0;", 9)));
}

Findings seen(guint64 serial, Box box, guint id = 0) {
  Findings findings;
  findings.serial = serial;
  findings.found.push_back({.box = box, .label = "face", .id = id});
  return findings;
}

TEST(RedactPlan, MarginsGrowWithTheTimeBetween) {
  Settings settings;
  settings.margin = 0.1;
  settings.margin_pixels = 3;
  settings.margin_growth = 0.5;
  Plan plan(settings, 100, 100);
  plan.add_findings(seen(1, {0.4, 0.4, 0.6, 0.5}), GST_SECOND);
  ASSERT_EQ(plan.regions().size(), 1u);
  // 0.1 + 0.5 of 20 and of 10, and 3.
  EXPECT_EQ(plan.regions()[0].region, (Region{40 - 15, 40 - 9, 60 + 15, 50 + 9}));
}

TEST(RedactPlan, ThePartOfAPixelIsAPixel) {
  Settings settings;
  settings.margin = settings.margin_growth = 0;
  Plan plan(settings, 10, 10);
  plan.add_findings(seen(1, {0.19, 0.11, 0.31, 0.29}), 0);
  EXPECT_EQ(plan.regions()[0].region, (Region{1, 1, 4, 3}));
}

// ---- Ways ------------------------------------------------------------------------------------

Findings seen_all(guint64 serial, std::vector<std::pair<Box, guint>> boxes) {
  Findings findings;
  findings.serial = serial;
  for (const auto &[box, id] : boxes)
    findings.found.push_back({.box = box, .label = "face", .id = id});
  return findings;
}

// What is redacted between two results, the frame's own first, on a frame of 100x100.
std::vector<Region> way(const std::vector<Findings> &before, const std::vector<Findings> &after,
                        bool exact = false) {
  Settings settings;
  settings.margin = settings.margin_growth = 0;
  std::vector<Sighting> earlier, later;
  for (const Findings &findings : before) earlier.push_back({&findings, 0});
  for (const Findings &findings : after) later.push_back({&findings, 0});
  Plan plan(settings, 100, 100);
  plan.add_ways(earlier, later, exact);
  std::vector<Region> regions;
  for (const PlannedRegion &planned : plan.regions()) regions.push_back(planned.region);
  return regions;
}

bool covers(const std::vector<Region> &regions, int x, int y) {
  return std::any_of(regions.begin(), regions.end(), [&](const Region &region) {
    return x >= region.x_min && x < region.x_max && y >= region.y_min && y < region.y_max;
  });
}

TEST(RedactPlan, TheWayBetweenTwoResultsIsCovered) {
  EXPECT_EQ(way({seen(1, {0, 0, 0.1, 0.1})}, {seen(2, {0.1, 0.1, 0.2, 0.2})}),
            (std::vector<Region>{{0, 0, 20, 20}}));
}

// The corners of an ellipse are where a thing on a diagonal begins and ends.
TEST(RedactPlan, AWayIsARectangle) {
  Settings settings;
  settings.shape = Shape::kEllipse;
  const Findings first = seen(1, {0, 0, 0.1, 0.1}), second = seen(2, {0.5, 0.5, 0.6, 0.6});
  const Sighting before{&first, 0}, after{&second, 0};
  Plan plan(settings, 100, 100);
  plan.add_ways({&before, 1}, {&after, 1}, false);
  ASSERT_EQ(plan.regions().size(), 1u);
  EXPECT_EQ(plan.regions()[0].region.shape, Shape::kRectangle);
}

// A small thing crosses the frame between two results: the tracker takes it for two.
TEST(RedactPlan, ObjectsFarApartMayBeTheSameIfNeitherStayed) {
  EXPECT_EQ(way({seen(1, {0, 0, 0.1, 0.1}, 1)}, {seen(2, {0.8, 0.8, 0.9, 0.9}, 2)}),
            (std::vector<Region>{{0, 0, 90, 90}}));
  // The one that stayed is not the one that is gone.
  const Box still = {0, 0, 0.1, 0.1}, gone = {0.8, 0.8, 0.9, 0.9};
  EXPECT_FALSE(
      covers(way({seen_all(1, {{still, 1}, {gone, 2}})}, {seen_all(2, {{still, 1}})}), 50, 50));
}

TEST(RedactPlan, OtherLabelsAndPointsAreOtherThings) {
  Findings plate = seen(2, {0.2, 0, 0.3, 0.1});
  plate.found[0].label = "plate";
  EXPECT_TRUE(way({seen(1, {0, 0, 0.1, 0.1})}, {plate}).empty());
  Findings point = seen(2, {0.2, 0, 0.3, 0.1});
  point.found[0].is_point = true;
  EXPECT_TRUE(way({seen(1, {0, 0, 0.1, 0.1})}, {point}).empty());
}

// Two that meet in the middle, with the ids that a tracker gives them which thinks that they turned
// back, or none: they may as well have crossed.
TEST(RedactPlan, ThoseThatMayHaveCrossedAreCoveredBothWays) {
  for (const guint id : {1u, 0u}) {
    const guint other = id == 0 ? 0 : 2;
    const auto regions =
        way({seen_all(1, {{{0, 0, 0.1, 0.1}, id}, {{0.15, 0, 0.25, 0.1}, other}})},
            {seen_all(2, {{{0, 0.15, 0.1, 0.25}, id}, {{0.15, 0.15, 0.25, 0.25}, other}})});
    // Halfway from (0, 0) to (15, 15).
    for (int i = 8; i < 18; ++i) EXPECT_TRUE(covers(regions, i, i)) << i << ", id " << id;
  }
}

// Each of a crowd that moved may be any: thousands of pairs are one region, of which nothing is
// left either.
TEST(RedactPlan, ACrowdThatMovedIsOneRegion) {
  std::vector<std::pair<Box, guint>> crowd, later;
  for (guint i = 0; i < 60; ++i) {
    const double x = 0.1 + 0.06 * (i % 10), y = 0.1 + 0.1 * (i / 10);
    crowd.push_back({{x, y, x + 0.04, y + 0.04}, i + 1});
    later.push_back({{x + 0.15, y, x + 0.19, y + 0.04}, i + 101});
  }
  const auto regions = way({seen_all(1, crowd)}, {seen_all(2, later)});
  ASSERT_EQ(regions.size(), 1u);
  EXPECT_EQ(regions[0], (Region{10, 10, 83, 64}));
}

// One result of several may miss an object.
TEST(RedactPlan, AResultThatMissesAnObjectDoesNotInterruptItsWay) {
  const auto first = seen(1, {0, 0, 0.1, 0.1}, 1), last = seen(3, {0.3, 0, 0.4, 0.1}, 1);
  const std::vector<Region> whole = {{0, 0, 40, 10}};
  EXPECT_EQ(way({first}, {seen_all(2, {}), last}), whole);
  EXPECT_EQ(way({seen_all(2, {}), first}, {last}), whole);
  EXPECT_EQ(way({seen_all(2, {}), first}, {last}, true), whole) << "on the frame that missed it";
}

TEST(RedactPlan, OnTheFrameOfAResultItsObjectsAreWhereItSays) {
  EXPECT_TRUE(way({seen(2, {0, 0, 0.1, 0.1}, 1), seen(1, {0.2, 0, 0.3, 0.1}, 1)},
                  {seen(3, {0.3, 0, 0.4, 0.1}, 1)}, true)
                  .empty());
}

TEST(RedactPlan, BlocksAreAShareOfTheShorterSideWithAFloor) {
  Settings settings;
  settings.block_size = 0.2;
  settings.min_block = 16;
  EXPECT_EQ(block_of({0, 0, 1000, 200}, settings), 40);
  EXPECT_EQ(block_of({0, 0, 20, 20}, settings), 16);
}

}  // namespace
}  // namespace moondream::redact
