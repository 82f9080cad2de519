// Async mode: no frame ever waits.
#include "filter_harness.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

const Properties kAsync = {{"mode", "async"}, {"detect", "face"}};

Properties with(Properties properties, const Properties &more) {
  properties.insert(properties.end(), more.begin(), more.end());
  return properties;
}

TEST(MoondreamFilterAsync, FramesPassWhileTheModelHangs) {
  MockModel model;
  model.always(hangs_until_cancelled());
  FilterHarness filter(kAsync);
  filter.pass(0);
  ASSERT_TRUE(model.started().wait());
  // 10 s of video, 20 samples of which are due.
  const auto time = time_of([&] {
    for (int i = 1; i < 300; ++i) {
      const FrameAnalysis analysis = filter.pass(i * GST_SECOND / 30);
      EXPECT_EQ(analysis.status, AnalysisStatus::kPending);
      EXPECT_EQ(analysis.serial, 0u);
      EXPECT_EQ(analysis.sample_pts, GST_CLOCK_TIME_NONE);
      EXPECT_EQ(analysis.model, "demo-model");
    }
  });
  // 300 frames of 64x48 take a few milliseconds; one wait for the model would take for ever.
  EXPECT_LT(time, 2s);
  EXPECT_EQ(model.started().count(), 1u);
  // The engine refused one sample, and no other was converted in vain.
  EXPECT_EQ(filter.stat("samples"), 2u);
  EXPECT_EQ(filter.stat("skipped"), 1u);
}

TEST(MoondreamFilterAsync, FramesAfterAResultHoldItWithItsAge) {
  MockModel model;
  FilterHarness filter(kAsync);
  ASSERT_EQ(filter.push(GST_SECOND), GST_FLOW_OK);
  filter.pull();
  ASSERT_TRUE(filter.wait_for_result());
  const FrameAnalysis held = filter.pass(GST_SECOND + 100 * GST_MSECOND);
  EXPECT_EQ(held.status, AnalysisStatus::kHeld);
  EXPECT_EQ(held.sample_pts, GST_SECOND);
  EXPECT_EQ(held.age, 100 * GST_MSECOND);
  EXPECT_EQ(held.serial, 1u);
  ASSERT_EQ(held.objects.size(), 1u);
  EXPECT_EQ(held.objects[0].label, "face");
}

TEST(MoondreamFilterAsync, ANewerResultReplacesTheHeldOne) {
  MockModel model;
  FilterHarness filter(with(kAsync, {{"sample-rate", "0/1"}}));
  for (guint64 i = 1; i <= 3; ++i) {
    filter.push(i * GST_SECOND);
    filter.pull();
    ASSERT_TRUE(filter.wait_for_result());
  }
  // The fourth frame is sampled too, but its own result cannot be there yet in most runs.
  const FrameAnalysis analysis = filter.pass(4 * GST_SECOND);
  EXPECT_GE(analysis.serial, 3u);
}

TEST(MoondreamFilterAsync, ABusyModelIsAskedAboutTheFrameThatComesWhenItIsReady) {
  MockModel model;
  Gate go;
  model.next(hangs_until(go));
  FilterHarness filter(kAsync);
  filter.pass(0);
  ASSERT_TRUE(model.started().wait());
  for (int i = 1; i <= 45; ++i) filter.pass(i * GST_SECOND / 30);
  EXPECT_EQ(filter.stat("results"), 0u);
  go.open();
  ASSERT_TRUE(filter.wait_for_result());
  // No tick falls on this frame: the one of 1.5 s is overdue.
  const GstClockTime now = 46 * GST_SECOND / 30;
  filter.pass(now);
  const MessagePtr second = filter.wait_for_result();
  ASSERT_TRUE(second);
  guint64 pts = 0;
  gst_structure_get_uint64(gst_message_get_structure(second.get()), "pts", &pts);
  EXPECT_EQ(pts, now);
}

TEST(MoondreamFilterAsync, ResultsOlderThanMaxAgeAreNotShown) {
  MockModel model;
  model.next(answers());
  model.always(hangs_until_cancelled());
  FilterHarness filter(with(kAsync, {{"max-age", "400000000"}}));
  filter.pass(0);
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_EQ(filter.pass(400 * GST_MSECOND).status, AnalysisStatus::kHeld);
  const FrameAnalysis late = filter.pass(401 * GST_MSECOND);
  EXPECT_EQ(late.status, AnalysisStatus::kPending);
  EXPECT_TRUE(late.objects.empty());
  set(filter.element(), "max-age", "-1");
  EXPECT_EQ(filter.pass(500 * GST_SECOND).status, AnalysisStatus::kHeld);
}

TEST(MoondreamFilterAsync, EosDoesNotWaitForTheModel) {
  MockModel model;
  Gate never;
  model.always(hangs_until(never));
  FilterHarness filter(kAsync);
  filter.pass(0);
  ASSERT_TRUE(model.started().wait());
  EXPECT_LT(time_of([&] { EXPECT_TRUE(filter.push_event(gst_event_new_eos())); }), kFlush);
  never.open();
}

TEST(MoondreamFilterAsync, FlushCancelsWhatIsInFlightAndForgetsWhatIsKnown) {
  MockModel model;
  Gate first;
  model.next(answers());
  model.next(hangs_until(first));
  FilterHarness filter(kAsync);
  filter.pass(0);
  ASSERT_TRUE(filter.wait_for_result());
  filter.pass(GST_SECOND);
  ASSERT_TRUE(model.started().wait(2));
  EXPECT_LT(time_of([&] { filter.push_event(gst_event_new_flush_start()); }), kFlush);
  filter.push_event(gst_event_new_flush_stop(TRUE));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  filter.push_event(gst_event_new_segment(&segment));
  EXPECT_EQ(filter.pass(1100 * GST_MSECOND).status, AnalysisStatus::kPending);
  // The outcome of the cancelled sample comes now, and is ignored: the next is of the new one.
  first.open();
  const MessagePtr result = filter.wait_for_result();
  ASSERT_TRUE(result);
  EXPECT_EQ(from_structure(gst_message_get_structure(result.get()))->serial, 3u);
}

TEST(MoondreamFilterAsync, StoppingDoesNotWaitForTheModel) {
  MockModel model;
  Gate never;
  model.always(hangs_until(never));
  auto filter = std::make_unique<FilterHarness>(kAsync);
  filter->pass(0);
  ASSERT_TRUE(model.started().wait());
  EXPECT_LT(time_of([&] { gst_element_set_state(filter->element(), GST_STATE_NULL); }), kStop);
  // The model answers when the element does not exist any more.
  filter.reset();
  never.open();
  ASSERT_TRUE(model.freed().wait());
}

TEST(MoondreamFilterAsync, AFailedSampleMarksFramesUntilOneSucceeds) {
  MockModel model;
  model.next(fails(ErrorKind::kFailed, "the picture is too beautiful"));
  model.next(fails(ErrorKind::kFailed, "the picture is too beautiful"));
  FilterHarness filter(with(kAsync, {{"on-error", "warn"}}));
  filter.pass(0);
  const MessagePtr warning = wait_for(filter.bus(), GST_MESSAGE_WARNING);
  ASSERT_TRUE(warning);
  EXPECT_STREQ(error_of(warning.get())->message, "the picture is too beautiful");
  ASSERT_TRUE(filter.wait_for_result());
  const FrameAnalysis failed = filter.pass(500 * GST_MSECOND);
  EXPECT_EQ(failed.status, AnalysisStatus::kFailed);
  EXPECT_TRUE(failed.objects.empty());
  // That was the second sample, which fails for the same reason: no second warning.
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_FALSE(wait_for(filter.bus(), GST_MESSAGE_WARNING, 0));
  filter.pass(GST_SECOND);
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_EQ(filter.pass(1100 * GST_MSECOND).status, AnalysisStatus::kHeld);
  EXPECT_EQ(filter.stat("failed"), 2u);
  EXPECT_EQ(filter.stat("results"), 1u);
}

TEST(MoondreamFilterAsync, AFailedSampleEndsTheStreamByDefault) {
  MockModel model;
  model.always(fails(ErrorKind::kFailed, "no"));
  FilterHarness filter(kAsync);
  // The frame itself may still pass, if the model is slow enough.
  filter.push(0);
  const MessagePtr error = wait_for(filter.bus(), GST_MESSAGE_ERROR);
  ASSERT_TRUE(error);
  EXPECT_TRUE(
      g_error_matches(error_of(error.get()).get(), GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_FAILED));
  EXPECT_EQ(filter.push(GST_SECOND), GST_FLOW_ERROR);
}

TEST(MoondreamFilterAsync, TimestampsThatGoBackVoidTheResult) {
  MockModel model;
  model.next(answers());
  model.always(hangs_until_cancelled());
  FilterHarness filter(kAsync);
  filter.pass(10 * GST_SECOND);
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_EQ(filter.pass(9 * GST_SECOND).status, AnalysisStatus::kPending);
  ASSERT_TRUE(model.started().wait(2));
  // Where the old result would be young enough, it is forgotten all the same.
  EXPECT_EQ(filter.pass(10 * GST_SECOND + 1).status, AnalysisStatus::kPending);
}

TEST(MoondreamFilterAsync, ANewSegmentVoidsTheResultAndTheSameOneDoesNot) {
  MockModel model;
  FilterHarness filter(with(kAsync, {{"sample-rate", "1/100"}}));
  filter.pass(GST_SECOND);
  ASSERT_TRUE(filter.wait_for_result());
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  filter.push_event(gst_event_new_segment(&segment));
  EXPECT_EQ(filter.pass(1100 * GST_MSECOND).status, AnalysisStatus::kHeld);
  model.always(hangs_until_cancelled());
  segment.start = segment.time = GST_SECOND;
  filter.push_event(gst_event_new_segment(&segment));
  EXPECT_EQ(filter.pass(1200 * GST_MSECOND).status, AnalysisStatus::kPending);
  EXPECT_TRUE(model.started().wait(2)) << "the first frame of a segment is sampled";
}

TEST(MoondreamFilterAsync, AutoIsAsyncBehindALiveSource) {
  MockModel model;
  model.always(hangs_until_cancelled());
  FilterHarness filter(Properties{{"detect", "face"}});
  gst_harness_set_live(filter.get(), TRUE);
  EXPECT_EQ(filter.pass(0).status, AnalysisStatus::kPending);
}

TEST(MoondreamFilterAsync, ItAddsNoLatency) {
  MockModel model;
  FilterHarness filter(kAsync);
  gst_harness_set_upstream_latency(filter.get(), 7 * GST_MSECOND);
  filter.pass(0);
  EXPECT_EQ(gst_harness_query_latency(filter.get()), 7 * GST_MSECOND);
}

TEST(MoondreamFilterAsync, ElementsThatShareABusyModelGetTheirTurnWithFreshFrames) {
  MockModel model;
  Gate go;
  model.next(hangs_until(go));
  FilterHarness one(kAsync), other(kAsync);
  one.pass(0);
  ASSERT_TRUE(model.started().wait());
  // These wait behind it: each tick replaces the one before.
  other.pass(0);
  other.pass(500 * GST_MSECOND);
  other.pass(GST_SECOND);
  go.open();
  const MessagePtr result = other.wait_for_result();
  ASSERT_TRUE(result);
  EXPECT_EQ(from_structure(gst_message_get_structure(result.get()))->sample_pts, GST_SECOND);
}

}  // namespace
}  // namespace moondream
