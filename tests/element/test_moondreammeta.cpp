#include "gstmoondreammeta.h"

#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "pointers.h"

#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

namespace moondream {
namespace {

FrameAnalysis example() {
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kHeld;
  analysis.sample_pts = 5;
  analysis.age = 7;
  analysis.serial = 3;
  analysis.model = "demo";
  analysis.objects = {{"face", 0.5, {0.1, 0.2, 0.3, 0.4}, 3, 0},
                      {"plate", 0.25, {0, 0, 1, 1}, 7, 1}};
  analysis.points = {{"eye", 0.75, {0.5, 0.625}, 9}};
  analysis.gaze = {{{0.1, 0.2}, {0.3, 0.4}}};
  analysis.caption = "Zwölf Boxkämpfer; \"quoted\", {braced}";
  analysis.answers = {{"Who?", "Nobody."}};
  return analysis;
}

void expect_equal(const FrameAnalysis &a, const FrameAnalysis &b) {
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.sample_pts, b.sample_pts);
  EXPECT_EQ(a.age, b.age);
  EXPECT_EQ(a.serial, b.serial);
  EXPECT_EQ(a.model, b.model);
  ASSERT_EQ(a.objects.size(), b.objects.size());
  for (std::size_t i = 0; i < a.objects.size(); ++i) {
    EXPECT_EQ(a.objects[i].label, b.objects[i].label);
    EXPECT_EQ(a.objects[i].score, b.objects[i].score);
    EXPECT_EQ(a.objects[i].box.x_min, b.objects[i].box.x_min);
    EXPECT_EQ(a.objects[i].box.y_min, b.objects[i].box.y_min);
    EXPECT_EQ(a.objects[i].box.x_max, b.objects[i].box.x_max);
    EXPECT_EQ(a.objects[i].box.y_max, b.objects[i].box.y_max);
    EXPECT_EQ(a.objects[i].id, b.objects[i].id);
    EXPECT_EQ(a.objects[i].label_id, b.objects[i].label_id);
  }
  ASSERT_EQ(a.points.size(), b.points.size());
  for (std::size_t i = 0; i < a.points.size(); ++i) {
    EXPECT_EQ(a.points[i].label, b.points[i].label);
    EXPECT_EQ(a.points[i].score, b.points[i].score);
    EXPECT_EQ(a.points[i].id, b.points[i].id);
    EXPECT_EQ(a.points[i].point.x, b.points[i].point.x);
    EXPECT_EQ(a.points[i].point.y, b.points[i].point.y);
  }
  ASSERT_EQ(a.gaze.size(), b.gaze.size());
  for (std::size_t i = 0; i < a.gaze.size(); ++i) {
    EXPECT_EQ(a.gaze[i].from.x, b.gaze[i].from.x);
    EXPECT_EQ(a.gaze[i].from.y, b.gaze[i].from.y);
    EXPECT_EQ(a.gaze[i].to.x, b.gaze[i].to.x);
    EXPECT_EQ(a.gaze[i].to.y, b.gaze[i].to.y);
  }
  EXPECT_EQ(a.caption, b.caption);
  ASSERT_EQ(a.answers.size(), b.answers.size());
  for (std::size_t i = 0; i < a.answers.size(); ++i) {
    EXPECT_EQ(a.answers[i].question, b.answers[i].question);
    EXPECT_EQ(a.answers[i].answer, b.answers[i].answer);
  }
}

TEST(MoondreamMeta, WhatIsAttachedIsRead) {
  const BufferPtr buffer(gst_buffer_new());
  EXPECT_FALSE(read_analysis(buffer.get()));
  attach_analysis(buffer.get(), example(), 100, 100);
  const auto read = read_analysis(buffer.get());
  ASSERT_TRUE(read);
  expect_equal(*read, example());
  // Another takes its place.
  attach_analysis(buffer.get(), FrameAnalysis{}, 100, 100);
  expect_equal(read_analysis(buffer.get()).value(), FrameAnalysis{});
}

TEST(MoondreamMeta, EveryStatusHasItsName) {
  for (const AnalysisStatus status :
       {AnalysisStatus::kFresh, AnalysisStatus::kHeld, AnalysisStatus::kPredicted,
        AnalysisStatus::kPending, AnalysisStatus::kFailed}) {
    FrameAnalysis analysis;
    analysis.status = status;
    GstStructure *structure = to_structure(analysis, "name");
    EXPECT_STREQ(gst_structure_get_string(structure, "status"), to_string(status));
    EXPECT_EQ(from_structure(structure)->status, status);
    gst_structure_free(structure);
  }
  EXPECT_STREQ(to_string(AnalysisStatus::kPredicted), "predicted");
}

TEST(MoondreamMeta, TheStructureIsTextAndBack) {
  GstStructure *structure = to_structure(example(), "moondream-result");
  gchar *text = gst_structure_to_string(structure);
  GstStructure *again = gst_structure_from_string(text, nullptr);
  ASSERT_TRUE(again) << text;
  expect_equal(from_structure(again).value(), example());
  gst_structure_free(again);
  g_free(text);
  gst_structure_free(structure);
}

TEST(MoondreamMeta, AMalformedStructureIsNone) {
  const auto damaged = [](auto damage) {
    GstStructure *structure = to_structure(example(), "moondream");
    damage(structure);
    const bool readable = from_structure(structure).has_value();
    gst_structure_free(structure);
    return !readable;
  };
  EXPECT_FALSE(damaged([](GstStructure *) {}));
  for (const char *field :
       {"status", "sample-pts", "age", "serial", "model", "objects", "points", "gaze", "answers"}) {
    EXPECT_TRUE(damaged([&](GstStructure *s) { gst_structure_remove_field(s, field); })) << field;
    EXPECT_TRUE(damaged([&](GstStructure *s) {
      gst_structure_set(s, field, G_TYPE_BOOLEAN, TRUE, nullptr);
    })) << field;
  }
  EXPECT_TRUE(damaged(
      [](GstStructure *s) { gst_structure_set(s, "status", G_TYPE_STRING, "splendid", nullptr); }));
  EXPECT_TRUE(
      damaged([](GstStructure *s) { gst_structure_set(s, "caption", G_TYPE_INT, 1, nullptr); }));
  // Numbers that would mislead whoever covers what they name.
  FrameAnalysis analysis = example();
  for (const Box &box : {Box{std::numeric_limits<double>::quiet_NaN(), 0, 1, 1}, Box{0, 0, 2, 1},
                         Box{0.5, 0, 0.5, 1}}) {
    analysis.objects[0].box = box;
    GstStructure *structure = to_structure(analysis, "moondream");
    EXPECT_FALSE(from_structure(structure));
    gst_structure_free(structure);
  }
  EXPECT_FALSE(from_structure(nullptr));
}

TEST(MoondreamMeta, ARegionIsAtLeastOnePixelInsideTheFrame) {
  FrameAnalysis analysis = example();
  analysis.objects = {{"dot", 1, {1 - 1e-9, 1 - 1e-9, 1, 1}, 0, 0},
                      {"origin", 1, {0, 0, 1e-9, 1e-9}, 0, 0}};
  const BufferPtr buffer(gst_buffer_new());
  attach_analysis(buffer.get(), analysis, 1, 7);
  gpointer state = nullptr;
  int regions = 0;
  while (auto *roi =
             reinterpret_cast<GstVideoRegionOfInterestMeta *>(gst_buffer_iterate_meta_filtered(
                 buffer.get(), &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    EXPECT_EQ(roi->w, 1u);
    EXPECT_EQ(roi->h, 1u);
    EXPECT_EQ(roi->x, 0u);
    EXPECT_TRUE(roi->y == 0 || roi->y == 6);
    ++regions;
  }
  EXPECT_EQ(regions, 2);
}

TEST(MoondreamMeta, RegionsOfOtherElementsStay) {
  const BufferPtr buffer(gst_buffer_new());
  gst_buffer_add_video_region_of_interest_meta(buffer.get(), "other", 1, 2, 3, 4);
  attach_analysis(buffer.get(), example(), 10, 10);
  EXPECT_EQ(gst_buffer_get_n_meta(buffer.get(), GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE), 3u);
}

#ifdef HAVE_ANALYTICS
TEST(MoondreamMeta, ABoxIsAnObjectDetectionThatIsTrackedBesideThoseOfOthers) {
  const BufferPtr buffer(gst_buffer_new());
  GstAnalyticsRelationMeta *relations = gst_buffer_add_analytics_relation_meta(buffer.get());
  GstAnalyticsODMtd other;
  gst_analytics_relation_meta_add_od_mtd(relations, g_quark_from_string("other"), 1, 2, 3, 4, 1,
                                         &other);
  FrameAnalysis analysis = example();
  analysis.objects[0].first_seen = 2;
  attach_analysis(buffer.get(), analysis, 10, 10);
  // Each is a detection and its track.
  EXPECT_EQ(gst_analytics_relation_get_length(relations), 5u);
  gpointer state = nullptr;
  std::size_t position = 0;
  while (auto *roi =
             reinterpret_cast<GstVideoRegionOfInterestMeta *>(gst_buffer_iterate_meta_filtered(
                 buffer.get(), &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    ASSERT_LT(position, analysis.objects.size());
    const AnalysisObject &object = analysis.objects[position++];
    const guint id = static_cast<guint>(roi->id);
    EXPECT_NE(id, other.id);
    GstAnalyticsODMtd detection;
    ASSERT_TRUE(gst_analytics_relation_meta_get_od_mtd(relations, id, &detection));
    EXPECT_EQ(g_quark_to_string(gst_analytics_od_mtd_get_obj_type(&detection)), object.label);
    gint x, y, width, height;
    gfloat score;
    ASSERT_TRUE(gst_analytics_od_mtd_get_location(&detection, &x, &y, &width, &height, &score));
    EXPECT_EQ(x, std::lround(object.box.x_min * 10));
    EXPECT_EQ(y + height, std::lround(object.box.y_max * 10));
    EXPECT_FLOAT_EQ(score, static_cast<float>(object.score));
    GstAnalyticsTrackingMtd tracking;
    gpointer related = nullptr;
    ASSERT_TRUE(gst_analytics_relation_meta_get_direct_related(
        relations, id, GST_ANALYTICS_REL_TYPE_RELATE_TO, gst_analytics_tracking_mtd_get_mtd_type(),
        &related, &tracking));
    guint64 tracking_id;
    GstClockTime first_seen, last_seen;
    gboolean lost;
    ASSERT_TRUE(gst_analytics_tracking_mtd_get_info(&tracking, &tracking_id, &first_seen,
                                                    &last_seen, &lost));
    EXPECT_EQ(tracking_id, object.id);
    EXPECT_EQ(first_seen, object.first_seen);
    EXPECT_EQ(last_seen, analysis.sample_pts);
    EXPECT_FALSE(lost);
  }
  EXPECT_EQ(position, 2u);
}
#endif

// Whoever must not miss anything relies on this: the sentinel is there or something removed it.
TEST(MoondreamMeta, TheSentinelSurvivesWhatIsDoneToPictures) {
  for (const char *elements :
       {"identity", "queue", "videoconvert ! video/x-raw,format=RGB",
        "videoscale ! video/x-raw,width=32,height=24",
        "videoconvertscale ! video/x-raw,format=YUY2,width=16,height=10", "videocrop left=4 top=2",
        "videobox border-alpha=0 left=-4", "videoflip method=clockwise", "jpegenc",
        "jpegenc ! jpegdec", "videoconvert ! pngenc", "videorate ! video/x-raw,framerate=30/1",
        "videoconvert ! video/x-raw,format=RGB ! videoscale ! video/x-raw,width=32,height=24 ! "
        "videocrop right=1 ! videoconvert ! jpegenc"}) {
    // What it ends with must be an element.
    const std::string description = std::string(elements) + " ! identity";
    GstHarness *harness = gst_harness_new_parse(description.c_str());
    gst_harness_set_src_caps_str(harness,
                                 "video/x-raw,format=I420,width=64,height=48,"
                                 "framerate=30/1");
    GstBuffer *in = gst_buffer_new_allocate(nullptr, 64 * 48 * 3 / 2, nullptr);
    gst_buffer_memset(in, 0, 100, 64 * 48 * 3 / 2);
    GST_BUFFER_PTS(in) = 0;
    GST_BUFFER_DURATION(in) = GST_SECOND / 30;
    attach_analysis(in, example(), 64, 48);
    ASSERT_EQ(gst_harness_push(harness, in), GST_FLOW_OK) << elements;
    gst_harness_push_event(harness, gst_event_new_eos());
    const BufferPtr out(gst_harness_pull(harness));
    ASSERT_TRUE(out) << elements;
    const auto read = read_analysis(out.get());
    EXPECT_TRUE(read) << elements;
    if (read) expect_equal(*read, example());
    gst_harness_teardown(harness);
  }
}

}  // namespace
}  // namespace moondream
