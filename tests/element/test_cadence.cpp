#include "cadence.h"

#include <gtest/gtest.h>

namespace moondream {
namespace {

constexpr auto kNone = Cadence::Tick::kNone;
constexpr auto kSample = Cadence::Tick::kSample;
constexpr auto kRestart = Cadence::Tick::kRestart;

int samples(GstClockTime (*pts)(int), int frames, SampleRate rate) {
  Cadence cadence;
  int count = 0;
  for (int i = 0; i < frames; ++i) count += cadence.tick(pts(i), rate, false) != kNone;
  return count;
}

TEST(Cadence, TheAverageRateIsExactWhereItDoesNotDivideTheFrameRate) {
  // Just under 100 s of 30000/1001 frames a second: one sample for each period begun.
  const auto ntsc = [](int i) -> GstClockTime {
    return gst_util_uint64_scale(i, 1001 * GST_SECOND, 30000);
  };
  EXPECT_EQ(samples(ntsc, 2998, {7, 3}), 234);
  EXPECT_EQ(samples(ntsc, 2998, {1, 10}), 10);
}

TEST(Cadence, RoundedTimestampsLoseNoSample) {
  // A Matroska file of 30 frames a second counts milliseconds.
  const auto matroska = [](int i) -> GstClockTime { return (i * 1000 + 15) / 30 * GST_MSECOND; };
  EXPECT_EQ(samples(matroska, 3000, {2, 1}), 200);
}

TEST(Cadence, ZeroIsEveryFrame) {
  const auto any = [](int i) { return static_cast<GstClockTime>(i); };
  EXPECT_EQ(samples(any, 100, {0, 1}), 100);
  const auto untimed = [](int) -> GstClockTime { return GST_CLOCK_TIME_NONE; };
  EXPECT_EQ(samples(untimed, 100, {0, 1}), 100);
}

TEST(Cadence, WithoutTimestampsOnlyTheFirstIsASample) {
  const auto untimed = [](int) -> GstClockTime { return GST_CLOCK_TIME_NONE; };
  EXPECT_EQ(samples(untimed, 100, {2, 1}), 1);
}

TEST(Cadence, APauseIsOneSampleNotThoseItMissed) {
  Cadence cadence;
  EXPECT_EQ(cadence.tick(0, {2, 1}, false), kRestart);
  EXPECT_EQ(cadence.tick(100 * GST_SECOND + 1, {2, 1}, false), kSample);
  EXPECT_EQ(cadence.tick(100 * GST_SECOND + 2, {2, 1}, false), kNone);
  // Still on the grid of the first frame.
  EXPECT_EQ(cadence.tick(100 * GST_SECOND + GST_SECOND / 2, {2, 1}, false), kSample);
}

TEST(Cadence, GoingBackBeforeTheLastSampleIsANewBeginning) {
  Cadence cadence;
  EXPECT_EQ(cadence.tick(10 * GST_SECOND, {2, 1}, false), kRestart);
  EXPECT_EQ(cadence.tick(10 * GST_SECOND + 200, {2, 1}, false), kNone);
  // Frames that are a little out of order are not.
  EXPECT_EQ(cadence.tick(10 * GST_SECOND + 100, {2, 1}, false), kNone);
  EXPECT_EQ(cadence.tick(10 * GST_SECOND - 1, {2, 1}, false), kRestart);
}

TEST(Cadence, BackwardsIsForwardsInReverse) {
  Cadence cadence;
  EXPECT_EQ(cadence.tick(10 * GST_SECOND, {2, 1}, true), kRestart);
  EXPECT_EQ(cadence.tick(9600 * GST_MSECOND, {2, 1}, true), kNone);
  EXPECT_EQ(cadence.tick(9500 * GST_MSECOND, {2, 1}, true), kSample);
  EXPECT_EQ(cadence.tick(11 * GST_SECOND, {2, 1}, true), kRestart);
}

TEST(Cadence, AChangeOfRateBeginsAPeriod) {
  Cadence cadence;
  EXPECT_EQ(cadence.tick(0, {1, 10}, false), kRestart);
  EXPECT_EQ(cadence.tick(100, {1, 10}, false), kNone);
  EXPECT_EQ(cadence.tick(200, {2, 1}, false), kSample);
  EXPECT_EQ(cadence.tick(200 + GST_SECOND / 2 - 1, {2, 1}, false), kNone);
  EXPECT_EQ(cadence.tick(200 + GST_SECOND / 2, {2, 1}, false), kSample);
}

TEST(Cadence, ExtremeRatesAndTimesDoNotOverflow) {
  Cadence cadence;
  EXPECT_EQ(cadence.tick(0, {G_MAXINT, 1}, false), kRestart);
  EXPECT_EQ(cadence.tick(1, {G_MAXINT, 1}, false), kSample);
  EXPECT_EQ(cadence.tick(G_MAXINT64 - 1, {1, G_MAXINT}, false), kSample);
  EXPECT_EQ(cadence.tick(G_MAXINT64, {1, G_MAXINT}, false), kNone);
}

TEST(Elapsed, IsNotKnownOfUnknownTimes) {
  EXPECT_EQ(elapsed(5, 7, false), 2);
  EXPECT_EQ(elapsed(5, 7, true), -2);
  EXPECT_EQ(elapsed(GST_CLOCK_TIME_NONE, 7, false), GST_CLOCK_STIME_NONE);
  EXPECT_EQ(elapsed(5, GST_CLOCK_TIME_NONE, true), GST_CLOCK_STIME_NONE);
}

}  // namespace
}  // namespace moondream
