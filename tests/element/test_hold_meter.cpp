#include "hold_meter.h"

#include <gtest/gtest.h>

namespace moondream {
namespace {

TEST(HoldMeter, TellsTheLongestHoldWhenItGrowsByMoreThanAQuarter) {
  HoldMeter meter;
  EXPECT_EQ(meter.latency(), 0u);
  EXPECT_TRUE(meter.measure(100 * GST_MSECOND, true).latency);
  EXPECT_FALSE(meter.measure(50 * GST_MSECOND, true).latency);
  EXPECT_FALSE(meter.measure(125 * GST_MSECOND, true).latency);
  EXPECT_EQ(meter.latency(), 125 * GST_MSECOND) << "who asks is told all";
  EXPECT_TRUE(meter.measure(126 * GST_MSECOND, true).latency);
  EXPECT_EQ(meter.longest(), 126 * GST_MSECOND);
}

TEST(HoldMeter, ADeclaredBoundIsTheAnswerAndHoldsBeyondItAreNewsOncePerGrowth) {
  HoldMeter meter;
  EXPECT_TRUE(meter.declare(100 * GST_MSECOND));
  EXPECT_FALSE(meter.declare(100 * GST_MSECOND)) << "it is what it was";
  const HoldMeter::News within = meter.measure(100 * GST_MSECOND, true);
  EXPECT_FALSE(within.latency || within.exceeded);
  EXPECT_TRUE(meter.measure(101 * GST_MSECOND, true).exceeded);
  EXPECT_FALSE(meter.measure(101 * GST_MSECOND, true).exceeded);
  EXPECT_FALSE(meter.measure(126 * GST_MSECOND, true).exceeded) << "little more";
  EXPECT_TRUE(meter.measure(127 * GST_MSECOND, true).exceeded);
  EXPECT_EQ(meter.latency(), 100 * GST_MSECOND);
  EXPECT_TRUE(meter.declare(0));
  EXPECT_EQ(meter.latency(), 127 * GST_MSECOND) << "measured all the while";
}

TEST(HoldMeter, RecentHoldsAreForgottenWithTheResultsThatComeSooner) {
  HoldMeter meter;
  meter.measure(800 * GST_MSECOND, true);
  meter.measure(790 * GST_MSECOND, false);
  EXPECT_EQ(meter.recent(), 800 * GST_MSECOND) << "another frame that waited for the same result";
  meter.measure(10 * GST_MSECOND, true);
  EXPECT_EQ(meter.recent(), 700 * GST_MSECOND);
  for (int i = 0; i < 50; ++i) meter.measure(10 * GST_MSECOND, true);
  EXPECT_EQ(meter.recent(), 10 * GST_MSECOND);
  EXPECT_EQ(meter.longest(), 800 * GST_MSECOND);
}

}  // namespace
}  // namespace moondream
