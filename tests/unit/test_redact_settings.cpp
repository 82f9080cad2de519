// Zones as text, and where findings become regions.
#include <gtest/gtest.h>

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

TEST(RedactPlan, TheWayBetweenTwoResultsIsCovered) {
  Settings settings;
  settings.margin = settings.margin_growth = 0;
  Plan plan(settings, 100, 100);
  plan.add_between(seen(1, {0, 0, 0.1, 0.1}), 0, seen(2, {0.1, 0.1, 0.2, 0.2}), 0);
  ASSERT_EQ(plan.regions().size(), 1u);
  EXPECT_EQ(plan.regions()[0].region, (Region{0, 0, 20, 20}));
}

TEST(RedactPlan, ObjectsFarApartAreTwoUnlessTheirIdsSayOtherwise) {
  Settings settings;
  settings.point_radius = 0;
  for (const guint id : {0u, 7u}) {
    Plan plan(settings, 100, 100);
    plan.add_between(seen(1, {0, 0, 0.1, 0.1}, id), 0, seen(2, {0.8, 0.8, 0.9, 0.9}, id), 0);
    EXPECT_EQ(plan.regions().size(), id == 0 ? 0u : 1u);
  }
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
