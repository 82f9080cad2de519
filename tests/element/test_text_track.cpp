#include "text_track.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace moondream {
namespace {

constexpr GstClockTime kFrame = 40 * GST_MSECOND;  // 25 frames a second

FrameAnalysis says(const char *caption, guint64 serial = 1, GstClockTime sample_pts = 0) {
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kHeld;
  analysis.serial = serial;
  analysis.sample_pts = sample_pts;
  analysis.caption = caption;
  return analysis;
}

GstSegment time_segment(GstClockTime start = 0, GstClockTime stop = GST_CLOCK_TIME_NONE,
                        double rate = 1) {
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.rate = rate;
  segment.start = segment.time = segment.position = start;
  segment.stop = stop;
  return segment;
}

// "start-end text" in milliseconds; a gap has no text.
std::string to_text(const TextSpan &span) {
  std::string text =
      std::to_string(span.start / GST_MSECOND) + "-" + std::to_string(span.end / GST_MSECOND);
  return span.is_gap() ? text : text + " " + span.text;
}

// A track that writes down what it is told.
class Told {
 public:
  explicit Told(const GstSegment &segment = time_segment()) { track.set_segment(segment); }

  void frame(GstClockTime pts, const FrameAnalysis &analysis, GstClockTime period = GST_SECOND / 2,
             GstClockTime max_age = GST_CLOCK_TIME_NONE, GstClockTime duration = kFrame) {
    note(track.frame({.pts = pts,
                      .duration = duration,
                      .period = period,
                      .max_age = max_age,
                      .analysis = &analysis},
                     TextContent::kAll));
  }
  void note(const std::optional<TextSpan> &span) {
    if (span) spans.push_back(*span);
  }

  std::vector<std::string> cues() const {
    std::vector<std::string> cues;
    for (const TextSpan &span : spans) {
      if (!span.is_gap()) cues.push_back(to_text(span));
    }
    return cues;
  }
  std::vector<std::string> all() const {
    std::vector<std::string> all;
    for (const TextSpan &span : spans) all.push_back(to_text(span));
    return all;
  }

  TextTrack track;
  std::vector<TextSpan> spans;
};

using Texts = std::vector<std::string>;
const FrameAnalysis kNothing;

// ---- Texts -----------------------------------------------------------------------------------

TEST(TextOf, ContentChoosesAmongCaptionAndAnswers) {
  FrameAnalysis analysis = says("a door");
  analysis.answers = {{"open?", "yes"}, {"red?", "no"}};
  EXPECT_EQ(text_of(analysis, TextContent::kAll), "a door\nyes\nno");
  EXPECT_EQ(text_of(analysis, TextContent::kCaption), "a door");
  EXPECT_EQ(text_of(analysis, TextContent::kAnswers), "yes\nno");
}

TEST(TextOf, WhatIsNotKnownIsNotSaid) {
  FrameAnalysis analysis = says("a door");
  for (const auto status : {AnalysisStatus::kPending, AnalysisStatus::kFailed}) {
    analysis.status = status;
    EXPECT_EQ(text_of(analysis, TextContent::kAll), "");
  }
  for (const auto status :
       {AnalysisStatus::kFresh, AnalysisStatus::kHeld, AnalysisStatus::kPredicted}) {
    analysis.status = status;
    EXPECT_EQ(text_of(analysis, TextContent::kAll), "a door");
  }
}

// An empty line ends a cue of SubRip files, and NUL one of MP4.
TEST(TextOf, EmptyLinesAndControlCharactersDoNotGetThrough) {
  const std::string raw =
      std::string(" \n a  b\t\r\n\n \n<i>c</i> &amp; \x01 d\x7f") + '\0' + "e \n";
  FrameAnalysis analysis = says("");
  analysis.caption = raw;
  EXPECT_EQ(text_of(analysis, TextContent::kAll), "a  b\n<i>c</i> &amp;   d  e");
  analysis.caption = " \n\t \r";
  EXPECT_EQ(text_of(analysis, TextContent::kAll), "");
}

// MP4 writes the length of a text in 16 bits.
TEST(TextOf, LongTextsEndBetweenCharacters) {
  FrameAnalysis analysis = says("");
  analysis.caption = std::string(65534, 'x') + "\u20ac";  // three bytes
  EXPECT_EQ(text_of(analysis, TextContent::kAll), std::string(65534, 'x'));
  analysis.caption = std::string(65532, 'x') + "\u20ac";
  EXPECT_EQ(text_of(analysis, TextContent::kAll).size(), 65535u);
}

// ---- Cues ------------------------------------------------------------------------------------

TEST(TextTrack, AResultIsACueFromItsFirstFrameToTheNextSample) {
  Told told;
  for (GstClockTime pts = 0; pts < 2 * GST_SECOND; pts += kFrame) {
    const guint64 serial = pts / (500 * GST_MSECOND) + 1;
    told.frame(pts, says(("n" + std::to_string(serial)).c_str(), serial));
  }
  // The first frame of each half second, but not before the cue that is out has ended.
  EXPECT_EQ(told.cues(), (Texts{"0-500 n1", "520-1020 n2", "1020-1500 n3", "1520-2020 n4"}));
}

TEST(TextTrack, EveryFrameHasASpanUpToItsEnd) {
  Told told;
  for (int i = 0; i < 4; ++i) told.frame(i * kFrame, kNothing);
  for (int i = 4; i < 8; ++i) told.frame(i * kFrame, says("x"), 3 * kFrame);
  EXPECT_EQ(told.all(), (Texts{"0-40", "40-80", "80-120", "120-160",  //
                               "160-280 x", "200-240", "240-280",     // known in any case
                               "280-400 x"}));
}

TEST(TextTrack, AResultThatIsStillShownGoesOnWithoutAPause) {
  Told told;
  for (int i = 0; i < 40; ++i) told.frame(i * kFrame, says("x"), GST_SECOND / 3);
  ASSERT_GE(told.cues().size(), 3u);
  GstClockTime end = 0;
  for (const TextSpan &span : told.spans) {
    if (span.is_gap()) continue;
    EXPECT_EQ(span.start, end);
    EXPECT_GT(span.end, span.start);
    end = span.end;
  }
  EXPECT_GE(end, 40 * kFrame);
}

// With a cadence of 30 a second and a model that takes two seconds, a text would be 60 cues.
TEST(TextTrack, SlowResultsAreNotCutIntoManyCues) {
  Told told;
  for (int i = 0; i < 250; ++i) {
    const guint64 serial = i / 50 + 1;
    told.frame(i * kFrame, says(std::to_string(serial).c_str(), serial), GST_SECOND / 30);
  }
  // Four a second and result, once it is known how long they take, and a few to find that out.
  EXPECT_LE(told.cues().size(), 5 * 4 + 6u);
}

TEST(TextTrack, CuesNeverOverlapAndNeverGoBack) {
  // Frames that last longer than until the next one, with a new result each.
  Told told;
  for (int i = 0; i < 20; ++i) {
    told.frame(i * 33 * GST_MSECOND, says(std::to_string(i).c_str(), i + 1), 0, GST_CLOCK_TIME_NONE,
               50 * GST_MSECOND);
  }
  GstClockTime end = 0;
  int cues = 0;
  for (const TextSpan &span : told.spans) {
    if (span.is_gap()) continue;
    EXPECT_GE(span.start, end);
    EXPECT_GT(span.end, span.start);
    end = span.end;
    ++cues;
  }
  EXPECT_EQ(cues, 20);
}

TEST(TextTrack, ANewResultWaitsForTheEndOfACueThatIsOut) {
  Told told;
  told.frame(0, says("old", 1), GST_SECOND);
  told.frame(600 * GST_MSECOND, says("new", 2), GST_SECOND);
  EXPECT_EQ(told.cues(), (Texts{"0-1000 old", "1000-1600 new"}));
}

TEST(TextTrack, EveryFrameSampledIsACueForEveryFrame) {
  Told told;
  for (int i = 0; i < 3; ++i) told.frame(i * kFrame, says("x", i + 1), 0);
  EXPECT_EQ(told.cues(), (Texts{"0-40 x", "40-80 x", "80-120 x"}));
}

TEST(TextTrack, ACueEndsWithTheLastFrameThatMayShowItsResult) {
  Told told;
  told.frame(0, says("x"), 10 * GST_SECOND, GST_SECOND);
  EXPECT_EQ(told.cues(), (Texts{"0-1040 x"}));
  // None but its own.
  Told own;
  own.frame(0, says("x"), 10 * GST_SECOND, 0);
  EXPECT_EQ(own.cues(), (Texts{"0-40 x"}));
}

TEST(TextTrack, AfterSilenceACueBeginsWithItsFrame) {
  Told told;
  told.frame(0, says("x"), kFrame);
  told.frame(40 * GST_MSECOND, kNothing, kFrame);
  told.frame(80 * GST_MSECOND, kNothing, kFrame);
  told.frame(120 * GST_MSECOND, says("x"), kFrame);
  EXPECT_EQ(told.all(), (Texts{"0-40 x", "40-80", "80-120", "120-240 x"}));
}

TEST(TextTrack, SilenceInTheTimeOfACueEndsWithIt) {
  Told told;
  told.frame(0, says("x"), 60 * GST_MSECOND);
  told.frame(40 * GST_MSECOND, kNothing);
  told.frame(80 * GST_MSECOND, kNothing);
  EXPECT_EQ(told.all(), (Texts{"0-60 x", "40-60", "80-120"}));
}

TEST(TextTrack, FramesWithoutDurationLastUntilTheNext) {
  Told told;
  for (int i = 1; i <= 3; ++i) {
    told.frame(i * GST_SECOND, says("x", i), 0, GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE);
  }
  EXPECT_EQ(told.cues(), (Texts{"1000-1040 x", "2000-3000 x", "3000-4000 x"}));
}

// ---- Streams ---------------------------------------------------------------------------------

TEST(TextTrack, NothingIsSaidOutsideOfTheSegment) {
  Told told(time_segment(100 * GST_MSECOND, 300 * GST_MSECOND));
  told.frame(0, kNothing);
  told.frame(80 * GST_MSECOND, says("x"));
  told.frame(400 * GST_MSECOND, says("y", 2));
  told.note(told.track.gap(GST_SECOND, GST_SECOND));
  EXPECT_EQ(told.all(), (Texts{"100-300 x"}));
}

TEST(TextTrack, BackwardsOrWithoutTimesItIsSilent) {
  Told backwards(time_segment(0, GST_SECOND, -1));
  backwards.frame(40 * GST_MSECOND, says("x"));
  EXPECT_EQ(backwards.cues(), Texts{});
  Told untimed;
  untimed.frame(GST_CLOCK_TIME_NONE, says("x"));
  untimed.note(untimed.track.gap(GST_CLOCK_TIME_NONE, GST_CLOCK_TIME_NONE));
  EXPECT_EQ(untimed.all(), Texts{});
  GstSegment bytes;
  gst_segment_init(&bytes, GST_FORMAT_BYTES);
  Told other(bytes);
  other.frame(0, says("x"));
  EXPECT_EQ(other.all(), Texts{});
}

TEST(TextTrack, AnotherSegmentBeginsAgainAndTheSameDoesNot) {
  Told told;
  told.frame(GST_SECOND, says("x"));
  told.track.set_segment(time_segment());
  told.frame(1040 * GST_MSECOND, says("x"));
  told.track.set_segment(time_segment(0, 5 * GST_SECOND));
  told.frame(0, says("x"));
  told.track.reset();
  told.frame(40 * GST_MSECOND, says("x"));  // it has no segment
  EXPECT_EQ(told.cues(), (Texts{"1000-1500 x", "0-500 x"}));
}

TEST(TextTrack, GapsOfTheVideoAreGaps) {
  Told told;
  told.note(told.track.gap(0, GST_SECOND));
  told.frame(GST_SECOND, says("x"));
  told.note(told.track.gap(1040 * GST_MSECOND, GST_SECOND));
  EXPECT_EQ(told.all(), (Texts{"0-1000", "1000-1500 x", "1040-1500"}));
}

}  // namespace
}  // namespace moondream
