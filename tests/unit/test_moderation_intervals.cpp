#include "moderation_intervals.h"

#include <gtest/gtest.h>

#include <string>

namespace moondream::moderation {
namespace {

constexpr GstClockTime kFrame = 100 * GST_MSECOND;

FramePlace place(int frame) {
  const GstClockTime time = frame * kFrame;
  return {.pts = time, .running_time = time, .stream_time = time};
}

// Feeds a tracker one frame for each letter: s(top), c(lean) or u(nknown), upper case with a new
// result, lower case with the one before. The answer has, for each frame, S or U where it is in an
// interval and a dot where in none.
class ModerationIntervals : public testing::Test {
 protected:
  std::string follow(const std::string &frames) {
    std::string treated;
    for (const char letter : frames) {
      add(letter);
      const auto &current = tracker_.current();
      treated += !current ? '.' : current->kind == Interval::Kind::kStop ? 'S' : 'U';
    }
    return treated;
  }

  void add(char letter) { add(letter, place(frame_), place(frame_ + 1)); }
  void add(char letter, const FramePlace &here, const FramePlace &next) {
    if (g_ascii_isupper(letter)) ++serial_;
    Verdict verdict;
    verdict.serial = serial_;
    switch (g_ascii_tolower(letter)) {
      case 's':
        verdict.kind = Verdict::Kind::kStop;
        verdict.triggers = {{Trigger::Kind::kObject, "gun", "", 0.1 * frame_}};
        break;
      case 'c':
        verdict.kind = Verdict::Kind::kClean;
        break;
      default:
        verdict.reason = "pending";
    }
    keep(tracker_.add(verdict, here, next, hysteresis_));
    ++frame_;
  }
  void finish() { keep(tracker_.finish()); }

  void keep(const std::vector<Change> &changes) {
    changes_.insert(changes_.end(), changes.begin(), changes.end());
  }

  IntervalTracker tracker_;
  Hysteresis hysteresis_{.release_after = 0};
  std::vector<Change> changes_;
  int frame_ = 0;
  guint64 serial_ = 0;
};

TEST_F(ModerationIntervals, WithoutHysteresisEachFrameIsTreatedAsItsVerdictSays) {
  EXPECT_EQ(follow("CSsCcUSu"), ".SS..USS");
}

TEST_F(ModerationIntervals, BeginAndEndAreTheFirstFrameInAndTheFirstBehind) {
  follow("CSsC");
  ASSERT_EQ(changes_.size(), 2u);
  EXPECT_TRUE(changes_[0].begins);
  EXPECT_EQ(changes_[0].interval.begin.stream_time, 1 * kFrame);
  EXPECT_FALSE(changes_[1].begins);
  const Interval &interval = changes_[1].interval;
  EXPECT_EQ(interval.begin.stream_time, 1 * kFrame);
  EXPECT_EQ(interval.end.stream_time, 3 * kFrame);
  EXPECT_EQ(interval.frames, 2u);
  ASSERT_EQ(interval.triggers.size(), 1u);
  EXPECT_DOUBLE_EQ(interval.triggers[0].score, 0.2) << "the highest of both frames";
}

TEST_F(ModerationIntervals, AnOpenIntervalEndsWithTheLastFrame) {
  follow("CS");
  finish();
  ASSERT_EQ(changes_.size(), 2u);
  EXPECT_FALSE(changes_[1].begins);
  EXPECT_EQ(changes_[1].interval.end.stream_time, 2 * kFrame);
  finish();
  EXPECT_EQ(changes_.size(), 2u) << "once";
}

TEST_F(ModerationIntervals, UnknownAndStopFollowEachOtherWithoutAGap) {
  follow("US");
  ASSERT_EQ(changes_.size(), 3u);
  EXPECT_EQ(changes_[0].interval.kind, Interval::Kind::kUnknown);
  EXPECT_EQ(changes_[0].interval.reason, "pending");
  EXPECT_FALSE(changes_[1].begins);
  EXPECT_EQ(changes_[1].interval.end.pts, changes_[2].interval.begin.pts);
  EXPECT_TRUE(changes_[2].begins);
  EXPECT_EQ(changes_[2].interval.kind, Interval::Kind::kStop);
}

// ---- Trigger ---------------------------------------------------------------------------------

TEST_F(ModerationIntervals, ASingleFalseAlarmDoesNotTriggerWhereSeveralResultsMust) {
  hysteresis_.trigger_results = 2;
  EXPECT_EQ(follow("CSssCSsSC"), ".......S.");
  EXPECT_EQ(changes_[0].interval.since.stream_time, 5 * kFrame) << "of the second alarm";
}

TEST_F(ModerationIntervals, ItTriggersWhenItHasLasted) {
  hysteresis_.trigger_after = 3 * kFrame;
  EXPECT_EQ(follow("SssSsCSssC"), "...SS.....");
}

TEST_F(ModerationIntervals, BothTheCountAndTheTimeMustBeReached) {
  hysteresis_.trigger_results = 3;
  hysteresis_.trigger_after = 2 * kFrame;
  EXPECT_EQ(follow("SsssSS"), ".....S");
  frame_ = 0;
  EXPECT_EQ(follow("CCSSSC"), "....S.");
}

// What is not known must not make an alarm forgotten.
TEST_F(ModerationIntervals, AnAlarmSurvivesFramesOfWhichNothingIsKnown) {
  hysteresis_.trigger_results = 2;
  EXPECT_EQ(follow("CSUS"), "..US");
}

// ---- Release ---------------------------------------------------------------------------------

TEST_F(ModerationIntervals, ItIsReleasedWhenItHasBeenCleanForSoLong) {
  hysteresis_.release_after = 3 * kFrame;
  EXPECT_EQ(follow("SCccc"), "SSSS.");
  EXPECT_EQ(changes_.back().interval.end.stream_time, 4 * kFrame);
}

TEST_F(ModerationIntervals, ItIsReleasedAfterSoManyResults) {
  hysteresis_.release_results = 2;
  EXPECT_EQ(follow("SCcccCc"), "SSSSS..");
}

TEST_F(ModerationIntervals, WhatIsNotKnownDoesNotReleaseAndIsNotClean) {
  hysteresis_.release_after = 2 * kFrame;
  EXPECT_EQ(follow("SCcUCcc"), "SSSSSS.");
}

TEST_F(ModerationIntervals, AnotherAlarmBeforeTheReleaseIsTheSameInterval) {
  hysteresis_.release_after = 3 * kFrame;
  EXPECT_EQ(follow("SCcSCccc"), "SSSSSSS.");
  EXPECT_EQ(changes_.size(), 2u);
}

// ---- Times -----------------------------------------------------------------------------------

// A stream without timestamps is stopped at once, and not released by a time that nobody knows.
TEST_F(ModerationIntervals, UnknownTimesTriggerAndDoNotRelease) {
  hysteresis_.trigger_after = GST_SECOND;
  hysteresis_.release_after = GST_SECOND;
  add('S', {}, {});
  EXPECT_TRUE(tracker_.current());
  for (int i = 0; i < 100; ++i) add('C', {}, {});
  EXPECT_TRUE(tracker_.current());
  hysteresis_.release_after = 0;
  add('C', {}, {});
  EXPECT_FALSE(tracker_.current());
}

TEST_F(ModerationIntervals, TimesCountInEitherDirectionOfPlay) {
  hysteresis_.trigger_after = 2 * kFrame;
  add('S', place(9), place(8));
  add('s', place(8), place(7));
  EXPECT_FALSE(tracker_.current());
  add('s', place(7), place(6));
  EXPECT_TRUE(tracker_.current());
}

TEST_F(ModerationIntervals, AfterAJumpTheCountingBeginsAnew) {
  hysteresis_.trigger_results = 2;
  follow("S");
  finish();
  EXPECT_EQ(follow("SS"), ".S");
}

}  // namespace
}  // namespace moondream::moderation
