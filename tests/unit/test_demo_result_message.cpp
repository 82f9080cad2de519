#include <gst/gst.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "gst_ref.h"
#include "gstmoondreammeta.h"
#include "result_message.h"

namespace scenes {
namespace {

moondream::FrameAnalysis found() {
  moondream::FrameAnalysis analysis;
  analysis.status = moondream::AnalysisStatus::kFresh;
  analysis.sample_pts = 40'000'000;
  analysis.serial = 7;
  analysis.model = "demo model";
  return analysis;
}

class DemoResultMessage : public testing::Test {
 protected:
  // As gst-launch-1.0 -m prints it.
  static std::string line(const moondream::FrameAnalysis &analysis) {
    const GstRef<GstStructure> result(moondream::to_structure(analysis, "moondream-result"));
    gst_structure_set(result.get(), "pts", G_TYPE_UINT64, analysis.sample_pts, "running-time",
                      G_TYPE_UINT64, guint64{60'000'000}, "width", G_TYPE_INT, 640, nullptr);
    return line(result.get());
  }
  static std::string line(const GstStructure *result) {
    gchar *text = gst_structure_to_string(result);
    const std::string line =
        std::string("Got message #25 from element \"moondreamfilter0\" (element): ") + text;
    g_free(text);
    return line;
  }
};

TEST_F(DemoResultMessage, NumbersAndTextsKeepTheirValues) {
  const auto json = parse_result_message(line(found()));
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["status"], "fresh");
  EXPECT_EQ((*json)["pts"], 40'000'000);
  EXPECT_EQ((*json)["running_time"], 60'000'000);
  EXPECT_TRUE((*json)["stream_time"].is_null());
  EXPECT_EQ((*json)["serial"], 7);
  EXPECT_EQ((*json)["width"], 640);
  EXPECT_EQ((*json)["model"], "demo model");
  EXPECT_TRUE((*json)["age"].is_null());
  EXPECT_TRUE((*json)["objects"].empty());
  EXPECT_FALSE(json->contains("caption"));
}

// The printed form nests structures in arrays by quoting them twice; nothing may get lost on the
// way there and back.
TEST_F(DemoResultMessage, NestedStructuresSurvivePrinting) {
  moondream::FrameAnalysis analysis = found();
  analysis.objects = {
      {"license \"plate\"; a, b", 0.1, {1.0 / 3, 1e-7 / 3, 2.0 / 3, 1}, 7, 0},
      {"face", 1, {0, 0, 1, 1}, 8, 1},
  };
  analysis.points = {{"ball", 0.5, {0.7, 0}}};
  analysis.gaze = {{{0.25, 0}, {0, 0.75}}};
  analysis.answers = {{"Why?", "{<[(\n)]>}\t\\"}};
  const auto json = parse_result_message(line(analysis));
  ASSERT_TRUE(json);
  const auto objects = objects_of(*json);
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects[0].label, "license \"plate\"; a, b");
  EXPECT_EQ(objects[0].box.x_min, 1.0 / 3);
  EXPECT_EQ(objects[0].box.y_min, 1e-7 / 3);
  EXPECT_EQ(objects[1].label, "face");
  EXPECT_EQ((*json)["objects"][0]["id"], 7);
  EXPECT_EQ((*json)["answers"][0]["answer"], "{<[(\n)]>}\t\\");
  EXPECT_EQ((*json)["points"][0]["x"], 0.7);
  EXPECT_EQ((*json)["gaze"][0]["from"]["x"], 0.25);
  EXPECT_EQ((*json)["gaze"][0]["to"]["y"], 0.75);
}

TEST_F(DemoResultMessage, CaptionsMayHoldAnyText) {
  moondream::FrameAnalysis analysis = found();
  analysis.caption = "A \"red\" star;\nt\xc3\xa9t\xc3\xa9 \\ , < > = (int)5";
  EXPECT_EQ(line(analysis).find('\n'), std::string::npos);
  EXPECT_EQ(parse_result_message(line(analysis)).value()["caption"], *analysis.caption);
}

TEST_F(DemoResultMessage, OtherLinesAreNone) {
  EXPECT_FALSE(parse_result_message(""));
  EXPECT_FALSE(parse_result_message("Setting pipeline to PLAYING ..."));
  EXPECT_FALSE(parse_result_message("Got message #9 from element \"p\" (eos): no message details"));
  EXPECT_FALSE(parse_result_message("Got message #9 from element \"l\" (element): level;"));
}

TEST_F(DemoResultMessage, DamagedResultsAreErrors) {
  const std::string whole = line(found());
  EXPECT_THROW(parse_result_message(whole.substr(0, whole.find("fresh") - 4)), std::runtime_error);
  const GstRef<GstStructure> result(moondream::to_structure(found(), "moondream-result"));
  gst_structure_set(result.get(), "objects", G_TYPE_INT, 3, nullptr);
  EXPECT_THROW(parse_result_message(line(result.get())), std::runtime_error);
}

}  // namespace
}  // namespace scenes
