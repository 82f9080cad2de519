#include "analysis_json.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace moondream {
namespace {

FrameAnalysis everything() {
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kHeld;
  analysis.sample_pts = 2 * GST_SECOND;
  analysis.age = 40 * GST_MSECOND;
  analysis.serial = 7;
  analysis.model = "moondream2";
  analysis.objects = {{"red \"car\"", 0.5, {0.125, 0.25, 0.375, 0.75}, 3, 1}};
  analysis.points = {{"nose", 0.25, {0.5, 0.0625}, 4}};
  analysis.gaze = {{{0.5, 0.25}, {0.75, 1}}};
  analysis.caption = "Two lines\nof text";
  analysis.answers = {{"Why?", "Because."}};
  return analysis;
}

const FramePlace kPlace{.pts = 2040 * GST_MSECOND,
                        .running_time = 1040 * GST_MSECOND,
                        .stream_time = 2040 * GST_MSECOND,
                        .width = 640,
                        .height = 360};

// Programs that others write read this line: the names, their order and the units are a contract.
TEST(AnalysisJson, EveryFieldHasItsNameAndPlace) {
  EXPECT_EQ(to_line(to_json(everything(), kPlace)),
            R"({"pts":2040000000,"running_time":1040000000,"stream_time":2040000000,)"
            R"("serial":7,"status":"held","age":40000000,"width":640,"height":360,)"
            R"("model":"moondream2",)"
            R"("objects":[{"label":"red \"car\"","score":0.5,"x_min":0.125,"y_min":0.25,)"
            R"("x_max":0.375,"y_max":0.75,"id":3}],)"
            R"("points":[{"label":"nose","score":0.25,"x":0.5,"y":0.0625,"id":4}],)"
            R"("gaze":[{"from":{"x":0.5,"y":0.25},"to":{"x":0.75,"y":1.0}}],)"
            R"("caption":"Two lines\nof text",)"
            R"("answers":[{"question":"Why?","answer":"Because."}]})");
}

// As the reference implementation returns it.
TEST(AnalysisJson, AnAnswerThatWasThoughtOverHasItsReasoning) {
  FrameAnalysis analysis;
  analysis.answers = {
      {"Where?", "Here.",
       Reasoning{.text = "One h\u00e9re, one there.",
                 .grounding = {{.start_idx = 4, .end_idx = 8, .points = {{0.25, 0.5}, {1, 0}}},
                               {.start_idx = 10, .end_idx = 13, .points = {}}}}},
      {"Thinking of nothing?", "Yes.", Reasoning{}}};
  const auto json = nlohmann::json::parse(to_line(to_json(analysis, kPlace)));
  EXPECT_EQ(json["answers"].dump(), nlohmann::json::parse(R"([
      {"question":"Where?","answer":"Here.","reasoning":{"text":"One h\u00e9re, one there.",
       "grounding":[{"start_idx":4,"end_idx":8,"points":[[0.25,0.5],[1.0,0.0]]},
                    {"start_idx":10,"end_idx":13,"points":[]}]}},
      {"question":"Thinking of nothing?","answer":"Yes.","reasoning":{"text":"","grounding":[]}}])")
                                        .dump());
}

TEST(AnalysisJson, WhatIsNotKnownIsNullAndWhatWasNotAskedForIsAbsentOrEmpty) {
  EXPECT_EQ(to_line(to_json({}, {})),
            R"({"pts":null,"running_time":null,"stream_time":null,"serial":0,"status":"pending",)"
            R"("age":null,"width":null,"height":null,"model":"","objects":[],"points":[],)"
            R"("gaze":[],"answers":[]})");
}

TEST(AnalysisJson, NumbersComeBackAsTheyWere) {
  FrameAnalysis analysis = everything();
  analysis.objects[0].box.x_min = 1.0 / 3;
  analysis.serial = G_MAXUINT64;
  const auto json = nlohmann::json::parse(to_line(to_json(analysis, kPlace)));
  EXPECT_EQ(json["objects"][0]["x_min"].get<double>(), 1.0 / 3);
  EXPECT_EQ(json["serial"].get<guint64>(), G_MAXUINT64);
}

// It cannot come so far; a line that breaks its reader, or an exception on a streaming thread,
// would be the worse answer if it did.
TEST(AnalysisJson, DamagedTextAndNumbersStillMakeAValidLine) {
  FrameAnalysis analysis = everything();
  analysis.caption = "caf\xe9 \xed\xa0\x80 \xff";
  analysis.answers = {{std::string("a\0b", 3), "\x01\x7f"}};
  analysis.objects[0].score = std::numeric_limits<double>::quiet_NaN();
  analysis.points[0].point.x = std::numeric_limits<double>::infinity();
  const std::string line = to_line(to_json(analysis, kPlace));
  EXPECT_TRUE(g_utf8_validate(line.data(), static_cast<gssize>(line.size()), nullptr));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(line);
  EXPECT_TRUE(json["objects"][0]["score"].is_null());
  EXPECT_TRUE(json["points"][0]["x"].is_null());
  EXPECT_EQ(json["answers"][0]["question"], std::string("a\0b", 3));
}

TEST(AnalysisJson, TimesAreThoseOfTheSegment) {
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.start = 10 * GST_SECOND;
  segment.time = 3 * GST_SECOND;
  segment.base = GST_SECOND;
  const FramePlace place = place_of(12 * GST_SECOND, segment, 4, 2);
  EXPECT_EQ(place.pts, 12 * GST_SECOND);
  EXPECT_EQ(place.running_time, 3 * GST_SECOND);
  EXPECT_EQ(place.stream_time, 5 * GST_SECOND);
  const FramePlace unknown = place_of(GST_CLOCK_TIME_NONE, segment, 4, 2);
  EXPECT_EQ(unknown.running_time, GST_CLOCK_TIME_NONE);
  gst_segment_init(&segment, GST_FORMAT_BYTES);
  EXPECT_EQ(place_of(12, segment, 4, 2).stream_time, GST_CLOCK_TIME_NONE);
}

}  // namespace
}  // namespace moondream
