#include "latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace moondream {
namespace {

using std::chrono::nanoseconds;

TEST(LatencyHistogram, OfNothingIsZero) {
  EXPECT_EQ(LatencyHistogram().quantile(0.99), nanoseconds(0));
}

TEST(LatencyHistogram, QuantilesAreThoseOfTheSortedValuesWithinABucket) {
  std::mt19937_64 random(3);
  // From a microsecond to an hour, equally often in each decade.
  std::uniform_real_distribution<double> exponent(3, 12.5);
  LatencyHistogram histogram;
  std::vector<double> values;
  for (int i = 0; i < 10000; ++i) {
    const auto value = static_cast<std::int64_t>(std::pow(10, exponent(random)));
    histogram.add(nanoseconds(value));
    values.push_back(static_cast<double>(value));
  }
  std::sort(values.begin(), values.end());
  for (const double share : {0.001, 0.5, 0.9, 0.99, 1.0}) {
    const double exact = values[static_cast<std::size_t>(std::ceil(share * 10000)) - 1];
    const auto told = static_cast<double>(histogram.quantile(share).count());
    EXPECT_GE(told, exact) << share;
    // A bucket is at most 1/32 of where it begins wide; 24 ns: below 1024 ns there is only one.
    EXPECT_LE(told, exact * (1 + 1.0 / 32) + 24) << share;
  }
}

TEST(LatencyHistogram, WhatIsOutOfRangeIsInTheOuterBuckets) {
  LatencyHistogram histogram;
  histogram.add(nanoseconds(-5));
  EXPECT_EQ(histogram.quantile(1), nanoseconds(1024));
  histogram.add(nanoseconds::max());
  EXPECT_EQ(histogram.quantile(0.5), nanoseconds(1024));
  EXPECT_GT(histogram.quantile(1), std::chrono::hours(38));
}

}  // namespace
}  // namespace moondream
