// The text pads of moondreamfilter, with a consumer that tests script.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "filter_harness.h"
#include "text_queue.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

constexpr GstClockTime kFrame = GST_SECOND / 25;
constexpr const char *kCaps25 = "video/x-raw,format=GRAY8,width=8,height=8,framerate=25/1";
const Properties kSync = {{"mode", "sync"}, {"caption", "short"}};
const Properties kAsync = {{"mode", "async"}, {"caption", "short"}};
const Properties kEveryFrame = {{"mode", "sync"}, {"caption", "short"}, {"sample-rate", "0/1"}};

Behaviour says(const std::string &text) {
  return answers(Result{.prompts = {CaptionResult{text}}});
}

// What is linked to a text pad. Writes down what comes: names of events, "gap 0-40" and
// "0-500 text" in milliseconds.
class Consumer {
 public:
  Consumer() : pad_(GST_PAD(gst_object_ref_sink(gst_pad_new("consumer", GST_PAD_SINK)))) {
    gst_pad_set_element_private(pad_, this);
    gst_pad_set_chain_function(pad_, chain);
    gst_pad_set_event_function(pad_, event);
    gst_pad_set_active(pad_, TRUE);
  }
  ~Consumer() {
    flushed_.open();
    gst_pad_set_active(pad_, FALSE);
    gst_object_unref(pad_);
  }

  GstPad *pad() { return pad_; }
  void link_to(GstPad *source) { ASSERT_EQ(gst_pad_link(source, pad_), GST_PAD_LINK_OK); }

  // From now on a cue is kept waiting until a flush, as textoverlay does.
  void block() { blocks_ = true; }
  // And EOS, as sinks do while they are paused.
  void block_eos() { blocks_eos_ = true; }
  Gate blocked() const { return blocked_; }
  // What it answers to cues from now on.
  void answer(GstFlowReturn flow) { flow_ = flow; }

  // Waits for an entry that begins like this.
  void await(const std::string &beginning, std::size_t times = 1) {
    std::unique_lock lock(lock_);
    const auto came = [&] { return count(beginning) >= times; };
    if (!changed_.wait_for(lock, kTestPatience, came)) ADD_FAILURE() << "no " << beginning;
  }
  std::vector<std::string> log() const {
    const std::lock_guard lock(lock_);
    return log_;
  }
  std::vector<std::string> cues() const {
    const std::lock_guard lock(lock_);
    return cues_;
  }
  bool has(const std::string &beginning) const {
    const std::lock_guard lock(lock_);
    return count(beginning) > 0;
  }

 private:
  static std::string span(GstClockTime start, GstClockTime duration) {
    return std::to_string(start / GST_MSECOND) + "-" +
           std::to_string((start + duration) / GST_MSECOND);
  }

  static GstFlowReturn chain(GstPad *pad, GstObject *, GstBuffer *data) {
    auto *self = static_cast<Consumer *>(gst_pad_get_element_private(pad));
    const BufferPtr buffer(data);
    GstMapInfo map;
    gst_buffer_map(data, &map, GST_MAP_READ);
    const std::string text(reinterpret_cast<const char *>(map.data), map.size);
    gst_buffer_unmap(data, &map);
    EXPECT_TRUE(g_utf8_validate(text.data(), static_cast<gssize>(text.size()), nullptr));
    const std::string cue = span(GST_BUFFER_PTS(data), GST_BUFFER_DURATION(data)) + " " + text;
    self->note(cue, true);
    if (!self->blocks_) return self->flow_;
    self->blocked_.open();
    EXPECT_TRUE(self->flushed_.wait());
    return GST_FLOW_FLUSHING;
  }

  static gboolean event(GstPad *pad, GstObject *, GstEvent *data) {
    auto *self = static_cast<Consumer *>(gst_pad_get_element_private(pad));
    const EventPtr event(data);
    if (GST_EVENT_TYPE(data) == GST_EVENT_FLUSH_START) self->flushed_.open();
    if (GST_EVENT_TYPE(data) == GST_EVENT_EOS && self->blocks_eos_) {
      EXPECT_TRUE(self->flushed_.wait());
      return FALSE;
    }
    if (GST_EVENT_TYPE(data) == GST_EVENT_GAP) {
      GstClockTime start, duration;
      gst_event_parse_gap(data, &start, &duration);
      self->note("gap " + span(start, duration), false);
    } else {
      self->note(GST_EVENT_TYPE_NAME(data), false);
    }
    return TRUE;
  }

  void note(const std::string &entry, bool is_cue) {
    const std::lock_guard lock(lock_);
    log_.push_back(entry);
    if (is_cue) cues_.push_back(entry);
    changed_.notify_all();
  }

  std::size_t count(const std::string &beginning) const {
    return static_cast<std::size_t>(std::count_if(log_.begin(), log_.end(), [&](const auto &entry) {
      return entry.compare(0, beginning.size(), beginning) == 0;
    }));
  }

  GstPad *const pad_;
  std::atomic<bool> blocks_ = false, blocks_eos_ = false;
  std::atomic<GstFlowReturn> flow_ = GST_FLOW_OK;
  Gate blocked_, flushed_;
  mutable std::mutex lock_;
  std::condition_variable changed_;
  std::vector<std::string> log_, cues_;  // lock_
};

// A harnessed filter whose text pads can be requested and released.
class TextHarness : public FilterHarness {
 public:
  explicit TextHarness(const Properties &properties) : FilterHarness(properties, kCaps25) {}

  GstPad *request(const char *name = "text_%u") {
    GstPad *pad = gst_element_request_pad_simple(element(), name);
    EXPECT_TRUE(pad);
    return pad;
  }
  void release(GstPad *pad) {
    gst_element_release_request_pad(element(), pad);
    gst_object_unref(pad);
  }
  void request(Consumer &consumer) {
    GstPad *pad = request();
    consumer.link_to(pad);
    gst_object_unref(pad);
  }
};

using Names = std::vector<std::string>;

TEST(MoondreamFilterText, ATrackHasItsOwnStreamAndTheVideosSegment) {
  MockModel model;
  TextHarness filter(kSync);
  Consumer consumer;
  filter.request(consumer);
  filter.pass(0);
  filter.push_event(gst_event_new_eos());
  consumer.await("eos");
  EXPECT_EQ(consumer.log(),
            (Names{"stream-start", "caps", "segment", "0-500 a mock caption", "eos"}));

  const EventPtr text(gst_pad_get_sticky_event(consumer.pad(), GST_EVENT_STREAM_START, 0));
  const EventPtr video(gst_pad_get_sticky_event(filter.get()->sinkpad, GST_EVENT_STREAM_START, 0));
  const gchar *text_id, *video_id;
  gst_event_parse_stream_start(text.get(), &text_id);
  gst_event_parse_stream_start(video.get(), &video_id);
  EXPECT_EQ(std::string(text_id), std::string(video_id) + "/text_0");
  guint text_group = 1, video_group = 2;
  EXPECT_EQ(gst_event_parse_group_id(text.get(), &text_group),
            gst_event_parse_group_id(video.get(), &video_group));
  GstStreamFlags flags;
  gst_event_parse_stream_flags(text.get(), &flags);
  EXPECT_EQ(flags, GST_STREAM_FLAG_SPARSE);

  const EventPtr text_segment(gst_pad_get_sticky_event(consumer.pad(), GST_EVENT_SEGMENT, 0));
  const EventPtr segment(gst_pad_get_sticky_event(filter.get()->sinkpad, GST_EVENT_SEGMENT, 0));
  EXPECT_EQ(gst_event_get_seqnum(text_segment.get()), gst_event_get_seqnum(segment.get()));
  GstCaps *caps = gst_pad_get_current_caps(consumer.pad());
  EXPECT_EQ(TextPtr(gst_caps_to_string(caps)).get(),
            std::string("text/x-raw, format=(string)utf8"));
  gst_caps_unref(caps);
}

TEST(MoondreamFilterText, SilenceIsGapsUpToTheEndOfEachFrame) {
  MockModel model;
  model.always(hangs_until_cancelled());
  TextHarness filter(kAsync);
  Consumer consumer;
  filter.request(consumer);
  for (int i = 0; i < 5; ++i) {
    filter.pass(i * kFrame);
    // Waiting gaps become one, so each is awaited.
    consumer.await("gap " + std::to_string(i * 40) + "-" + std::to_string(i * 40 + 40));
  }
  EXPECT_EQ(consumer.cues(), Names{});
}

TEST(MoondreamFilterText, InSyncModeACueHasTheTimeOfItsOwnFrame) {
  MockModel model;
  for (const char *text : {"one", "two", "three"}) model.next(after(2ms, says(text)));
  TextHarness filter(kSync);
  Consumer consumer;
  filter.request(consumer);
  for (GstClockTime pts = 0; pts <= GST_SECOND; pts += kFrame) filter.push(pts);
  filter.push_event(gst_event_new_eos());
  consumer.await("eos");
  EXPECT_EQ(consumer.cues(), (Names{"0-500 one", "520-1020 two", "1020-1500 three"}));
}

TEST(MoondreamFilterText, InAsyncModeACueHasTheTimeOfTheFrameThatFirstCarriesTheResult) {
  MockModel model;
  Gate go;
  model.next(hangs_until(go, says("late")));
  TextHarness filter(kAsync);
  Consumer consumer;
  filter.request(consumer);
  for (int i = 0; i < 5; ++i) filter.pass(i * kFrame);
  go.open();
  ASSERT_TRUE(filter.wait_for_result());
  filter.pass(5 * kFrame);
  consumer.await("200-");
  EXPECT_EQ(consumer.cues(), Names{"200-700 late"});
}

TEST(MoondreamFilterText, FailedSamplesAreSilent) {
  MockModel model;
  model.next(fails(ErrorKind::kFailed, "broken"));
  model.next(says("well"));
  Properties properties = kEveryFrame;
  properties.push_back({"on-error", "warn"});
  TextHarness filter(properties);
  Consumer consumer;
  filter.request(consumer);
  filter.pass(0);
  filter.pass(kFrame);
  consumer.await("40-");
  EXPECT_TRUE(consumer.has("gap 0-40"));
  EXPECT_EQ(consumer.cues(), Names{"40-80 well"});
}

TEST(MoondreamFilterText, GarbageBecomesValidTextOrNone) {
  MockModel model;
  model.next(answers_garbage_text());
  model.next(says(" \n\t "));
  TextHarness filter(kEveryFrame);
  Consumer consumer;  // checks that it is UTF-8
  filter.request(consumer);
  filter.pass(0);
  filter.pass(kFrame);
  consumer.await("gap 40-80");
  ASSERT_EQ(consumer.cues().size(), 1u);
  EXPECT_EQ(consumer.cues()[0].find('\0'), std::string::npos);
}

// ---- Pads that come and go -------------------------------------------------------------------

TEST(MoondreamFilterText, APadThatComesLateGetsItsStreamBeforeTheFirstCue) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  filter.pass(0);
  filter.pass(kFrame);
  Consumer consumer;
  filter.request(consumer);
  filter.pass(2 * kFrame);
  consumer.await("80-");
  EXPECT_EQ(consumer.log(), (Names{"stream-start", "caps", "segment", "80-120 a mock caption"}));
}

TEST(MoondreamFilterText, APadThatIsLinkedLateGetsItsStreamToo) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  GstPad *pad = filter.request();
  for (int i = 0; i < 3; ++i) filter.pass(i * kFrame);  // to nobody
  Consumer consumer;
  consumer.link_to(pad);
  gst_object_unref(pad);
  for (int i = 3; i < 50 && consumer.cues().empty(); ++i) {
    filter.pass(i * kFrame);
    g_usleep(1000);
  }
  consumer.await("segment");
  const Names log = consumer.log();
  ASSERT_GE(log.size(), 3u);
  EXPECT_EQ(Names(log.begin(), log.begin() + 3), (Names{"stream-start", "caps", "segment"}));
}

TEST(MoondreamFilterText, AReleasedPadEndsWithEosAndTheVideoGoesOn) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  Consumer consumer;
  GstPad *pad = filter.request();
  consumer.link_to(pad);
  filter.pass(0);
  consumer.await("0-");
  filter.release(pad);
  EXPECT_EQ(consumer.log().back(), "eos");
  EXPECT_FALSE(consumer.has("flush-start"));
  EXPECT_FALSE(gst_pad_is_linked(consumer.pad()));
  EXPECT_EQ(filter.pass(kFrame).status, AnalysisStatus::kFresh);
}

TEST(MoondreamFilterText, ABlockedPadCanBeReleased) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  Consumer consumer;
  consumer.block();
  GstPad *pad = filter.request();
  consumer.link_to(pad);
  filter.pass(0);
  ASSERT_TRUE(consumer.blocked().wait());
  filter.release(pad);
  EXPECT_EQ(consumer.log().back(), "eos");
  EXPECT_EQ(filter.pass(kFrame).status, AnalysisStatus::kFresh);
}

TEST(MoondreamFilterText, APadWhoseConsumerBlocksEosCanBeReleased) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  Consumer consumer;
  consumer.block_eos();
  GstPad *pad = filter.request();
  consumer.link_to(pad);
  filter.pass(0);
  consumer.await("0-");
  filter.release(pad);
  EXPECT_EQ(consumer.log().back(), "flush-stop");
  EXPECT_EQ(filter.pass(kFrame).status, AnalysisStatus::kFresh);
}

TEST(MoondreamFilterText, ABlockedPadDoesNotKeepTheElementFromStopping) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  Consumer consumer;
  consumer.block();
  filter.request(consumer);
  filter.pass(0);
  ASSERT_TRUE(consumer.blocked().wait());
  EXPECT_EQ(gst_element_set_state(filter.element(), GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
}

TEST(MoondreamFilterText, PadsAreNumberedAndNamesAreNotGivenTwice) {
  MockModel model;
  TextHarness filter(kSync);
  using Case = std::pair<const char *, const char *>;
  for (const auto &[wished, given] : {Case{"text_%u", "text_0"}, Case{"text_7", "text_7"}}) {
    GstPad *pad = filter.request(wished);
    EXPECT_STREQ(GST_PAD_NAME(pad), given);
    gst_object_unref(pad);
  }
  GstPad *next = filter.request();
  EXPECT_STREQ(GST_PAD_NAME(next), "text_8");
  filter.release(next);
  EXPECT_EQ(gst_child_proxy_get_children_count(GST_CHILD_PROXY(filter.element())), 2u);
}

TEST(MoondreamFilterText, ContentDividesTheTextsAmongPads) {
  MockModel model;
  TextHarness filter({{"mode", "sync"}, {"caption", "short"}, {"query", "why?"}});
  Consumer all, caption, answers;
  filter.request(all);
  filter.request(caption);
  filter.request(answers);
  gst_child_proxy_set(GST_CHILD_PROXY(filter.element()), "text_1::content",
                      gint(TextContent::kCaption), "text_2::content", gint(TextContent::kAnswers),
                      nullptr);
  filter.pass(0);
  for (Consumer *consumer : {&all, &caption, &answers}) consumer->await("0-");
  EXPECT_EQ(all.cues(), Names{"0-500 a mock caption\nmock answer: why?"});
  EXPECT_EQ(caption.cues(), Names{"0-500 a mock caption"});
  EXPECT_EQ(answers.cues(), Names{"0-500 mock answer: why?"});
}

TEST(MoondreamFilterText, ItStreamsAgainAfterItWasStopped) {
  MockModel model;
  ElementPtr filter = make_filter(kSync);
  GstPad *pad = gst_element_request_pad_simple(filter.get(), "text_%u");
  Consumer consumer;
  consumer.link_to(pad);
  gst_object_unref(pad);
  for (std::size_t round = 1; round <= 3; ++round) {
    HarnessPtr harness(gst_harness_new_with_element(filter.get(), "sink", "src"));
    gst_harness_set_src_caps_str(harness.get(), kCaps25);
    GstBuffer *buffer = gst_buffer_new_allocate(nullptr, 64, nullptr);
    GST_BUFFER_PTS(buffer) = 0;
    EXPECT_EQ(gst_harness_push(harness.get(), buffer), GST_FLOW_OK);
    consumer.await("0-500", round);
    consumer.await("stream-start", round);
  }
}

// ---- Flushes, segments and what goes upstream ------------------------------------------------

TEST(MoondreamFilterText, AFlushDropsWhatWaitsAndTheTrackBeginsAgain) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  Consumer consumer;
  consumer.block();
  filter.request(consumer);
  for (int i = 0; i < 3; ++i) filter.pass(i * kFrame);
  ASSERT_TRUE(consumer.blocked().wait());
  filter.push_event(gst_event_new_flush_start());
  filter.push_event(gst_event_new_flush_stop(TRUE));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.start = segment.time = 10 * GST_SECOND;
  filter.push_event(gst_event_new_segment(&segment));
  filter.pass(10 * GST_SECOND);
  consumer.await("10000-");
  EXPECT_EQ(consumer.log(),
            (Names{"stream-start", "caps", "segment", "0-40 a mock caption", "flush-start",
                   "flush-stop", "segment", "10000-10040 a mock caption"}));
}

// An element that gets video and text sends seeks through both pads, and QoS likewise.
TEST(MoondreamFilterText, ASeekThatComesTwiceGoesUpstreamOnce) {
  MockModel model;
  TextHarness filter(kSync);
  Consumer consumer;
  filter.request(consumer);
  filter.pass(0);
  GstEvent *seek = gst_event_new_seek(1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET, 0,
                                      GST_SEEK_TYPE_NONE, 0);
  const guint before = gst_harness_upstream_events_received(filter.get());
  gst_event_ref(seek);
  EXPECT_TRUE(gst_harness_push_upstream_event(filter.get(), seek));
  EXPECT_TRUE(gst_pad_push_event(consumer.pad(), seek));
  EXPECT_TRUE(gst_pad_push_event(
      consumer.pad(), gst_event_new_qos(GST_QOS_TYPE_UNDERFLOW, 1, GST_SECOND, GST_SECOND)));
  EXPECT_EQ(gst_harness_upstream_events_received(filter.get()), before + 1);
  // Another one may come through the text alone.
  EXPECT_TRUE(gst_pad_push_event(
      consumer.pad(), gst_event_new_seek(1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SEEK_TYPE_SET,
                                         0, GST_SEEK_TYPE_NONE, 0)));
  EXPECT_EQ(gst_harness_upstream_events_received(filter.get()), before + 2);
}

TEST(MoondreamFilterText, EndsWithTheVideoWhenUpstreamEndsEarly) {
  MockModel model;
  TextHarness filter(kSync);
  Consumer consumer;
  filter.request(consumer);
  filter.push_event(gst_event_new_eos());
  consumer.await("eos");
  EXPECT_EQ(consumer.log(), (Names{"stream-start", "caps", "segment", "eos"}));
}

TEST(MoondreamFilterText, GapsOfTheVideoAreGapsOfTheText) {
  MockModel model;
  TextHarness filter(kSync);
  Consumer consumer;
  filter.request(consumer);
  filter.push_event(gst_event_new_gap(0, GST_SECOND));
  consumer.await("gap 0-1000");
}

// ---- Consumers that fail ---------------------------------------------------------------------

TEST(MoondreamFilterText, AConsumerThatBlocksForEverCostsCuesButNoVideo) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  Consumer consumer;
  consumer.block();
  GstPad *pad = filter.request();
  consumer.link_to(pad);
  filter.pass(0);
  ASSERT_TRUE(consumer.blocked().wait());
  const int frames = static_cast<int>(2 * TextQueue::kMaxItems) + 10;
  for (int i = 1; i <= frames; ++i) ASSERT_EQ(filter.pass(i * kFrame).serial, guint64(i) + 1);
  const MessagePtr warning = wait_for(filter.bus(), GST_MESSAGE_WARNING);
  ASSERT_TRUE(warning);
  EXPECT_TRUE(
      g_error_matches(error_of(warning.get()).get(), GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED));
  EXPECT_FALSE(wait_for(filter.bus(), GST_MESSAGE_WARNING, 0)) << "it warned twice";
  guint64 dropped = 0;
  g_object_get(pad, "dropped", &dropped, nullptr);
  EXPECT_EQ(dropped, 2 * TextQueue::kMaxItems);
  gst_object_unref(pad);
}

TEST(MoondreamFilterText, AConsumerThatWantsNoMoreGetsEosAlone) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  Consumer consumer;
  consumer.answer(GST_FLOW_EOS);
  filter.request(consumer);
  filter.pass(0);
  consumer.await("0-");
  filter.pass(kFrame);
  filter.push_event(gst_event_new_eos());
  consumer.await("eos");
  EXPECT_EQ(consumer.cues().size(), 1u);
  EXPECT_FALSE(wait_for(filter.bus(), GST_MESSAGE_ERROR, 0));
}

TEST(MoondreamFilterText, AConsumerThatFailsIsAnErrorOnce) {
  MockModel model;
  TextHarness filter(kEveryFrame);
  Consumer consumer;
  consumer.answer(GST_FLOW_ERROR);
  filter.request(consumer);
  filter.pass(0);
  consumer.await("eos");
  EXPECT_EQ(filter.pass(kFrame).status, AnalysisStatus::kFresh);
  const MessagePtr error = wait_for(filter.bus(), GST_MESSAGE_ERROR);
  ASSERT_TRUE(error);
  EXPECT_FALSE(wait_for(filter.bus(), GST_MESSAGE_ERROR, 0));
  EXPECT_EQ(consumer.cues().size(), 1u);
}

}  // namespace
}  // namespace moondream
