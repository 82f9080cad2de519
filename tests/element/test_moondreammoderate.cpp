// moondreammoderate in a harness and in a pipeline: which frames it lets through, what it says, and
// when.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "filter_harness.h"

namespace moondream {
namespace {

using Json = nlohmann::json;

constexpr GstClockTime kFrame = 100 * GST_MSECOND;
constexpr guint8 kPicture = 0x70;

FrameAnalysis seen(std::vector<const char *> labels, guint64 serial = 1) {
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kFresh;
  analysis.age = 0;
  analysis.serial = serial;
  for (const char *label : labels)
    analysis.objects.push_back({label, 0.75, {0.25, 0.25, 0.5, 0.5}, 0, 0});
  return analysis;
}

class MoondreamModerate : public testing::Test {
 protected:
  MoondreamModerate() {
    std::string name = testing::TempDir() + "moderate-XXXXXX";
    folder_ = mkdtemp(name.data());
    element_.reset(gst_element_factory_make("moondreammoderate", nullptr));
    if (!element_) throw std::runtime_error("the plugin is not where GST_PLUGIN_PATH says");
    gst_object_ref_sink(element_.get());
    bus_ = listen_to(element_.get());
    set("labels", "knife");
    set("release-after", "0");
  }
  ~MoondreamModerate() override {
    harness_.reset();
    std::filesystem::remove_all(folder_);
  }

  void set(const char *name, const std::string &value) {
    gst_util_set_object_arg(G_OBJECT(element_.get()), name, value.c_str());
  }
  void start(const char *caps = "video/x-raw,format=GRAY8,width=8,height=4,framerate=10/1") {
    harness_.reset(gst_harness_new_with_element(element_.get(), "sink", "src"));
    gst_harness_set_src_caps_str(harness_.get(), caps);
  }

  // Frame number `i`, of bytes that are all kPicture.
  static BufferPtr frame(int i, gsize size = 32) {
    GstBuffer *buffer = gst_buffer_new_allocate(nullptr, size, nullptr);
    gst_buffer_memset(buffer, 0, kPicture, size);
    GST_BUFFER_PTS(buffer) = i * kFrame;
    GST_BUFFER_DURATION(buffer) = kFrame;
    return BufferPtr(buffer);
  }
  static BufferPtr frame(int i, const FrameAnalysis &analysis) {
    BufferPtr buffer = frame(i);
    attach_analysis(buffer.get(), analysis, 8, 4);
    return buffer;
  }
  GstFlowReturn push(BufferPtr buffer) {
    return gst_harness_push(harness_.get(), buffer.release());
  }
  // What became of a frame: '.' passed as it was, 'C' covered, 'D' dropped, '!' refused.
  char pass(BufferPtr buffer) {
    if (push(std::move(buffer)) != GST_FLOW_OK) return '!';
    const BufferPtr out(gst_harness_try_pull(harness_.get()));
    if (!out) return 'D';
    GstMapInfo map;
    EXPECT_TRUE(gst_buffer_map(out.get(), &map, GST_MAP_READ));
    const bool is_picture =
        std::all_of(map.data, map.data + map.size, [](guint8 byte) { return byte == kPicture; });
    const bool is_black =
        std::all_of(map.data, map.data + map.size, [](guint8 byte) { return byte <= 16; });
    gst_buffer_unmap(out.get(), &map);
    EXPECT_TRUE(is_picture || is_black) << "partly covered";
    return is_black ? 'C' : '.';
  }
  char pass(int i, const FrameAnalysis &analysis) { return pass(frame(i, analysis)); }
  // Frames from number 0 on: k(nife), clean (-), n(othing known), each a result of its own.
  std::string pass_all(const std::string &frames, int first = 0) {
    std::string treated;
    for (const char letter : frames) {
      const int i = first + static_cast<int>(treated.size());
      treated += letter == 'n' ? pass(frame(i))
                               : pass(i, letter == 'k' ? seen({"knife"}, i + 1) : seen({}, i + 1));
    }
    return treated;
  }
  bool push_event(GstEvent *event) { return gst_harness_push_event(harness_.get(), event); }
  void push_segment(GstClockTime start, GstClockTime time) {
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    segment.start = start;
    segment.time = time;
    push_event(gst_event_new_segment(&segment));
  }

  // The next element message of that name; null if there is none.
  MessagePtr message(const char *name) {
    MessagePtr message = wait_for(bus_, GST_MESSAGE_ELEMENT, 0);
    while (message && !gst_message_has_name(message.get(), name))
      message = wait_for(bus_, GST_MESSAGE_ELEMENT, 0);
    return message;
  }
  // All begins and ends so far, as "begin stop 300" with milliseconds of stream time.
  std::vector<std::string> changes() {
    std::vector<std::string> all;
    while (const MessagePtr found = message("moondream-moderation")) {
      const GstStructure *s = gst_message_get_structure(found.get());
      const std::string event = gst_structure_get_string(s, "event");
      guint64 time = 0;
      EXPECT_TRUE(gst_structure_get_uint64(s, (event + "-stream-time").c_str(), &time));
      all.push_back(event + " " + gst_structure_get_string(s, "kind") + " " +
                    std::to_string(time / GST_MSECOND));
    }
    return all;
  }
  std::vector<Json> report() const {
    std::vector<Json> lines;
    std::ifstream file(folder_ + "/report.jsonl");
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  guint64 stat(const char *name) const { return stat_of(element_.get(), name); }

  std::string folder_;
  ElementPtr element_;
  BusPtr bus_;
  HarnessPtr harness_;  // stops the element, so it goes first
};

using Strings = std::vector<std::string>;

// ---- Actions ---------------------------------------------------------------------------------

TEST_F(MoondreamModerate, MessageLetsEveryFramePassAndSaysWhatItShows) {
  start();
  EXPECT_EQ(pass_all("-kk-n-"), "......");
  EXPECT_EQ(changes(),
            (Strings{"begin stop 100", "end stop 300", "begin unknown 400", "end unknown 500"}));
}

TEST_F(MoondreamModerate, CoverCoversWhatMatchesAndWhatNobodyKnows) {
  set("action", "cover");
  start();
  EXPECT_EQ(pass_all("n-kk-n-"), "C.CC.C.");
  EXPECT_EQ(stat("frames"), 7u);
  EXPECT_EQ(stat("stopped"), 2u);
  EXPECT_EQ(stat("unknown"), 2u);
  EXPECT_EQ(stat("covered"), 4u);
  EXPECT_EQ(stat("dropped"), 0u);
}

TEST_F(MoondreamModerate, DropLeavesAGapInTheTimesOfEachFrame) {
  set("action", "drop");
  start();
  EXPECT_EQ(pass_all("-k-"), ".D.");
  bool found = false;
  while (GstEvent *raw = gst_harness_try_pull_event(harness_.get())) {
    const EventPtr event(raw);
    if (GST_EVENT_TYPE(raw) != GST_EVENT_GAP) continue;
    EXPECT_FALSE(found);
    found = true;
    GstClockTime pts, duration;
    gst_event_parse_gap(raw, &pts, &duration);
    EXPECT_EQ(pts, kFrame);
    EXPECT_EQ(duration, kFrame);
  }
  EXPECT_TRUE(found);
}

TEST_F(MoondreamModerate, SignalIsEmittedBeforeTheFrameLeaves) {
  set("action", "signal");
  start();
  struct Heard {
    GstHarness *harness;
    Strings events;
    std::vector<guint> frames_out;
  } heard{harness_.get(), {}, {}};
  g_signal_connect(element_.get(), "moderation",
                   G_CALLBACK(+[](GstElement *, GstStructure *s, Heard *to) {
                     to->events.emplace_back(gst_structure_get_string(s, "event"));
                     to->frames_out.push_back(gst_harness_buffers_received(to->harness));
                   }),
                   &heard);
  EXPECT_EQ(pass_all("-k-"), "...");
  EXPECT_EQ(heard.events, (Strings{"begin", "end"}));
  EXPECT_EQ(heard.frames_out, (std::vector<guint>{1, 2}));
}

TEST_F(MoondreamModerate, OnMissingIsWhatBecomesOfFramesThatNobodyKnows) {
  const auto treated = [&](const char *action, const char *on_missing) {
    set("action", action);
    set("on-missing", on_missing);
    return pass_all("nk-");
  };
  start();
  EXPECT_EQ(treated("message", "cover"), "C..");
  EXPECT_EQ(treated("message", "action"), "...");
  EXPECT_EQ(treated("cover", "pass"), ".C.");
  EXPECT_EQ(treated("cover", "drop"), "DC.");
  EXPECT_EQ(treated("drop", "action"), "DD.");
  EXPECT_EQ(treated("cover", "error"), "!C.");
  const MessagePtr error = wait_for(bus_, GST_MESSAGE_ERROR, 0);
  ASSERT_TRUE(error);
  EXPECT_TRUE(
      g_error_matches(error_of(error.get()).get(), GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED));
}

TEST_F(MoondreamModerate, WhatIsPendingFailedOrTooOldIsNotKnown) {
  set("action", "cover");
  set("max-age", "1000");
  start();
  FrameAnalysis analysis = seen({});
  for (const AnalysisStatus status : {AnalysisStatus::kPending, AnalysisStatus::kFailed}) {
    analysis.status = status;
    EXPECT_EQ(pass(0, analysis), 'C') << to_string(status);
  }
  analysis.status = AnalysisStatus::kHeld;
  analysis.age = 1000;
  EXPECT_EQ(pass(1, analysis), '.');
  analysis.age = 1001;
  EXPECT_EQ(pass(2, analysis), 'C');
}

// A damaged result must not be taken for one that found nothing.
TEST_F(MoondreamModerate, AMalformedResultIsNotKnown) {
  set("action", "cover");
  start();
  BufferPtr buffer = frame(0, seen({}));
  gst_structure_remove_field(
      gst_custom_meta_get_structure(gst_buffer_get_custom_meta(buffer.get(), "moondream")),
      "objects");
  EXPECT_EQ(pass(std::move(buffer)), 'C');
}

// ---- Memory and pixels -----------------------------------------------------------------------

TEST_F(MoondreamModerate, AFrameThatIsNotCoveredIsTheSameBuffer) {
  set("action", "cover");
  start();
  BufferPtr buffer = frame(0, seen({}));
  const BufferPtr other(gst_buffer_ref(buffer.get()));
  EXPECT_EQ(push(std::move(buffer)), GST_FLOW_OK);
  const BufferPtr out(gst_harness_pull(harness_.get()));
  EXPECT_EQ(out.get(), other.get());
}

TEST_F(MoondreamModerate, AFrameThatOthersHoldIsCoveredInACopy) {
  set("action", "cover");
  start();
  BufferPtr buffer = frame(0, seen({"knife"}));
  const BufferPtr other(gst_buffer_ref(buffer.get()));
  EXPECT_EQ(pass(std::move(buffer)), 'C');
  EXPECT_EQ(gst_buffer_memcmp(other.get(), 0, std::string(32, kPicture).data(), 32), 0);
}

TEST_F(MoondreamModerate, TheCoverHasTheColorAndItsFrameKeepsTimesAndResult) {
  set("action", "cover");
  set("color", "0xff8000");
  start("video/x-raw,format=RGB,width=4,height=2,framerate=10/1");
  BufferPtr buffer = frame(3, 24);
  attach_analysis(buffer.get(), seen({"knife"}), 4, 2);
  EXPECT_EQ(push(std::move(buffer)), GST_FLOW_OK);
  const BufferPtr out(gst_harness_pull(harness_.get()));
  guint8 bytes[24];
  ASSERT_EQ(gst_buffer_extract(out.get(), 0, bytes, 24), 24u);
  for (int i = 0; i < 24; i += 3) {
    EXPECT_EQ(bytes[i], 0xff);
    EXPECT_EQ(bytes[i + 1], 0x80);
    EXPECT_EQ(bytes[i + 2], 0x00);
  }
  EXPECT_EQ(GST_BUFFER_PTS(out.get()), 3 * kFrame);
  EXPECT_TRUE(read_analysis(out.get()));
}

TEST_F(MoondreamModerate, AFrameOfTooLittleMemoryIsAnErrorAndDoesNotPass) {
  set("action", "cover");
  start();
  EXPECT_EQ(pass(frame(0, 8)), '!');
  const MessagePtr error = wait_for(bus_, GST_MESSAGE_ERROR, 0);
  ASSERT_TRUE(error);
  EXPECT_TRUE(
      g_error_matches(error_of(error.get()).get(), GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT));
}

// ---- Rules -----------------------------------------------------------------------------------

TEST_F(MoondreamModerate, AnswersStopByQuestion) {
  set("labels", "");
  set("stop-rules", R"(<"rule,question=(string)\"Is there blood?\",answers=<yes,maybe>",)"
                    R"("rule,question=(string)\"Is it safe?\",answers=(string)no">)");
  set("action", "cover");
  start();
  FrameAnalysis analysis = seen({});
  analysis.answers = {{"Is there blood?", "No."}, {"Is it safe?", "Yes."}};
  EXPECT_EQ(pass(0, analysis), '.');
  analysis.answers[1].answer = "No, it is not.";
  EXPECT_EQ(pass(1, analysis), 'C');
  const MessagePtr begin = message("moondream-moderation");
  ASSERT_TRUE(begin);
  const GValue *triggers =
      gst_structure_get_value(gst_message_get_structure(begin.get()), "triggers");
  ASSERT_EQ(gst_value_array_get_size(triggers), 1u);
  const GstStructure *trigger = gst_value_get_structure(gst_value_array_get_value(triggers, 0));
  EXPECT_STREQ(gst_structure_get_string(trigger, "kind"), "answer");
  EXPECT_STREQ(gst_structure_get_string(trigger, "subject"), "Is it safe?");
  EXPECT_STREQ(gst_structure_get_string(trigger, "answer"), "No, it is not.");
  analysis.answers.pop_back();
  EXPECT_EQ(pass(2, analysis), 'C') << "the second question was not asked";
}

TEST_F(MoondreamModerate, RulesCanChangeWhilePlaying) {
  set("action", "cover");
  start();
  EXPECT_EQ(pass(0, seen({"gun"})), '.');
  set("labels", "knife,gun");
  EXPECT_EQ(pass(1, seen({"gun"})), 'C');
  set("min-score", "0.8");
  EXPECT_EQ(pass(2, seen({"gun"})), '.');
  set("min-score", "0");
  set("stop-answers", "yes");
  FrameAnalysis analysis = seen({});
  analysis.answers = {{"Is there a gun?", "Yes."}};
  EXPECT_EQ(pass(3, analysis), 'C');
}

TEST_F(MoondreamModerate, WithoutRulesOrWithBrokenOnesItDoesNotStart) {
  const auto refuses = [&] {
    EXPECT_EQ(gst_element_set_state(element_.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
    gst_element_set_state(element_.get(), GST_STATE_NULL);
    const MessagePtr error = wait_for(bus_, GST_MESSAGE_ERROR, 0);
    return error && g_error_matches(error_of(error.get()).get(), GST_RESOURCE_ERROR,
                                    GST_RESOURCE_ERROR_SETTINGS);
  };
  set("labels", " , ");
  EXPECT_TRUE(refuses());
  set("stop-rules", "<\"rule,question=(string)why\">");
  EXPECT_TRUE(refuses());
  set("stop-rules", "<>");
  set("labels", "knife");
  start();
  set("stop-rules", "<\"rule,answers=(int)1\">");
  EXPECT_EQ(pass(0, seen({})), '!') << "a rule that nobody understands stops nothing";
}

// The way in which the documentation quotes them.
TEST_F(MoondreamModerate, StopRulesCanBeWrittenInALaunchLine) {
  GError *error = nullptr;
  GstElement *made = gst_parse_launch(
      R"(moondreammoderate stop-rules="<\"rule,question=(string)\\\"Is there blood?\\\",)"
      R"(answers=<yes,maybe>\">")",
      &error);
  ASSERT_FALSE(error) << error->message;
  const ElementPtr element(GST_ELEMENT(gst_object_ref_sink(made)));
  GValue rules = G_VALUE_INIT;
  g_value_init(&rules, GST_TYPE_ARRAY);
  g_object_get_property(G_OBJECT(made), "stop-rules", &rules);
  ASSERT_EQ(gst_value_array_get_size(&rules), 1u);
  const GstStructure *rule = gst_value_get_structure(gst_value_array_get_value(&rules, 0));
  EXPECT_STREQ(gst_structure_get_string(rule, "question"), "Is there blood?");
  g_value_unset(&rules);
}

// ---- Hysteresis ------------------------------------------------------------------------------

TEST_F(MoondreamModerate, TheHysteresisOfThePropertiesIsInForce) {
  set("action", "cover");
  set("trigger-results", "2");
  set("release-results", "2");
  start();
  EXPECT_EQ(pass_all("k-kk-k--k"), "...CCCC..");
  set("trigger-results", "1");
  set("release-results", "1");
  set("trigger-after", "200000000");
  set("release-after", "300000000");
  EXPECT_EQ(pass_all("-kkkk----", 9), "...CCCCC.");
}

TEST_F(MoondreamModerate, ByDefaultFramesPassAgainAfterASecond) {
  g_object_set(element_.get(), "release-after", guint64{GST_SECOND}, nullptr);
  set("action", "cover");
  start();
  EXPECT_EQ(pass_all("k-----------"), "CCCCCCCCCCC.");
}

// ---- Streams ---------------------------------------------------------------------------------

TEST_F(MoondreamModerate, AtEosAnOpenIntervalEndsAndAllAreReported) {
  set("action", "cover");
  set("report-location", folder_ + "/report.jsonl");
  start();
  push_segment(0, 5 * GST_SECOND);
  pass_all("-kk-n-k");
  push_event(gst_event_new_eos());
  EXPECT_EQ(changes().back(), "end stop 5700");
  // Behind the messages of the intervals there is that of all.
  const auto lines = report();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], Json::parse(R"({"kind":"stop","action":"cover",
      "begin":{"pts":100000000,"running_time":100000000,"stream_time":5100000000},
      "end":{"pts":300000000,"running_time":300000000,"stream_time":5300000000},
      "since":{"pts":100000000,"running_time":100000000,"stream_time":5100000000},
      "frames":2,"triggers":[{"kind":"object","subject":"knife","score":0.75}]})"));
  EXPECT_EQ(lines[1]["kind"], "unknown");
  EXPECT_EQ(lines[1]["reason"], "no-result");
  EXPECT_EQ(lines[2]["end"]["pts"], 700000000);
}

TEST_F(MoondreamModerate, TheReportIsAMessageAtEos) {
  start();
  pass_all("-k-nk");
  push_event(gst_event_new_eos());
  const MessagePtr all = message("moondream-moderation-report");
  ASSERT_TRUE(all);
  const GstStructure *structure = gst_message_get_structure(all.get());
  const GValue *intervals = gst_structure_get_value(structure, "intervals");
  ASSERT_EQ(gst_value_array_get_size(intervals), 3u);
  const GstStructure *last = gst_value_get_structure(gst_value_array_get_value(intervals, 2));
  EXPECT_STREQ(gst_structure_get_string(last, "kind"), "stop");
  guint64 begin = 0, end = 0, frames = 0, omitted = 1;
  gst_structure_get(last, "begin-pts", G_TYPE_UINT64, &begin, "end-pts", G_TYPE_UINT64, &end,
                    "frames", G_TYPE_UINT64, &frames, nullptr);
  EXPECT_EQ(begin, 4 * kFrame);
  EXPECT_EQ(end, 5 * kFrame);
  EXPECT_EQ(frames, 1u);
  EXPECT_TRUE(gst_structure_get_uint64(structure, "omitted", &omitted));
  EXPECT_EQ(omitted, 0u);
}

TEST_F(MoondreamModerate, AFlushEndsTheIntervalAndTheCounting) {
  set("trigger-results", "2");
  start();
  pass_all("kk");
  push_event(gst_event_new_flush_start());
  push_event(gst_event_new_flush_stop(TRUE));
  push_segment(0, 0);
  EXPECT_EQ(changes(), (Strings{"begin stop 100", "end stop 200"}));
  pass_all("kk", 50);
  EXPECT_EQ(changes(), (Strings{"begin stop 5100"})) << "the first of these is not the third";
}

TEST_F(MoondreamModerate, ASegmentOfOtherTimesEndsTheIntervalAndOneOfTheSameDoesNot) {
  start();
  push_segment(0, 0);
  pass_all("k");
  push_segment(0, 0);
  pass_all("k", 1);
  EXPECT_EQ(changes(), (Strings{"begin stop 0"}));
  push_segment(0, GST_SECOND);
  pass_all("k", 2);
  EXPECT_EQ(changes(), (Strings{"end stop 200", "begin stop 1200"}));
}

TEST_F(MoondreamModerate, NewCapsDoNotEndTheIntervalAndAreCoveredToo) {
  set("action", "cover");
  start();
  EXPECT_EQ(pass_all("k"), "C");
  gst_harness_set_src_caps_str(harness_.get(),
                               "video/x-raw,format=GRAY8,width=16,height=4,framerate=10/1");
  BufferPtr buffer = frame(1, 64);
  attach_analysis(buffer.get(), seen({"knife"}, 2), 16, 4);
  EXPECT_EQ(pass(std::move(buffer)), 'C');
  EXPECT_EQ(changes(), (Strings{"begin stop 0"}));
}

TEST_F(MoondreamModerate, StoppingEndsTheIntervalInTheReport) {
  set("report-location", folder_ + "/report.jsonl");
  start();
  pass_all("-k");
  gst_element_set_state(element_.get(), GST_STATE_NULL);
  ASSERT_EQ(report().size(), 1u);
  EXPECT_EQ(report()[0]["end"]["pts"], 200000000);
}

// A sink that waits for its first frame gets the gap instead.
TEST_F(MoondreamModerate, APipelineWhoseFramesAreAllDroppedPrerollsAndEnds) {
  MockModel model;
  GError *error = nullptr;
  const ElementPtr pipeline(GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(
      "videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48,framerate=30/1 ! "
      "moondreamfilter detect=knife mode=sync ! moondreammoderate labels=knife action=drop ! "
      "videoconvert ! fakesink name=sink sync=true",
      &error))));
  ASSERT_FALSE(error) << error->message;
  const BusPtr bus(gst_element_get_bus(pipeline.get()));
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  int intervals = 0;
  for (;;) {
    const MessagePtr message =
        wait_for(bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_ELEMENT);
    ASSERT_TRUE(message) << "no EOS";
    if (gst_message_has_name(message.get(), "moondream-moderation-report")) {
      intervals = static_cast<int>(gst_value_array_get_size(
          gst_structure_get_value(gst_message_get_structure(message.get()), "intervals")));
    }
    if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_ELEMENT) continue;
    EXPECT_EQ(GST_MESSAGE_TYPE(message.get()), GST_MESSAGE_EOS);
    break;
  }
  EXPECT_EQ(intervals, 1);
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
}

}  // namespace
}  // namespace moondream
