// Everything at once: pipelines on one engine, whose model is slow, hangs, fails, throws and talks
// nonsense, while they are sought, flushed, renegotiated, stopped, started and asked other things.
//
//   MOONDREAM_STORM_SEED=N         another storm
//   MOONDREAM_STORM_OPERATIONS=N   a longer one
#include <gst/video/video.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "filter_harness.h"
#include "live_objects.h"
#include "pipeline.h"
#include "watchdog.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

constexpr int kOperations = 1100;
// For one operation, with everything that has to happen until it is done. What takes longer than
// the slowest answer of the model, 0.1 s, waits for something that does not come.
constexpr std::chrono::seconds kDeadline(30);

long from_environment(const char *name, long otherwise) {
  const char *text = std::getenv(name);
  return text ? std::atol(text) : otherwise;
}

// ---- The model -------------------------------------------------------------------------------

// Ignores that its job is cancelled.
Behaviour is_deaf(std::chrono::milliseconds time) {
  return [time](const Job &job) -> Outcome {
    std::this_thread::sleep_for(time);
    return mock_result(*job.request);
  };
}

// Another behaviour for each job, half of them good.
class WildModel {
 public:
  explicit WildModel(unsigned seed) : random_(seed) { go_wild(); }

  void go_wild() {
    model.always([this](const Job &job) { return pick()(job); });
  }
  void calm_down() { model.always(after(1ms, answers())); }

  MockModel model;

 private:
  Behaviour pick() {
    const std::lock_guard lock(mutex_);
    switch (random_() % 20) {
      case 0:
        return after(100ms, throws(0));
      case 1:
        return is_deaf(30ms);
      case 2:
        return fails(ErrorKind::kFailed, "a scripted failure");
      case 3:
        return throws(std::runtime_error("a scripted exception"));
      case 4:
        return answers_garbage_text();
      case 5:
        return answers_broken_boxes();
      case 6:
        return answers_many_boxes(200);
      case 7:
      case 8:
      case 9:
        return after(std::chrono::milliseconds(random_() % 20), answers());
      default:
        return answers();
    }
  }

  std::mutex mutex_;
  std::mt19937 random_;  // mutex_
};

// ---- What is checked all the time ------------------------------------------------------------

// Of a filter's two video pads: frames leave in the order in which they came, each with a sentinel.
class FrameOrder {
 public:
  explicit FrameOrder(GstElement *filter) {
    GstPad *sink = gst_element_get_static_pad(filter, "sink");
    GstPad *src = gst_element_get_static_pad(filter, "src");
    gst_pad_add_probe(sink, GST_PAD_PROBE_TYPE_BUFFER, came, this, nullptr);
    gst_pad_add_probe(
        src,
        static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_FLUSH),
        left, this, nullptr);
    gst_object_unref(sink);
    gst_object_unref(src);
  }

  // Frames that came and never left are forgotten.
  void restart() {
    const std::lock_guard lock(mutex_);
    inside_.clear();
  }

  Gate frames() const { return frames_; }
  Gate results() const { return results_; }

 private:
  static GstPadProbeReturn came(GstPad *, GstPadProbeInfo *info, gpointer data) {
    auto *self = static_cast<FrameOrder *>(data);
    const std::lock_guard lock(self->mutex_);
    self->inside_.push_back(GST_BUFFER_PTS(GST_PAD_PROBE_INFO_BUFFER(info)));
    return GST_PAD_PROBE_OK;
  }

  static GstPadProbeReturn left(GstPad *, GstPadProbeInfo *info, gpointer data) {
    auto *self = static_cast<FrameOrder *>(data);
    if (info->type & GST_PAD_PROBE_TYPE_EVENT_FLUSH) {
      const bool over = GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_FLUSH_STOP;
      if (over) self->restart();
      return GST_PAD_PROBE_OK;
    }
    GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
    const std::optional<FrameAnalysis> analysis = read_analysis(buffer);
    EXPECT_TRUE(analysis) << "a frame without sentinel";
    {
      const std::lock_guard lock(self->mutex_);
      auto &inside = self->inside_;
      const auto at = std::find(inside.begin(), inside.end(), GST_BUFFER_PTS(buffer));
      EXPECT_NE(at, inside.end()) << "a frame that did not come, or one that was overtaken";
      if (at != inside.end()) inside.erase(inside.begin(), at + 1);
    }
    self->frames_.open();
    if (analysis && analysis->status == AnalysisStatus::kFresh) self->results_.open();
    return GST_PAD_PROBE_OK;
  }

  std::mutex mutex_;
  std::deque<GstClockTime> inside_;  // mutex_
  Gate frames_, results_;
};

// Of a text pad: cues are valid text and do not overlap.
GstPadProbeReturn check_cue(GstPad *, GstPadProbeInfo *info, gpointer data) {
  auto *end = static_cast<GstClockTime *>(data);  // of the last; the pad's pushing thread only
  if (info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
    const GstEventType type = GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info));
    if (type == GST_EVENT_SEGMENT) *end = 0;
    return GST_PAD_PROBE_OK;
  }
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info);
  GstMapInfo map;
  gst_buffer_map(buffer, &map, GST_MAP_READ);
  EXPECT_GT(map.size, 0u);
  EXPECT_TRUE(g_utf8_validate(reinterpret_cast<const gchar *>(map.data),
                              static_cast<gssize>(map.size), nullptr));
  gst_buffer_unmap(buffer, &map);
  EXPECT_GE(GST_BUFFER_PTS(buffer), *end);
  *end = GST_BUFFER_PTS(buffer) + GST_BUFFER_DURATION(buffer);
  return GST_PAD_PROBE_OK;
}

// ---- One pipeline ----------------------------------------------------------------------------

class Lane {
 public:
  Lane(int number, const std::string &source, const std::string &filter, const std::string &sink)
      : live_(!source.empty()),
        name_("pipeline " + std::to_string(number) + " (" + filter + ")"),
        pipeline_("videotestsrc name=source " + source +
                  " ! capsfilter name=caps ! moondreamfilter name=filter on-error=warn "
                  "detect=face caption=short " +
                  filter + " ! fakesink name=sink " + sink),
        filter_(pipeline_.child("filter")),
        order_(filter_.get()) {
    change_caps(0);
  }
  ~Lane() {
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
    while (!texts_.empty()) release_text();
  }

  const std::string &name() const { return name_; }
  GstElement *filter() { return filter_.get(); }
  FrameOrder &order() { return order_; }
  bool plays() const { return state_ == GST_STATE_PLAYING && !eos_; }
  bool streams() const { return state_ >= GST_STATE_PAUSED && !eos_; }
  // A live source cannot go to another time.
  bool is_seekable() const { return !live_; }

  void change_state(GstState state) {
    ASSERT_NE(gst_element_set_state(pipeline_.get(), state), GST_STATE_CHANGE_FAILURE);
    state_ = state;
    if (state < GST_STATE_PAUSED) {
      eos_ = false;
      order_.restart();
    }
    settle();
  }

  // Until the last change of state, or the seek, has arrived everywhere. False: the stream has
  // ended with an error, as it is asked to when its model fails, and began again.
  bool settle() {
    bool lasted = true;
    for (;;) {
      const auto result =
          gst_element_get_state(pipeline_.get(), nullptr, nullptr, 20 * GST_MSECOND);
      // A stream that fails before it plays is a change of state that fails, too, which is known a
      // little before its message has come.
      const bool broke = result == GST_STATE_CHANGE_FAILURE;
      take_messages(broke ? kPatience : 0);
      if (failed_) {
        failed_ = eos_ = lasted = false;
        gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
        take_messages(0);  // of the same failure
        failed_ = eos_ = false;
        order_.restart();
        gst_element_set_state(pipeline_.get(), state_);
      } else if (broke) {
        ADD_FAILURE() << name_ << " cannot change its state, and does not say why";
        return false;
      } else if (result != GST_STATE_CHANGE_ASYNC) {
        return lasted;
      }
    }
  }

  // To the beginning, from any state.
  void restart() {
    if (live_) change_state(GST_STATE_READY);
    change_state(GST_STATE_PLAYING);
    if (!live_) seek(1, GST_SEEK_FLAG_FLUSH, 0, 100 * GST_SECOND);
  }

  // To any rate and place. Flushing ones revive a stream that has ended.
  void seek(double rate, GstSeekFlags flags, GstClockTime start, GstClockTime stop) {
    eos_ = eos_ && !(flags & GST_SEEK_FLAG_FLUSH);
    const bool sought = gst_element_seek(pipeline_.get(), rate, GST_FORMAT_TIME, flags,
                                         GST_SEEK_TYPE_SET, start, GST_SEEK_TYPE_SET, stop);
    take_messages(0);
    EXPECT_TRUE(sought || failed_) << name_;
  }

  // Sends EOS and waits until it comes out, if not an error.
  void end() {
    do {
      gst_element_send_event(pipeline_.get(), gst_event_new_eos());
      while (settle() && !eos_) continue;
    } while (!eos_ && !testing::Test::HasFailure());
  }

  void change_caps(unsigned choice) {
    constexpr std::array kCaps = {"format=I420,width=64,height=48,framerate=30/1",
                                  "format=NV12,width=33,height=17,framerate=30/1",
                                  "format=RGB,width=16,height=128,framerate=15/1",
                                  "format=GRAY8,width=320,height=240,framerate=60/1"};
    const std::string text = std::string("video/x-raw,") + kCaps[choice % kCaps.size()];
    GstCaps *caps = gst_caps_from_string(text.c_str());
    g_object_set(pipeline_.child("caps").get(), "caps", caps, nullptr);
    gst_caps_unref(caps);
  }

  void observe_quality(double proportion, GstClockTimeDiff late, GstClockTime time) {
    GstPad *src = gst_element_get_static_pad(filter_.get(), "src");
    gst_pad_send_event(src, gst_event_new_qos(GST_QOS_TYPE_UNDERFLOW, proportion, late, time));
    gst_object_unref(src);
  }

  // Linked to a sink that blocks while the pipeline is paused.
  void request_text(bool linked) {
    Text text;
    text.pad = gst_element_request_pad_simple(filter_.get(), "text_%u");
    ASSERT_TRUE(text.pad);
    gst_pad_add_probe(text.pad,
                      static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER |
                                                   GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM),
                      check_cue, new GstClockTime(0),
                      [](gpointer end) { delete static_cast<GstClockTime *>(end); });
    if (linked) {
      text.sink = gst_element_factory_make("fakesink", nullptr);
      g_object_set(text.sink, "async", FALSE, "sync", FALSE, nullptr);
      gst_bin_add(GST_BIN(pipeline_.get()), GST_ELEMENT(gst_object_ref(text.sink)));
      GstPad *sink = gst_element_get_static_pad(text.sink, "sink");
      EXPECT_EQ(gst_pad_link(text.pad, sink), GST_PAD_LINK_OK);
      gst_object_unref(sink);
      gst_element_sync_state_with_parent(text.sink);
    }
    texts_.push_back(text);
  }
  void release_text() {
    const Text text = texts_.front();
    texts_.pop_front();
    gst_element_release_request_pad(filter_.get(), text.pad);
    gst_object_unref(text.pad);
    if (!text.sink) return;
    gst_element_set_state(text.sink, GST_STATE_NULL);
    gst_bin_remove(GST_BIN(pipeline_.get()), text.sink);
    gst_object_unref(text.sink);
  }
  std::size_t texts() const { return texts_.size(); }

  void ask() {
    GstStructure *stats = nullptr;
    g_object_get(filter_.get(), "stats", &stats, nullptr);
    gst_structure_free(stats);
    const QueryPtr latency(gst_query_new_latency());
    gst_element_query(pipeline_.get(), latency.get());
    gint64 position;
    gst_element_query_position(pipeline_.get(), GST_FORMAT_TIME, &position);
  }

 private:
  struct Text {
    GstPad *pad = nullptr;       // a reference
    GstElement *sink = nullptr;  // a reference, or null
  };

  // Notes whether the stream has ended, and how. patience: to wait for the news that it has.
  void take_messages(GstClockTime patience) {
    constexpr int kNews = GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING;
    while (const MessagePtr message = wait_for(pipeline_.bus(), kNews, failed_ ? 0 : patience)) {
      if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_EOS) {
        eos_ = true;
        continue;
      }
      std::string debug;
      const ErrorPtr error = error_of(message.get(), &debug);
      const std::string text = error->message;
      // The model's, or what upstream says when the filter has told of it; or that the model is
      // slower than the property latency says, or that frames do not wait to be interpolated.
      const bool scripted = error->domain == GST_LIBRARY_ERROR ||
                            error->domain == GST_STREAM_ERROR ||
                            text.starts_with("Frames wait longer") ||
                            text.find("not interpolated") != std::string::npos;
      EXPECT_TRUE(scripted) << name_ << ": " << error->message << "\n" << debug;
      if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_ERROR) failed_ = true;
    }
  }

  const bool live_;
  const std::string name_;
  Pipeline pipeline_;
  const ElementPtr filter_;
  FrameOrder order_;
  GstState state_ = GST_STATE_NULL;  // that it was asked for
  bool eos_ = false;                 // it has come to its end
  bool failed_ = false;              // by an error
  std::deque<Text> texts_;
};

// ---- The storm -------------------------------------------------------------------------------

class Storm {
 public:
  Storm(unsigned seed, int operations)
      : seed_(seed), operations_(operations), random_(seed), model_(seed) {
    const std::string live = "is-live=true";
    int number = 0;
    for (const auto &[source, filter, sink] : std::vector<std::array<std::string, 3>>{
             // The second is as fast as its model; the others have the pace of the clock, so that
             // there is something left of the machine.
             {"", "mode=sync", "sync=true"},
             {"", "mode=sync sample-rate=0/1 max-pending=3", ""},
             {"", "mode=async sample-rate=0/1", "sync=true"},
             {"", "mode=auto query=why", "sync=true"},
             {live, "mode=auto", "sync=true"},
             {live, "mode=sync sample-rate=5/1", "sync=true"}}) {
      lanes_.push_back(std::make_unique<Lane>(++number, source, filter, sink));
    }
  }

  void run() {
    for (auto &lane : lanes_)
      step(*lane, "is started", [&] { lane->change_state(GST_STATE_PLAYING); });
    EXPECT_EQ(model_.model.loading().count(), 1u) << "the elements share one model";
    while (done_ < operations_ && !testing::Test::HasFailure()) {
      operate(*lanes_[random_() % lanes_.size()]);
    }
    calm();
  }

  int done() const { return done_; }
  std::size_t backends() const { return model_.model.alive(); }
  void drop_lanes() { lanes_.clear(); }

 private:
  unsigned up_to(unsigned n) { return random_() % n; }

  template <typename Body>
  void step(Lane &lane, const std::string &what, Body &&body) {
    const std::string text = "seed " + std::to_string(seed_) + ", operation " +
                             std::to_string(++done_) + ": " + lane.name() + " " + what;
    watchdog_.begin(text);
    SCOPED_TRACE(text);
    body();
    // Often the next comes before this one has had its effect.
    if (up_to(3) == 0) std::this_thread::sleep_for(std::chrono::microseconds(up_to(5000)));
  }

  void operate(Lane &lane) {
    if (!lane.streams()) {
      revive(lane);
      return;
    }
    switch (up_to(16)) {
      case 0:
      case 1:
      case 2: {
        if (!lane.is_seekable()) break;
        constexpr std::array kRates = {1.0, 0.5, 2.0, -1.0};
        const double rate = kRates[up_to(kRates.size())];
        step(lane, "is sought at rate " + std::to_string(rate), [&] {
          lane.seek(rate, GST_SEEK_FLAG_FLUSH, up_to(50) * GST_SECOND, 100 * GST_SECOND);
          lane.settle();
        });
        break;
      }
      case 3:
        if (!lane.is_seekable()) break;
        step(lane, "is sought many times", [&] {
          for (unsigned i = 2 + up_to(5); i > 0; --i) {
            lane.seek(1, GST_SEEK_FLAG_FLUSH, up_to(50) * GST_SECOND, 100 * GST_SECOND);
          }
          lane.settle();
        });
        break;
      case 4: {
        // One that does not flush waits until the frame before it has gone.
        if (!lane.plays() || !lane.is_seekable()) break;
        const double rate = up_to(2) == 0 ? 1 : 2;
        step(lane, "is sought without a flush", [&] {
          lane.seek(rate, GST_SEEK_FLAG_NONE, up_to(50) * GST_SECOND, 100 * GST_SECOND);
          lane.settle();
        });
        break;
      }
      case 5:
      case 6: {
        constexpr std::array kStates = {GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED,
                                        GST_STATE_PLAYING};
        const GstState state = kStates[up_to(kStates.size())];
        step(lane, std::string("goes to ") + gst_element_state_get_name(state),
             [&] { lane.change_state(state); });
        break;
      }
      case 7:
        step(lane, "gets other caps", [&] { lane.change_caps(up_to(4)); });
        break;
      case 8:
      case 9:
        change_property(lane);
        break;
      case 10:
        if (lane.texts() >= 3) break;
        step(lane, "gets a text pad", [&] { lane.request_text(up_to(3) != 0); });
        break;
      case 11:
        if (lane.texts() == 0) break;
        step(lane, "loses a text pad", [&] { lane.release_text(); });
        break;
      case 12:
        step(lane, "is told of its quality", [&] {
          lane.observe_quality(up_to(40) / 10.0, up_to(1000) * GST_MSECOND,
                               up_to(100) * GST_SECOND);
        });
        break;
      case 13:
        if (!lane.plays()) break;
        step(lane, "ends", [&] { lane.end(); });
        break;
      case 14:
        step(lane, "is asked", [&] { lane.ask(); });
        break;
      case 15:
        if (up_to(4) == 0) breathe();
        break;
    }
  }

  void revive(Lane &lane) {
    step(lane, "is revived", [&] {
      lane.restart();
      lane.settle();
    });
  }

  void change_property(Lane &lane) {
    using Property = std::pair<const char *, const char *>;
    constexpr std::array kProperties = {Property{"detect", "face,license plate"},
                                        Property{"detect", ""},
                                        Property{"query", "why?"},
                                        Property{"query", ""},
                                        Property{"caption", "none"},
                                        Property{"caption", "short"},
                                        Property{"point", "door"},
                                        Property{"sample-rate", "0/1"},
                                        Property{"sample-rate", "2/1"},
                                        Property{"sample-rate", "30/1"},
                                        Property{"max-age", "0"},
                                        Property{"max-age", "18446744073709551615"},
                                        Property{"max-age", "100000000"},
                                        Property{"on-error", "error"},
                                        Property{"on-error", "warn"},
                                        Property{"on-error", "warn"},
                                        Property{"post-messages", "false"},
                                        Property{"post-messages", "true"},
                                        Property{"mode", "sync"},
                                        Property{"mode", "async"},
                                        Property{"grid", "2x1"},
                                        Property{"grid", "1x1"},
                                        Property{"propagate", "flow"},
                                        Property{"propagate", "hold"},
                                        Property{"propagate", "interpolate"},
                                        Property{"propagate", "none"},
                                        Property{"latency", "100000000"},
                                        Property{"latency", "0"}};
    const auto [name, value] = kProperties[up_to(kProperties.size())];
    if (!g_object_class_find_property(G_OBJECT_GET_CLASS(lane.filter()), name)) return;
    step(lane, std::string("has ") + name + " set to \"" + value + "\"",
         [&, name = name, value = value] {
           set(lane.filter(), name, value);
           // What is an error at the next start is tested elsewhere: async mode cannot interpolate,
           // and something has to be asked.
           if (std::string_view(value) == "async") set(lane.filter(), "propagate", "hold");
           if (std::string_view(value) == "interpolate") set(lane.filter(), "mode", "sync");
           set(lane.filter(), "gaze", "false");
           gchar *detect = nullptr, *query = nullptr, *point = nullptr;
           g_object_get(lane.filter(), "detect", &detect, "query", &query, "point", &point,
                        nullptr);
           if (!detect && !query && !point) set(lane.filter(), "point", "door");
           g_free(detect), g_free(query), g_free(point);
         });
  }

  // With a good model, every pipeline moves on from wherever the storm has left it.
  void breathe() {
    model_.calm_down();
    for (auto &lane : lanes_) {
      if (!lane->streams()) continue;
      step(*lane, "moves on", [&] {
        set(lane->filter(), "on-error", "warn");
        lane->restart();
        const Gate frames = lane->order().frames();
        const std::size_t before = frames.count();
        lane->settle();
        EXPECT_TRUE(frames.wait(before + 2)) << "no more frames";
      });
    }
    model_.go_wild();
  }

  // At the end everything works as if nothing had been.
  void calm() {
    model_.calm_down();
    for (auto &lane : lanes_) {
      step(*lane, "is calm", [&] {
        set(lane->filter(), "on-error", "warn");
        set(lane->filter(), "detect", "face");
        set(lane->filter(), "sample-rate", "0/1");
        set(lane->filter(), "mode", "sync");
        lane->change_state(GST_STATE_READY);
        lane->change_state(GST_STATE_PAUSED);
        lane->restart();
        const Gate results = lane->order().results();
        EXPECT_TRUE(results.wait(results.count() + 10)) << "frames with their own result";
        lane->end();
      });
    }
  }

  const unsigned seed_;
  const int operations_;
  std::mt19937 random_;
  WildModel model_;
  Watchdog watchdog_{kDeadline};
  std::vector<std::unique_ptr<Lane>> lanes_;
  int done_ = 0;
};

void run_storm(unsigned seed, int operations) {
  std::size_t backends = 1;
  int done = 0;
  {
    Storm storm(seed, operations);
    storm.run();
    done = storm.done();
    storm.drop_lanes();
    // An engine that is let go while a deaf job runs is freed a little later.
    for (int i = 0; i < 200 && storm.backends() > 0; ++i) std::this_thread::sleep_for(10ms);
    backends = storm.backends();
  }
  EXPECT_EQ(backends, 0u) << "the engine is free";
  EXPECT_GE(done, operations);
}

TEST(MoondreamFilterStorm, NoOperationAtAnyMomentHangsLosesOrLeaksAnything) {
  GstTracer *leaks = leaks_tracer();
  if (!leaks) GTEST_SKIP() << "needs GST_TRACERS=leaks";
  const auto seed = static_cast<unsigned>(from_environment("MOONDREAM_STORM_SEED", 20));
  const auto operations =
      static_cast<int>(from_environment("MOONDREAM_STORM_OPERATIONS", kOperations));
  // What elements and libraries keep for the next of their kind is there after a little storm.
  run_storm(seed + 1, 100);
  const auto before = live_objects(leaks);
  const auto time = time_of([&] { run_storm(seed, operations); });
  EXPECT_EQ(grown(before, leaks), "");
  std::printf("%d operations with seed %u in %.1f s\n", operations, seed,
              static_cast<double>(time.count()) / 1000);
}

TEST(MoondreamFilterStorm, SixteenElementsLoadOneModelAndEachGetsItsResults) {
  MockModel model;
  model.always(after(1ms, answers()));
  {
    std::vector<std::unique_ptr<Pipeline>> pipelines;
    for (int i = 0; i < 16; ++i) {
      pipelines.push_back(std::make_unique<Pipeline>(
          "videotestsrc num-buffers=60 ! video/x-raw,width=64,height=48,framerate=30/1 ! "
          "moondreamfilter detect=face mode=sync ! fakesink"));
    }
    for (auto &pipeline : pipelines) pipeline->play();
    for (auto &pipeline : pipelines) EXPECT_EQ(pipeline->results_until_eos(), 4);
    EXPECT_EQ(model.loading().count(), 1u);
    EXPECT_EQ(model.alive(), 1u);
  }
  EXPECT_EQ(model.alive(), 0u);
}

// ---- A program that just ends ----------------------------------------------------------------

// What a program does that does not clean up. Returns while pipelines stream, with jobs of every
// kind in flight.
int leave() {
  auto *model = new MockModel;  // as if it was the real one, it is nobody's
  model->always([](const Job &job) -> Outcome {
    static std::atomic<int> number = 0;
    return std::array{answers(), after(5ms, answers()), is_deaf(30ms),
                      after(10s, answers())}[static_cast<std::size_t>(number++ % 4)](job);
  });
  for (const char *mode : {"sync", "async", "sync", "async"}) {
    const std::string line =
        std::string(
            "videotestsrc ! video/x-raw,width=64,height=48,framerate=30/1 ! "
            "moondreamfilter name=filter caption=short sample-rate=0/1 mode=") +
        mode + " ! fakesink  filter.text_0 ! fakesink async=false";
    GstElement *pipeline = gst_parse_launch(line.c_str(), nullptr);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
  }
  if (!model->started().wait(4)) return 2;  // one of each kind
  return 0;
}

TEST(MoondreamFilterStorm, AProgramMayEndWhileEverythingRuns) {
  // Whatever it leaves behind is no leak.
  const char *options = std::getenv("ASAN_OPTIONS");
  setenv("ASAN_OPTIONS", (std::string(options ? options : "") + ":detect_leaks=0").c_str(), 1);
  for (int i = 0; i < 5; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(20);  // a hanging one is killed by a signal, too
      execl("/proc/self/exe", "storm", "--leave", nullptr);
      _exit(3);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
}

}  // namespace
}  // namespace moondream

int main(int argc, char **argv) {
  const bool leaves = argc == 2 && std::string(argv[1]) == "--leave";
  if (!leaves) testing::InitGoogleTest(&argc, argv);
  gst_init(&argc, &argv);
  if (leaves) return moondream::leave();
  const int result = RUN_ALL_TESTS();
  gst_deinit();
  return result;
}
