// moondreamredact: what it does with frames of which much, little or nothing is known. What it
// writes into them is tested by the programs unit-redact and, with a filter before it, below.
#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "../overlay_frames.h"
#include "filter_harness.h"

namespace moondream {
namespace {

constexpr int kWidth = 64, kHeight = 48;
constexpr guint8 kPicture = 128;  // every byte of a frame

class RedactHarness {
 public:
  explicit RedactHarness(const Properties &properties, const char *caps = kSmallCaps)
      : element_(gst_element_factory_make("moondreamredact", nullptr)) {
    gst_object_ref_sink(element_.get());
    for (const auto &[name, value] : properties)
      gst_util_set_object_arg(G_OBJECT(element_.get()), name, value);
    bus_ = listen_to(element_.get());
    harness_.reset(gst_harness_new_with_element(element_.get(), "sink", "src"));
    gst_harness_set_src_caps_str(harness_.get(), caps);
  }

  GstHarness *get() { return harness_.get(); }
  GstElement *element() { return element_.get(); }
  const BusPtr &bus() { return bus_; }

  GstFlowReturn push(BufferPtr buffer) {
    return gst_harness_push(harness_.get(), buffer.release());
  }
  BufferPtr pull() { return BufferPtr(gst_harness_try_pull(harness_.get())); }
  guint64 stat(const char *name) { return stat_of(element(), name); }

 private:
  ElementPtr element_;
  BusPtr bus_ = nullptr;
  HarnessPtr harness_;  // stops the element, so it goes first
};

BufferPtr plain_frame(GstClockTime pts = 0) {
  const gsize size = kWidth * kHeight * 3 / 2;
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, size, nullptr);
  gst_buffer_memset(buffer, 0, kPicture, size);
  GST_BUFFER_PTS(buffer) = pts;
  GST_BUFFER_DURATION(buffer) = GST_SECOND / 30;
  return BufferPtr(buffer);
}

AnalysisObject object(Box box, const char *label = "face", double score = 0.9) {
  return {.label = label, .score = score, .box = box};
}

FrameAnalysis result(AnalysisStatus status, guint64 serial = 1, GstClockTime age = 0,
                     std::vector<AnalysisObject> objects = {}) {
  FrameAnalysis analysis;
  analysis.status = status;
  analysis.serial = serial;
  analysis.age = age;
  analysis.sample_pts = 0;
  analysis.objects = std::move(objects);
  return analysis;
}

BufferPtr frame_with(const FrameAnalysis &analysis, GstClockTime pts = 0) {
  BufferPtr buffer = plain_frame(pts);
  attach_analysis(buffer.get(), analysis, kWidth, kHeight);
  return buffer;
}

// Luma of pixel (x, y) of an I420 frame.
guint8 luma(const BufferPtr &buffer, int x, int y) {
  guint8 value = 0;
  gst_buffer_extract(buffer.get(), y * kWidth + x, &value, 1);
  return value;
}

std::vector<guint8> bytes(const BufferPtr &buffer) {
  std::vector<guint8> all(gst_buffer_get_size(buffer.get()));
  gst_buffer_extract(buffer.get(), 0, all.data(), all.size());
  return all;
}

bool is_covered(const BufferPtr &buffer) {
  const auto all = bytes(buffer);
  return std::none_of(all.begin(), all.begin() + kWidth * kHeight,
                      [](guint8 byte) { return byte == kPicture; });
}

bool is_untouched(const BufferPtr &buffer) {
  const auto all = bytes(buffer);
  return std::all_of(all.begin(), all.end(), [](guint8 byte) { return byte == kPicture; });
}

// A buffer with a "moondream" meta that is not one of ours.
BufferPtr malformed_frame() {
  BufferPtr buffer = plain_frame();
  register_analysis_meta();
  GstCustomMeta *meta = gst_buffer_add_custom_meta(buffer.get(), "moondream");
  gst_structure_set(gst_custom_meta_get_structure(meta), "status", G_TYPE_INT, 5, nullptr);
  return buffer;
}

const Properties kNoMargin = {{"margin", "0"}, {"margin-growth", "0"}};

// What their pad templates offer: GStreamer writes behind the end of some frames of the others.
TEST(MoondreamWriters, TakeEveryFormatThatCanBeWritten) {
  for (const char *name : {"moondreamredact", "moondreammoderate", "moondreamoverlay"}) {
    const ElementPtr element(
        GST_ELEMENT(gst_object_ref_sink(gst_element_factory_make(name, nullptr))));
    for (const char *pad : {"sink", "src"}) {
      GstCaps *taken = gst_pad_template_get_caps(gst_element_get_pad_template(element.get(), pad));
      for (const GstVideoFormat format : test::all_formats()) {
        const char *format_name = gst_video_format_to_string(format);
        GstCaps *caps =
            gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, format_name, nullptr);
        EXPECT_EQ(gst_caps_can_intersect(taken, caps), can_write(format))
            << name << " " << format_name;
        gst_caps_unref(caps);
      }
      gst_caps_unref(taken);
    }
  }
}

// ---- What is known --------------------------------------------------------------------------

TEST(MoondreamRedact, WhatIsFoundIsRedactedAndNothingElse) {
  RedactHarness harness(kNoMargin);
  ASSERT_EQ(harness.push(
                frame_with(result(AnalysisStatus::kFresh, 1, 0, {object({0.25, 0.25, 0.5, 0.5})}))),
            GST_FLOW_OK);
  const BufferPtr out = harness.pull();
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      ASSERT_EQ(luma(out, x, y) == 16, x >= 16 && x < 32 && y >= 12 && y < 24) << x << "," << y;
  EXPECT_EQ(harness.stat("redacted"), 1u);
  EXPECT_EQ(harness.stat("regions"), 1u);
}

TEST(MoondreamRedact, NothingToRedactIsNoCopy) {
  RedactHarness harness(Properties{});
  BufferPtr in = frame_with(result(AnalysisStatus::kFresh));
  GstBuffer *const same = gst_buffer_ref(in.get());  // so it is not writable
  ASSERT_EQ(harness.push(std::move(in)), GST_FLOW_OK);
  EXPECT_EQ(harness.pull().get(), same);
  gst_buffer_unref(same);
  EXPECT_EQ(harness.stat("passed"), 1u);
}

// A frame that somebody else holds, too, must not change under him, and not leak by him.
TEST(MoondreamRedact, AFrameThatOthersHoldKeepsItsMemory) {
  RedactHarness harness(Properties{});
  BufferPtr in = plain_frame();
  const BufferPtr kept(gst_buffer_ref(in.get()));
  // The same memory in another buffer.
  const BufferPtr view(gst_buffer_copy_region(in.get(), GST_BUFFER_COPY_ALL, 0, -1));
  ASSERT_EQ(harness.push(std::move(in)), GST_FLOW_OK);
  const BufferPtr out = harness.pull();
  EXPECT_TRUE(is_covered(out));
  EXPECT_TRUE(is_untouched(kept));
  EXPECT_TRUE(is_untouched(view));
}

TEST(MoondreamRedact, LabelsScoresAndSizesChoose) {
  const std::vector<AnalysisObject> objects = {
      object({0, 0, 0.25, 0.25}, "Face", 0.9), object({0.5, 0, 0.75, 0.25}, "plate", 0.9),
      object({0, 0.5, 0.25, 0.75}, "face", 0.2), object({0.5, 0.5, 0.55, 0.55}, "face", 0.9)};
  RedactHarness harness(
      {{"margin", "0"}, {"labels", " face, tree"}, {"min-score", "0.5"}, {"min-size", "8"}});
  ASSERT_EQ(harness.push(frame_with(result(AnalysisStatus::kFresh, 1, 0, objects))), GST_FLOW_OK);
  const BufferPtr out = harness.pull();
  EXPECT_EQ(luma(out, 4, 4), 16);
  EXPECT_EQ(luma(out, 36, 4), kPicture);
  EXPECT_EQ(luma(out, 4, 28), kPicture);
  EXPECT_EQ(luma(out, 33, 25), kPicture);
}

TEST(MoondreamRedact, PointsAndZonesAreRedacted) {
  RedactHarness harness(
      Properties{{"margin", "0"}, {"point-radius", "0.1"}, {"zones", "0.75,0.75,1,1"}});
  FrameAnalysis analysis = result(AnalysisStatus::kFresh);
  analysis.points.push_back({.label = "nose", .score = 0.9, .point = {0.5, 0.5}});
  ASSERT_EQ(harness.push(frame_with(analysis)), GST_FLOW_OK);
  const BufferPtr out = harness.pull();
  EXPECT_EQ(luma(out, 32, 24), 16);
  EXPECT_EQ(luma(out, 28, 20), 16);
  EXPECT_EQ(luma(out, 24, 24), kPicture);
  EXPECT_EQ(luma(out, 63, 47), 16);
}

TEST(MoondreamRedact, RoisOfOtherElementsAreRedactedToo) {
  RedactHarness harness(Properties{{"margin", "0"}, {"source", "roi"}});
  BufferPtr buffer = plain_frame();
  gst_buffer_add_video_region_of_interest_meta(buffer.get(), "car", 10, 10, 20, 20);
  ASSERT_EQ(harness.push(std::move(buffer)), GST_FLOW_OK);
  EXPECT_EQ(luma(harness.pull(), 15, 15), 16);
  // One without: nobody may have looked.
  ASSERT_EQ(harness.push(plain_frame()), GST_FLOW_OK);
  EXPECT_TRUE(is_covered(harness.pull()));
  EXPECT_EQ(harness.stat("no-meta"), 1u);
}

#ifdef HAVE_ANALYTICS
TEST(MoondreamRedact, DetectionsOfOtherElementsAreRedactedToo) {
  RedactHarness harness(Properties{{"margin", "0"}, {"source", "analytics"}, {"labels", "car"}});
  BufferPtr buffer = plain_frame();
  GstAnalyticsRelationMeta *relations = gst_buffer_add_analytics_relation_meta(buffer.get());
  const auto add = [&](const char *label, int x, int y) {
    GstAnalyticsODMtd mtd;
    gst_analytics_relation_meta_add_od_mtd(relations, g_quark_from_string(label), x, y, 10, 10,
                                           0.5f, &mtd);
  };
  add("car", 10, 10);
  add("tree", 40, 30);
  ASSERT_EQ(harness.push(std::move(buffer)), GST_FLOW_OK);
  const BufferPtr out = harness.pull();
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      ASSERT_EQ(luma(out, x, y) == 16, x >= 10 && x < 20 && y >= 10 && y < 20) << x << "," << y;
  // One without: nobody may have looked.
  ASSERT_EQ(harness.push(plain_frame()), GST_FLOW_OK);
  EXPECT_TRUE(is_covered(harness.pull()));
  EXPECT_EQ(harness.stat("no-meta"), 1u);
}
#endif

// What moondreamfilter attaches for others says the same as what it attaches for this element.
TEST(MoondreamRedact, EverySourceRedactsWhatTheFilterAttached) {
  const std::vector<AnalysisObject> objects = {object({0.25, 0.25, 0.5, 0.5}),
                                               object({0.75, 0, 1, 0.25}, "plate")};
  std::vector<guint8> first;
  std::vector<const char *> sources = {"moondream", "roi", "all"};
#ifdef HAVE_ANALYTICS
  sources.push_back("analytics");
#endif
  for (const char *source : sources) {
    RedactHarness harness(Properties{{"margin", "0"}, {"source", source}});
    ASSERT_EQ(harness.push(frame_with(result(AnalysisStatus::kFresh, 1, 0, objects))), GST_FLOW_OK);
    const BufferPtr out = harness.pull();
    EXPECT_EQ(luma(out, 20, 15), 16) << source;
    if (first.empty()) first = bytes(out);
    EXPECT_EQ(bytes(out), first) << source;
  }
}

// ---- What is not known -----------------------------------------------------------------------

struct MissingCase {
  const char *stat;
  BufferPtr (*make)();
};

const MissingCase kMissing[] = {
    {"no-sentinel", [] { return plain_frame(); }},
    {"malformed", [] { return malformed_frame(); }},
    {"pending", [] { return frame_with(result(AnalysisStatus::kPending)); }},
    {"failed", [] { return frame_with(result(AnalysisStatus::kFailed)); }},
    {"too-old", [] { return frame_with(result(AnalysisStatus::kHeld, 1, 3 * GST_SECOND)); }},
    // Nobody can say how old.
    {"too-old", [] { return frame_with(result(AnalysisStatus::kHeld, 1, GST_CLOCK_TIME_NONE)); }},
};

TEST(MoondreamRedact, AFrameOfWhichTooLittleIsKnownIsCovered) {
  for (const auto &[stat, make] : kMissing) {
    RedactHarness harness(Properties{});
    ASSERT_EQ(harness.push(make()), GST_FLOW_OK);
    EXPECT_TRUE(is_covered(harness.pull())) << stat;
    EXPECT_EQ(harness.stat(stat), 1u);
    EXPECT_EQ(harness.stat("covered"), 1u);
  }
}

TEST(MoondreamRedact, OrDropped) {
  for (const auto &[stat, make] : kMissing) {
    RedactHarness harness(Properties{{"on-missing", "drop"}});
    ASSERT_EQ(harness.push(make()), GST_FLOW_OK);
    EXPECT_FALSE(harness.pull()) << stat;
    EXPECT_EQ(harness.stat("dropped"), 1u);
    // The next one says that something is missing before it.
    ASSERT_EQ(harness.push(frame_with(result(AnalysisStatus::kFresh))), GST_FLOW_OK);
    EXPECT_TRUE(GST_BUFFER_FLAG_IS_SET(harness.pull().get(), GST_BUFFER_FLAG_DISCONT));
  }
}

TEST(MoondreamRedact, OrAnError) {
  for (const auto &[stat, make] : kMissing) {
    RedactHarness harness(Properties{{"on-missing", "error"}});
    EXPECT_EQ(harness.push(make()), GST_FLOW_ERROR) << stat;
    EXPECT_FALSE(harness.pull());
    const MessagePtr message = wait_for(harness.bus(), GST_MESSAGE_ERROR);
    ASSERT_TRUE(message);
    EXPECT_TRUE(
        g_error_matches(error_of(message.get()).get(), GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED));
  }
}

TEST(MoondreamRedact, OrPassedButForZones) {
  for (const auto &[stat, make] : kMissing) {
    RedactHarness harness(Properties{{"on-missing", "pass"}, {"zones", "0,0,0.25,0.25"}});
    ASSERT_EQ(harness.push(make()), GST_FLOW_OK);
    const BufferPtr out = harness.pull();
    EXPECT_EQ(luma(out, 0, 0), 16) << stat;
    EXPECT_EQ(luma(out, 63, 47), kPicture) << stat;
  }
}

// With sources other than moondream, and where a frame cannot wait as long as it should.
TEST(MoondreamRedact, TheOtherReasonsFollowThePolicyToo) {
  struct Reason {
    const char *stat;
    Properties properties;
    int width = kWidth;                   // of the frame that the result is said to be of
    GstClockTimeDiff step = GST_MSECOND;  // from the first frame to the second
  };
  const Reason reasons[] = {{"no-meta", {{"source", "roi"}}},
                            {"no-room", {{"hold-before", "3000000000"}, {"max-bytes", "1"}}},
                            {"cut-short", {{"hold-before", "3000000000"}}, kWidth, -GST_MSECOND},
                            {"unplaced", {}, kWidth / 2}};
  for (const auto &[stat, properties, width, step] : reasons) {
    for (const std::string policy : {"cover", "drop", "error", "pass"}) {
      Properties all = properties;
      all.emplace_back("on-missing", policy.c_str());
      RedactHarness harness(all);
      // The first has to leave when the second comes, or leaves at once.
      GstFlowReturn flow = GST_FLOW_OK;
      for (int i = 0; i < 2 && flow == GST_FLOW_OK; ++i) {
        BufferPtr buffer = plain_frame(static_cast<GstClockTime>(GST_SECOND + i * step));
        attach_analysis(buffer.get(), result(AnalysisStatus::kFresh, i + 1), width, kHeight);
        flow = harness.push(std::move(buffer));
      }
      EXPECT_EQ(flow, policy == "error" ? GST_FLOW_ERROR : GST_FLOW_OK) << stat << " " << policy;
      EXPECT_GE(harness.stat(stat), 1u) << policy;
      const BufferPtr out = harness.pull();
      EXPECT_EQ(out != nullptr, policy == "cover" || policy == "pass") << stat << " " << policy;
      if (out) {
        EXPECT_EQ(is_covered(out), policy == "cover") << stat;
        EXPECT_EQ(is_untouched(out), policy == "pass") << stat;
      }
    }
  }
}

TEST(MoondreamRedact, AgeWithoutLimitIsAllowedIfItIsAskedFor) {
  RedactHarness harness(Properties{{"max-age", "18446744073709551615"}});
  ASSERT_EQ(harness.push(frame_with(result(AnalysisStatus::kHeld, 1, 9000 * GST_SECOND))),
            GST_FLOW_OK);
  EXPECT_TRUE(is_untouched(harness.pull()));
}

// A frame whose memory is not what the caps say must not go on.
TEST(MoondreamRedact, AFrameThatCannotBeMappedIsAnError) {
  RedactHarness harness(Properties{});
  BufferPtr buffer = plain_frame();
  gst_buffer_set_size(buffer.get(), 100);
  EXPECT_EQ(harness.push(std::move(buffer)), GST_FLOW_ERROR);
  EXPECT_FALSE(harness.pull());
  const MessagePtr message = wait_for(harness.bus(), GST_MESSAGE_ERROR);
  ASSERT_TRUE(message);
  EXPECT_TRUE(
      g_error_matches(error_of(message.get()).get(), GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT));
}

TEST(MoondreamRedact, BadZonesAreAnErrorAtTheStartAndAWarningLater) {
  ElementPtr element(
      GST_ELEMENT(gst_object_ref_sink(gst_element_factory_make("moondreamredact", nullptr))));
  const BusPtr bus = listen_to(element.get());
  set(element.get(), "zones", "0,0,2,1");
  EXPECT_EQ(gst_element_set_state(element.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
  const MessagePtr message = wait_for(bus, GST_MESSAGE_ERROR);
  ASSERT_TRUE(message);
  EXPECT_TRUE(g_error_matches(error_of(message.get()).get(), GST_RESOURCE_ERROR,
                              GST_RESOURCE_ERROR_SETTINGS));
  gst_element_set_state(element.get(), GST_STATE_NULL);

  RedactHarness harness(Properties{{"zones", "0,0,0.5,0.5"}});
  set(harness.element(), "zones", "nonsense");
  EXPECT_TRUE(wait_for(harness.bus(), GST_MESSAGE_WARNING));
  gchar *zones = nullptr;
  g_object_get(harness.element(), "zones", &zones, nullptr);
  EXPECT_STREQ(zones, "0,0,0.5,0.5");
  g_free(zones);
}

// ---- Hold ------------------------------------------------------------------------------------

constexpr GstClockTime kFrame = 100 * GST_MSECOND;

TEST(MoondreamRedact, WhatIsFoundLaterAlsoCoversTheFramesBefore) {
  RedactHarness harness(
      Properties{{"margin", "0"}, {"margin-growth", "0"}, {"hold-before", "300000000"}});
  // Seen on frame 5 for the first time; frames 2 to 4 are up to 300 ms before it.
  for (int i = 0; i < 8; ++i) {
    FrameAnalysis analysis = i < 5 ? result(AnalysisStatus::kHeld, 1, i * kFrame)
                                   : result(i == 5 ? AnalysisStatus::kFresh : AnalysisStatus::kHeld,
                                            2, (i - 5) * kFrame, {object({0.25, 0.25, 0.5, 0.5})});
    ASSERT_EQ(harness.push(frame_with(analysis, i * kFrame)), GST_FLOW_OK);
    // Frame n leaves with frame n + 3.
    EXPECT_EQ(gst_harness_buffers_received(harness.get()), static_cast<guint>(std::max(0, i - 2)));
  }
  ASSERT_TRUE(gst_harness_push_event(harness.get(), gst_event_new_eos()));
  ASSERT_EQ(gst_harness_buffers_received(harness.get()), 8u);
  for (int i = 0; i < 8; ++i) {
    const BufferPtr out = harness.pull();
    EXPECT_EQ(GST_BUFFER_PTS(out.get()), i * kFrame);
    EXPECT_EQ(luma(out, 20, 15), i < 2 ? kPicture : 16) << "frame " << i;
  }
}

TEST(MoondreamRedact, ALateResultOfAnEarlierSampleCoversWhatWaits) {
  // As in async mode: the sample was taken on frame 1, its result comes with frame 3.
  RedactHarness harness(
      Properties{{"margin", "0"}, {"margin-growth", "0"}, {"hold-before", "300000000"}});
  for (int i = 0; i < 4; ++i) {
    FrameAnalysis analysis =
        i < 3 ? result(AnalysisStatus::kHeld, 1, i * kFrame)
              : result(AnalysisStatus::kHeld, 2, 2 * kFrame, {object({0.25, 0.25, 0.5, 0.5})});
    ASSERT_EQ(harness.push(frame_with(analysis, i * kFrame)), GST_FLOW_OK);
  }
  gst_harness_push_event(harness.get(), gst_event_new_eos());
  for (int i = 0; i < 4; ++i) EXPECT_EQ(luma(harness.pull(), 20, 15), 16) << i;
}

TEST(MoondreamRedact, TheHoldIsToldAsLatency) {
  RedactHarness harness(Properties{{"hold-before", "300000000"}});
  gst_harness_set_upstream_latency(harness.get(), 40 * GST_MSECOND);
  EXPECT_EQ(gst_harness_query_latency(harness.get()), 340 * GST_MSECOND);
}

TEST(MoondreamRedact, EventsStayInOrderAndFlushDropsWhatWaits) {
  RedactHarness harness(Properties{{"hold-before", "300000000"}});
  ASSERT_EQ(harness.push(frame_with(result(AnalysisStatus::kFresh), 0)), GST_FLOW_OK);
  const guint events = gst_harness_events_received(harness.get());
  gst_harness_push_event(harness.get(), gst_event_new_custom(GST_EVENT_CUSTOM_DOWNSTREAM,
                                                             gst_structure_new_empty("mark")));
  EXPECT_EQ(gst_harness_events_received(harness.get()), events) << "an event overtook a frame";
  ASSERT_EQ(harness.push(frame_with(result(AnalysisStatus::kFresh), kFrame)), GST_FLOW_OK);
  // Time goes on without frames.
  gst_harness_push_event(harness.get(), gst_event_new_gap(2 * kFrame, kFrame));
  EXPECT_EQ(gst_harness_buffers_received(harness.get()), 1u);
  EXPECT_EQ(gst_harness_events_received(harness.get()), events + 1);

  gst_harness_push_event(harness.get(), gst_event_new_flush_start());
  gst_harness_push_event(harness.get(), gst_event_new_flush_stop(TRUE));
  EXPECT_EQ(gst_harness_buffers_received(harness.get()), 1u);
  EXPECT_EQ(harness.stat("flushed"), 1u);
}

// A frame that had to leave early was not covered by what may be seen after it.
TEST(MoondreamRedact, MoreBytesThanAllowedAreCovered) {
  RedactHarness harness(Properties{{"hold-before", "3000000000"}, {"max-bytes", "10000"}});
  for (int i = 0; i < 4; ++i)
    ASSERT_EQ(harness.push(frame_with(result(AnalysisStatus::kFresh, i + 1), i * kFrame)),
              GST_FLOW_OK);
  ASSERT_EQ(gst_harness_buffers_received(harness.get()), 2u);
  EXPECT_TRUE(is_covered(harness.pull()));
  EXPECT_EQ(harness.stat("no-room"), 2u);
}

// Sends what ends the wait, if anything does, behind frames 0 and 1, of which enough is known but
// for what comes later.
void wait_until(RedactHarness &harness, const std::function<void(GstHarness *)> &interrupt) {
  for (int i = 0; i < 2; ++i)
    ASSERT_EQ(harness.push(frame_with(result(AnalysisStatus::kHeld, 1, i * kFrame), i * kFrame)),
              GST_FLOW_OK);
  ASSERT_EQ(gst_harness_buffers_received(harness.get()), 0u);
  interrupt(harness.get());
}

void push_segment(GstHarness *harness, GstClockTime start) {
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.start = segment.time = start;
  gst_harness_push_event(harness, gst_event_new_segment(&segment));
}

void push_caps(GstHarness *harness, const char *text) {
  GstCaps *caps = gst_caps_from_string(text);
  gst_harness_push_event(harness, gst_event_new_caps(caps));
  gst_caps_unref(caps);
}

// Nothing that comes behind it says what was on it: it was not looked at from behind.
TEST(MoondreamRedact, AFrameWhoseWaitIsCutShortIsCovered) {
  const std::pair<const char *, std::function<void(GstHarness *)>> interruptions[] = {
      {"a drain query",
       [](GstHarness *h) {
         const QueryPtr query(gst_query_new_drain());
         gst_pad_peer_query(h->srcpad, query.get());
       }},
      {"other caps",
       [](GstHarness *h) {
         push_caps(h, "video/x-raw,format=I420,width=32,height=96,framerate=30/1");
       }},
      {"another segment", [](GstHarness *h) { push_segment(h, GST_SECOND); }},
      {"time that goes back",
       [](GstHarness *h) {
         gst_harness_push(h, frame_with(result(AnalysisStatus::kFresh, 2), 0).release());
       }},
  };
  for (const auto &[name, interrupt] : interruptions) {
    RedactHarness harness(Properties{{"hold-before", "300000000"}});
    wait_until(harness, interrupt);
    EXPECT_EQ(gst_harness_buffers_received(harness.get()), 2u) << name;
    EXPECT_EQ(harness.stat("cut-short"), 2u) << name;
    EXPECT_EQ(harness.stat("covered"), 2u) << name;
    const BufferPtr out = harness.pull();
    ASSERT_TRUE(out) << name;
    EXPECT_TRUE(is_covered(out)) << name;
  }
}

// Nothing can be seen later than that.
TEST(MoondreamRedact, AtTheEndFramesHaveWaitedForAllThereIs) {
  const std::pair<const char *, std::function<GstEvent *()>> ends[] = {
      {"the end", [] { return gst_event_new_eos(); }},
      {"the end of a segment", [] { return gst_event_new_segment_done(GST_FORMAT_TIME, 0); }},
      {"another stream", [] { return gst_event_new_stream_start("other"); }},
  };
  for (const auto &[name, make] : ends) {
    RedactHarness harness(Properties{{"hold-before", "300000000"}});
    wait_until(harness, [&](GstHarness *h) { gst_harness_push_event(h, make()); });
    EXPECT_EQ(gst_harness_buffers_received(harness.get()), 2u) << name;
    EXPECT_EQ(harness.stat("cut-short"), 0u) << name;
    EXPECT_EQ(harness.stat("passed"), 2u) << name;
  }
}

// Frames still wait for what is found later.
TEST(MoondreamRedact, WhatChangesNothingDoesNotEndTheWait) {
  const std::pair<const char *, std::function<void(GstHarness *)>> events[] = {
      {"the same caps", [](GstHarness *h) { push_caps(h, kSmallCaps); }},
      {"another pace",
       [](GstHarness *h) {
         push_caps(h, "video/x-raw,format=I420,width=64,height=48,framerate=10/1");
       }},
      {"the same segment", [](GstHarness *h) { push_segment(h, 0); }},
  };
  for (const auto &[name, send] : events) {
    RedactHarness harness(
        Properties{{"margin", "0"}, {"margin-growth", "0"}, {"hold-before", "300000000"}});
    wait_until(harness, send);
    EXPECT_EQ(gst_harness_buffers_received(harness.get()), 0u) << name;
    const FrameAnalysis seen =
        result(AnalysisStatus::kFresh, 2, 0, {object({0.25, 0.25, 0.5, 0.5})});
    ASSERT_EQ(harness.push(frame_with(seen, 2 * kFrame)), GST_FLOW_OK);
    gst_harness_push_event(harness.get(), gst_event_new_eos());
    for (int i = 0; i < 3; ++i) EXPECT_EQ(luma(harness.pull(), 20, 15), 16) << name << i;
    EXPECT_EQ(harness.stat("redacted"), 3u) << name;
  }
}

// ---- Audit -----------------------------------------------------------------------------------

TEST(MoondreamRedact, TheAuditSaysWhatWasDoneToEachFrame) {
  gchar *path = nullptr;
  close(g_file_open_tmp("redact-XXXXXX.jsonl", &path, nullptr));
  {
    RedactHarness harness(Properties{{"margin", "0"}, {"audit-location", path}});
    harness.push(
        frame_with(result(AnalysisStatus::kHeld, 4, kFrame, {object({0.25, 0, 0.5, 0.5})})));
    harness.push(plain_frame(kFrame));
    harness.push(frame_with(result(AnalysisStatus::kFresh, 5), 2 * kFrame));
    ASSERT_TRUE(gst_harness_push_event(harness.get(), gst_event_new_eos()));
    // EOS has waited for the lines.
    EXPECT_EQ(harness.stat("audit-written"), 3u);
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    const auto first = nlohmann::json::parse(line);
    EXPECT_EQ(first["action"], "redact");
    EXPECT_EQ(first["serial"], 4);
    EXPECT_EQ(first["age"], kFrame);
    EXPECT_EQ(first["regions"][0]["label"], "face");
    std::getline(file, line);
    const auto second = nlohmann::json::parse(line);
    EXPECT_EQ(second["action"], "cover");
    EXPECT_EQ(second["missing"], "no-sentinel");
    EXPECT_EQ(second["pts"], kFrame);
    std::getline(file, line);
    EXPECT_EQ(nlohmann::json::parse(line)["action"], "pass");
  }
  std::remove(path);
  g_free(path);
}

TEST(MoondreamRedact, AFullDiskIsAWarningOrAnErrorAsTheUserWants) {
  if (!g_file_test("/dev/full", G_FILE_TEST_EXISTS)) GTEST_SKIP() << "no /dev/full";
  {
    RedactHarness harness(Properties{{"audit-location", "/dev/full"}});
    EXPECT_EQ(harness.push(plain_frame()), GST_FLOW_OK);
    EXPECT_TRUE(wait_for(harness.bus(), GST_MESSAGE_WARNING));
    EXPECT_EQ(harness.push(plain_frame(kFrame)), GST_FLOW_OK);
  }
  RedactHarness harness(Properties{{"audit-location", "/dev/full"}, {"audit-required", "true"}});
  harness.push(plain_frame());
  ASSERT_TRUE(wait_for(harness.bus(), GST_MESSAGE_WARNING));  // the line is lost by now
  EXPECT_EQ(harness.push(plain_frame(kFrame)), GST_FLOW_ERROR);
  EXPECT_TRUE(wait_for(harness.bus(), GST_MESSAGE_ERROR));
}

}  // namespace
}  // namespace moondream
