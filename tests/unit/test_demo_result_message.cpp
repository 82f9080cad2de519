#include <gst/gst.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "gst_ref.h"
#include "result_message.h"

namespace scenes {
namespace {

void append(GValue *array, GstStructure *item) {
  GValue value = G_VALUE_INIT;
  g_value_init(&value, GST_TYPE_STRUCTURE);
  g_value_take_boxed(&value, item);
  gst_value_array_append_and_take_value(array, &value);
}

class DemoResultMessage : public testing::Test {
 protected:
  static void SetUpTestSuite() { gst_init(nullptr, nullptr); }

  void add_array(const char *name, std::initializer_list<GstStructure *> items) {
    GValue array = G_VALUE_INIT;
    gst_value_array_init(&array, static_cast<guint>(items.size()));
    for (GstStructure *item : items) append(&array, item);
    gst_structure_take_value(result_.get(), name, &array);
  }

  // As gst-launch-1.0 -m prints it.
  std::string line() const {
    gchar *text = gst_structure_to_string(result_.get());
    const std::string line =
        std::string("Got message #25 from element \"moondreamfilter0\" (element): ") + text;
    g_free(text);
    return line;
  }

  const GstRef<GstStructure> result_{
      gst_structure_new("moondream-result", "status", G_TYPE_STRING, "fresh", "sample-pts",
                        G_TYPE_UINT64, G_GUINT64_CONSTANT(40'000'000), "age", G_TYPE_UINT64,
                        GST_CLOCK_TIME_NONE, "serial", G_TYPE_UINT64, G_GUINT64_CONSTANT(7),
                        "width", G_TYPE_INT, 640, "model", G_TYPE_STRING, "demo model", nullptr)};
};

TEST_F(DemoResultMessage, NumbersAndTextsKeepTheirValues) {
  const auto json = parse_result_message(line());
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["status"], "fresh");
  EXPECT_EQ((*json)["pts"], 40'000'000);
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
  add_array("objects",
            {gst_structure_new("object", "label", G_TYPE_STRING, "license \"plate\"; a, b", "score",
                               G_TYPE_DOUBLE, 0.1, "x_min", G_TYPE_DOUBLE, 1.0 / 3, "y_min",
                               G_TYPE_DOUBLE, 1e-7 / 3, "x_max", G_TYPE_DOUBLE, 2.0 / 3, "y_max",
                               G_TYPE_DOUBLE, 1.0, "id", G_TYPE_UINT, 7u, nullptr),
             gst_structure_new("object", "label", G_TYPE_STRING, "face", "x_min", G_TYPE_DOUBLE,
                               0.0, "y_min", G_TYPE_DOUBLE, 0.0, "x_max", G_TYPE_DOUBLE, 1.0,
                               "y_max", G_TYPE_DOUBLE, 1.0, nullptr)});
  add_array("answers", {gst_structure_new("answer", "question", G_TYPE_STRING, "Why?", "answer",
                                          G_TYPE_STRING, "{<[(\n)]>}\t\\", nullptr)});
  add_array("points", {gst_structure_new("point", "label", G_TYPE_STRING, "ball", "x",
                                         G_TYPE_DOUBLE, 0.7, nullptr)});
  add_array("gaze", {gst_structure_new("gaze", "from-x", G_TYPE_DOUBLE, 0.25, "to-y", G_TYPE_DOUBLE,
                                       0.75, nullptr)});
  const auto json = parse_result_message(line());
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
  const char *caption = "A \"red\" star;\nt\xc3\xa9t\xc3\xa9 \\ , < > = (int)5";
  gst_structure_set(result_.get(), "caption", G_TYPE_STRING, caption, nullptr);
  EXPECT_EQ(line().find('\n'), std::string::npos);
  EXPECT_EQ(parse_result_message(line()).value()["caption"], caption);
}

TEST_F(DemoResultMessage, OtherLinesAreNone) {
  EXPECT_FALSE(parse_result_message(""));
  EXPECT_FALSE(parse_result_message("Setting pipeline to PLAYING ..."));
  EXPECT_FALSE(parse_result_message("Got message #9 from element \"p\" (eos): no message details"));
  EXPECT_FALSE(parse_result_message("Got message #9 from element \"l\" (element): level;"));
}

TEST_F(DemoResultMessage, DamagedResultsAreErrors) {
  const std::string whole = line();
  EXPECT_THROW(parse_result_message(whole.substr(0, whole.find("fresh") - 4)), std::runtime_error);
  gst_structure_set(result_.get(), "objects", G_TYPE_INT, 3, nullptr);
  EXPECT_THROW(parse_result_message(line()), std::runtime_error);
}

}  // namespace
}  // namespace scenes
