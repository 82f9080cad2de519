// Sync mode: a sampled frame leaves with its own result, and order is kept.
#include <thread>

#include "filter_harness.h"
#include "output_queue.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

const Properties kSync = {{"mode", "sync"}, {"detect", "face"}};
const Properties kEveryFrame = {{"mode", "sync"}, {"caption", "short"}, {"sample-rate", "0/1"}};

// Says what it sees: the red of the first pixel.
Behaviour names_its_picture() {
  return [](const Job &job) -> Outcome {
    Result result;
    result.prompts.push_back(CaptionResult{std::to_string(job.request->image->pixels[0])});
    return result;
  };
}

TEST(MoondreamFilterSync, EveryFrameLeavesInOrderWithItsOwnResult) {
  MockModel model;
  model.always(after(1ms, names_its_picture()));
  Properties properties = kEveryFrame;
  properties.push_back({"max-pending", "4"});
  FilterHarness filter(properties, "video/x-raw,format=RGB,width=4,height=4,framerate=30/1");
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(filter.push(i * GST_SECOND / 30, static_cast<guint8>(i)), GST_FLOW_OK);
  }
  for (int i = 0; i < 50; ++i) {
    const BufferPtr buffer = filter.pull();
    ASSERT_TRUE(buffer);
    EXPECT_EQ(GST_BUFFER_PTS(buffer.get()), i * GST_SECOND / 30);
    const FrameAnalysis analysis = FilterHarness::analysis_of(buffer);
    EXPECT_EQ(analysis.status, AnalysisStatus::kFresh);
    EXPECT_EQ(analysis.caption, std::to_string(i));
    EXPECT_EQ(analysis.sample_pts, i * GST_SECOND / 30);
    EXPECT_EQ(analysis.age, 0u);
    EXPECT_EQ(analysis.serial, static_cast<guint64>(i + 1));
  }
}

TEST(MoondreamFilterSync, FramesBetweenSamplesHoldTheOneBeforeThem) {
  MockModel model;
  model.always(after(5ms, answers()));
  FilterHarness filter(kSync);
  // 2 s at 30 frames and 2 samples a second.
  for (int i = 0; i < 60; ++i) filter.push(i * GST_SECOND / 30);
  for (int i = 0; i < 60; ++i) {
    const FrameAnalysis analysis = filter.pull_analysis();
    const bool sampled = i % 15 == 0;
    EXPECT_EQ(analysis.status, sampled ? AnalysisStatus::kFresh : AnalysisStatus::kHeld) << i;
    EXPECT_EQ(analysis.serial, static_cast<guint64>(i / 15 + 1));
    EXPECT_EQ(analysis.age, i * GST_SECOND / 30 - (i / 15) * GST_SECOND / 2);
    EXPECT_EQ(analysis.objects.size(), 1u);
  }
  EXPECT_EQ(filter.stat("samples"), 4u);
  EXPECT_EQ(filter.stat("results"), 4u);
  EXPECT_EQ(filter.stat("frames"), 60u);
  EXPECT_GE(filter.stat("latency-min"), 5 * GST_MSECOND);
  EXPECT_GE(filter.stat("latency-max"), filter.stat("latency-mean"));
  EXPECT_GE(filter.stat("latency-mean"), filter.stat("latency-min"));
}

TEST(MoondreamFilterSync, SampledFramesWaitAndNothingOvertakesThem) {
  MockModel model;
  Gate go;
  model.always(hangs_until(go));
  FilterHarness filter(kSync);
  filter.push(0);
  filter.push(33 * GST_MSECOND);
  filter.push_event(gst_event_new_gap(66 * GST_MSECOND, 33 * GST_MSECOND));
  filter.push(99 * GST_MSECOND);
  ASSERT_TRUE(model.started().wait());
  EXPECT_EQ(gst_harness_buffers_received(filter.get()), 0u);
  go.open();
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kHeld);
  EXPECT_EQ(filter.pull_analysis().age, 99 * GST_MSECOND);
}

// What leaves an element, in order.
class Recorder {
 public:
  explicit Recorder(GstPad *pad) {
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_DATA_DOWNSTREAM, record, this, nullptr);
  }

  // Up to EOS, which must come.
  std::vector<std::string> names() {
    EXPECT_TRUE(eos_.wait());
    const std::lock_guard lock(lock_);
    return names_;
  }

 private:
  static GstPadProbeReturn record(GstPad *, GstPadProbeInfo *info, gpointer data) {
    auto *self = static_cast<Recorder *>(data);
    const bool is_event = info->type & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM;
    const char *name = is_event ? GST_EVENT_TYPE_NAME(info->data) : "frame";
    {
      const std::lock_guard lock(self->lock_);
      self->names_.emplace_back(name);
    }
    if (std::string(name) == "eos") self->eos_.open();
    return GST_PAD_PROBE_OK;
  }

  std::mutex lock_;
  std::vector<std::string> names_;  // lock_
  Gate eos_;
};

TEST(MoondreamFilterSync, EventsKeepTheirPlaceBetweenFramesAndEosComesLast) {
  MockModel model;
  model.always(after(20ms, answers()));
  FilterHarness filter(kEveryFrame);
  Recorder recorder(filter.get()->sinkpad);
  filter.push(0);
  filter.push_event(gst_event_new_tag(gst_tag_list_new(GST_TAG_TITLE, "between", nullptr)));
  filter.push(GST_SECOND);
  filter.push_event(gst_event_new_gap(2 * GST_SECOND, GST_SECOND));
  filter.set_caps("video/x-raw,format=NV12,width=8,height=8,framerate=30/1");
  filter.push(3 * GST_SECOND);
  filter.push_event(gst_event_new_eos());
  std::vector<std::string> names = recorder.names();
  // Sent by the harness with the first frame's caps.
  while (!names.empty() && names.front() != "frame") names.erase(names.begin());
  const std::vector<std::string> expected = {"frame", "tag",     "frame", "gap",
                                             "caps",  "segment", "frame", "eos"};
  EXPECT_EQ(names, expected);
}

TEST(MoondreamFilterSync, NoMoreSamplesThanAllowedAreInFlight) {
  MockModel model;
  Gate go;
  model.always(hangs_until(go));
  Properties properties = kEveryFrame;
  properties.push_back({"max-pending", "3"});
  FilterHarness filter(properties);
  Gate pushed;
  std::thread upstream([&] {
    for (int i = 0; i < 6; ++i) {
      filter.push(i * GST_SECOND);
      pushed.open();
    }
  });
  EXPECT_TRUE(pushed.wait(3));
  // A claim that something does not happen can only be given a while to be wrong.
  EXPECT_FALSE(pushed.wait(4, 50ms)) << "the fourth frame has a sample and waits for a place";
  EXPECT_EQ(filter.stat("samples"), 3u);
  go.open();
  upstream.join();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
}

TEST(MoondreamFilterSync, FlushEndsAllWaitingAtOnceAndTheStreamGoesOn) {
  MockModel model;
  Gate never;
  model.always(hangs_until(never));
  FilterHarness filter(kEveryFrame);
  GstFlowReturn last = GST_FLOW_OK;
  Gate pushed;
  std::thread upstream([&] {
    while (last == GST_FLOW_OK) {
      last = filter.push(pushed.count() * GST_SECOND);
      pushed.open();
    }
  });
  ASSERT_TRUE(pushed.wait(2));
  EXPECT_LT(time_of([&] {
              filter.push_event(gst_event_new_flush_start());
              upstream.join();
            }),
            kFlush);
  EXPECT_EQ(last, GST_FLOW_FLUSHING);
  model.always(answers());
  never.open();
  filter.push_event(gst_event_new_flush_stop(TRUE));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  filter.push_event(gst_event_new_segment(&segment));
  EXPECT_EQ(filter.push(5 * GST_SECOND), GST_FLOW_OK);
  const FrameAnalysis analysis = filter.pull_analysis();
  EXPECT_EQ(analysis.status, AnalysisStatus::kFresh);
  EXPECT_EQ(analysis.sample_pts, 5 * GST_SECOND);
}

TEST(MoondreamFilterSync, StoppingDoesNotWaitForTheModel) {
  MockModel model;
  Gate never;
  model.always(hangs_until(never));
  auto filter = std::make_unique<FilterHarness>(kEveryFrame);
  Gate pushed;
  std::thread upstream([&] {
    while (filter->push(pushed.count() * GST_SECOND) == GST_FLOW_OK) pushed.open();
  });
  ASSERT_TRUE(pushed.wait(2));
  EXPECT_LT(time_of([&] {
              gst_element_set_state(filter->element(), GST_STATE_NULL);
              upstream.join();
            }),
            kStop);
  filter.reset();
  never.open();
  ASSERT_TRUE(model.freed().wait());
}

TEST(MoondreamFilterSync, AFailedSampleMarksItsFrameAndThoseBehindIt) {
  MockModel model;
  model.next(answers());
  model.next(fails(ErrorKind::kFailed, "no"));
  Properties properties = kSync;
  properties.push_back({"on-error", "warn"});
  FilterHarness filter(properties);
  for (const int ms : {0, 100, 500, 600, 1000}) filter.push(ms * GST_MSECOND);
  for (const AnalysisStatus status :
       {AnalysisStatus::kFresh, AnalysisStatus::kHeld, AnalysisStatus::kFailed,
        AnalysisStatus::kFailed, AnalysisStatus::kFresh}) {
    EXPECT_EQ(filter.pull_analysis().status, status);
  }
  EXPECT_TRUE(wait_for(filter.bus(), GST_MESSAGE_WARNING));
}

TEST(MoondreamFilterSync, AFailedSampleEndsTheStreamBehindTheFramesBeforeIt) {
  MockModel model;
  model.next(after(20ms, answers()));
  model.next(fails(ErrorKind::kNoMemory, "no"));
  FilterHarness filter(kEveryFrame);
  filter.push(0);
  filter.push(GST_SECOND);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
  ASSERT_TRUE(wait_for(filter.bus(), GST_MESSAGE_ERROR));
  GstFlowReturn flow = GST_FLOW_OK;
  for (int i = 2; flow == GST_FLOW_OK; ++i) flow = filter.push(i * GST_SECOND);
  EXPECT_EQ(flow, GST_FLOW_ERROR);
  EXPECT_EQ(gst_harness_buffers_received(filter.get()), 1u);
}

TEST(MoondreamFilterSync, WhatDownstreamAnswersReachesUpstream) {
  MockModel model;
  FilterHarness filter(kEveryFrame);
  filter.push(0);
  filter.pull();
  gst_pad_set_active(GST_PAD(filter.get()->sinkpad), FALSE);
  GstFlowReturn flow = GST_FLOW_OK;
  for (int i = 1; flow == GST_FLOW_OK; ++i) flow = filter.push(i * GST_SECOND);
  EXPECT_EQ(flow, GST_FLOW_FLUSHING);
}

// Such as a snapshot encoder, which ends the stream itself after one picture.
TEST(MoondreamFilterSync, AfterDownstreamsEosNoFrameGoesOutButEventsAndTheNextSegmentDo) {
  MockModel model;
  FilterHarness filter(kEveryFrame);
  Recorder recorder(filter.get()->sinkpad);
  const gulong probe = gst_pad_add_probe(
      filter.get()->sinkpad, GST_PAD_PROBE_TYPE_BUFFER,
      [](GstPad *, GstPadProbeInfo *info, gpointer) {
        gst_buffer_unref(GST_PAD_PROBE_INFO_BUFFER(info));
        GST_PAD_PROBE_INFO_FLOW_RETURN(info) = GST_FLOW_EOS;
        return GST_PAD_PROBE_HANDLED;
      },
      nullptr, nullptr);
  GstFlowReturn flow = GST_FLOW_OK;
  int pushed = 0;
  for (; flow == GST_FLOW_OK; ++pushed) flow = filter.push(pushed * GST_SECOND);
  EXPECT_EQ(flow, GST_FLOW_EOS);
  filter.push_event(gst_event_new_eos());
  EXPECT_EQ(recorder.names().back(), "eos");
  EXPECT_EQ(gst_harness_buffers_received(filter.get()), 0u);

  gst_pad_remove_probe(filter.get()->sinkpad, probe);
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  filter.push_event(gst_event_new_stream_start("again"));
  filter.push_event(gst_event_new_segment(&segment));
  EXPECT_EQ(filter.push(0), GST_FLOW_OK);
  filter.pull();
}

TEST(MoondreamFilterSync, SerializedQueriesComeBehindTheFramesBeforeThem) {
  MockModel model;
  model.always(after(30ms, answers()));
  FilterHarness filter(kEveryFrame);
  filter.push(0);
  GstQuery *drain = gst_query_new_drain();
  gst_pad_peer_query(filter.get()->srcpad, drain);
  gst_query_unref(drain);
  EXPECT_EQ(gst_harness_buffers_received(filter.get()), 1u);
}

TEST(MoondreamFilterSync, ALivePipelineIsToldHowLongFramesAreKept) {
  MockModel model;
  model.next(after(200ms, answers()));
  FilterHarness filter(kSync);
  gst_harness_set_live(filter.get(), TRUE);
  gst_harness_set_upstream_latency(filter.get(), 7 * GST_MSECOND);
  EXPECT_EQ(gst_harness_query_latency(filter.get()), 7 * GST_MSECOND);
  filter.push(0);
  filter.pull();
  ASSERT_TRUE(wait_for(filter.bus(), GST_MESSAGE_LATENCY));
  EXPECT_GE(gst_harness_query_latency(filter.get()), 207 * GST_MSECOND);
  // Frames that are kept no longer are no news.
  filter.push(GST_SECOND);
  filter.pull();
  EXPECT_FALSE(wait_for(filter.bus(), GST_MESSAGE_LATENCY, 0));
}

// Otherwise a sink that waits for the clock would make the latency for which it waits grow.
TEST(MoondreamFilterSync, WhatDownstreamTakesIsNoneOfItsLatency) {
  MockModel model;
  FilterHarness filter(kSync);
  gst_harness_set_live(filter.get(), TRUE);
  Gate reached, go;
  std::pair<Gate, Gate> gates(reached, go);
  gst_pad_add_probe(
      filter.get()->sinkpad, GST_PAD_PROBE_TYPE_BUFFER,
      [](GstPad *, GstPadProbeInfo *, gpointer data) {
        auto *both = static_cast<std::pair<Gate, Gate> *>(data);
        both->first.open();
        EXPECT_TRUE(both->second.wait());
        return GST_PAD_PROBE_OK;
      },
      &gates, nullptr);
  filter.push(0);
  ASSERT_TRUE(reached.wait());
  const GstClockTime before = gst_harness_query_latency(filter.get());
  for (int i = 1; i < 5; ++i) filter.push(i * 30 * GST_MSECOND);
  std::this_thread::sleep_for(50ms);
  go.open();
  for (int i = 0; i < 5; ++i) filter.pull();
  EXPECT_EQ(gst_harness_query_latency(filter.get()), before);
}

// Of a sink that takes nothing for now.
class BlockedSink {
 public:
  explicit BlockedSink(GstPad *pad) : pad_(pad) {
    probe_ = gst_pad_add_probe(
        pad, GST_PAD_PROBE_TYPE_BUFFER,
        [](GstPad *, GstPadProbeInfo *, gpointer data) {
          auto *self = static_cast<BlockedSink *>(data);
          self->reached_.open();
          EXPECT_TRUE(self->go_.wait());
          return GST_PAD_PROBE_OK;
        },
        this, nullptr);
  }
  ~BlockedSink() {
    release();
    gst_pad_remove_probe(pad_, probe_);
  }

  // Until a frame is there, which it does not take.
  [[nodiscard]] bool wait() const { return reached_.wait(); }
  void release() { go_.add(1); }

 private:
  GstPad *const pad_;
  gulong probe_ = 0;
  Gate reached_, go_;
};

// Frames that wait for nothing but downstream are none of a filter's: minutes of video would pass
// before EOS or what a property says.
TEST(MoondreamFilterSync, ASlowSinkHoldsUpUpstream) {
  MockModel model;
  FilterHarness filter(kSync);
  BlockedSink sink(filter.get()->sinkpad);
  constexpr std::size_t kFrames = 100;
  Gate pushed;
  std::thread upstream([&] {
    for (std::size_t i = 0; i < kFrames; ++i) {
      filter.push(i * GST_SECOND / 30);
      pushed.open();
    }
  });
  EXPECT_TRUE(sink.wait());
  // One is at the sink.
  EXPECT_TRUE(pushed.wait(1 + OutputQueue::kMinAhead));
  // A claim that something does not happen can only be given a while to be wrong.
  EXPECT_FALSE(pushed.wait(kFrames / 2, 100ms));
  sink.release();
  upstream.join();
  for (std::size_t i = 0; i < kFrames; ++i) {
    EXPECT_EQ(GST_BUFFER_PTS(filter.pull().get()), i * GST_SECOND / 30);
  }
}

// A sink takes frames of a live source later by what LATENCY says.
TEST(MoondreamFilterSync, ASlowSinkHoldsUpALiveSourceNoSoonerThanLatencySays) {
  MockModel model;
  Properties properties = kSync;
  properties.push_back({"latency", "2000000000"});
  FilterHarness filter(properties);
  gst_harness_set_live(filter.get(), TRUE);
  BlockedSink sink(filter.get()->sinkpad);
  Gate pushed;
  std::thread upstream([&] {
    for (int i = 0; i < 150; ++i) {
      filter.push(i * GST_SECOND / 30);
      pushed.open();
    }
  });
  EXPECT_TRUE(sink.wait());
  EXPECT_TRUE(pushed.wait(60)) << "two seconds";
  // Where a sample is not finished, two may be in flight with the 15 frames that begin with each.
  EXPECT_FALSE(pushed.wait(100, 100ms)) << "no more than that";
  sink.release();
  upstream.join();
  for (int i = 0; i < 150; ++i) filter.pull();
}

// Or a sink with the pace of the clock would have to wait for every result.
TEST(MoondreamFilterSync, ASlowSinkLeavesTheModelTheTimeThatItLatelyTook) {
  MockModel model;
  model.next(after(400ms, answers()));
  FilterHarness filter(kSync);
  gst_harness_set_live(filter.get(), FALSE);
  filter.push(0);
  filter.pull();
  BlockedSink sink(filter.get()->sinkpad);
  Gate pushed;
  std::thread upstream([&] {
    for (int i = 1; i <= 20; ++i) {
      filter.push(i * GST_SECOND / 30);
      pushed.open();
    }
  });
  EXPECT_TRUE(sink.wait());
  EXPECT_TRUE(pushed.wait(12)) << "0.4 s";
  sink.release();
  upstream.join();
  for (int i = 1; i <= 20; ++i) filter.pull();
}

// Events, too: a stream may be nothing but gaps for a while.
TEST(MoondreamFilterSync, ASlowSinkHoldsUpGaps) {
  MockModel model;
  FilterHarness filter(kSync);
  BlockedSink sink(filter.get()->sinkpad);
  filter.push(0);
  ASSERT_TRUE(sink.wait());
  Gate pushed;
  std::thread upstream([&] {
    for (int i = 1; i < 100; ++i) {
      filter.push_event(gst_event_new_gap(i * GST_SECOND / 30, GST_SECOND / 30));
      pushed.open();
    }
  });
  EXPECT_FALSE(pushed.wait(50, 100ms));
  sink.release();
  upstream.join();
  EXPECT_TRUE(pushed.wait(99));
}

TEST(MoondreamFilterSync, WhatWaitsBehindASlowSinkEndsWithAFlushOrAStop) {
  for (const bool flushes : {true, false}) {
    MockModel model;
    FilterHarness filter(kSync);
    BlockedSink sink(filter.get()->sinkpad);
    GstFlowReturn last = GST_FLOW_OK;
    Gate pushed;
    std::thread upstream([&] {
      for (int i = 0; last == GST_FLOW_OK; ++i) {
        last = filter.push(i * GST_SECOND / 30);
        pushed.open();
      }
    });
    ASSERT_TRUE(sink.wait());
    EXPECT_TRUE(pushed.wait(1 + OutputQueue::kMinAhead));
    // The sink itself is let go, as one does that is flushed; what is in the queue is not taken.
    std::thread downstream([&] {
      std::this_thread::sleep_for(10ms);
      sink.release();
    });
    EXPECT_LT(time_of([&] {
                if (flushes) {
                  filter.push_event(gst_event_new_flush_start());
                } else {
                  gst_element_set_state(filter.element(), GST_STATE_NULL);
                }
                upstream.join();
              }),
              kStop);
    downstream.join();
    EXPECT_EQ(last, GST_FLOW_FLUSHING);
  }
}

// Frames that are to be interpolated wait for a frame that upstream cannot bring meanwhile.
TEST(MoondreamFilterSync, WhatDownstreamTakesBeforeTheNextSampleIsNoneOfItsLatencyEither) {
  MockModel model;
  Gate go;
  model.next(answers());
  model.next(hangs_until(go));
  Properties properties = kSync;
  properties.push_back({"propagate", "interpolate"});
  FilterHarness filter(properties);
  BlockedSink sink(filter.get()->sinkpad);
  const auto whole = time_of([&] {
    filter.push(0);
    EXPECT_TRUE(sink.wait());
    // The sample at 15 is late, so frames get in behind it.
    for (int i = 1; i < 19; ++i) filter.push(i * GST_SECOND / 30);
    go.open();
    std::thread upstream([&] {
      for (int i = 19; i <= 30; ++i) filter.push(i * GST_SECOND / 30);
    });
    std::this_thread::sleep_for(1s);
    sink.release();
    for (int i = 0; i <= 30; ++i) filter.pull();
    upstream.join();
  });
  // Of the second at most half is lost until the threads are where they wait.
  EXPECT_LT(filter.stat("hold-max"), static_cast<guint64>((whole - 500ms) / 1ns));
}

TEST(MoondreamFilterSync, AutoIsSyncBehindASourceThatIsNotLive) {
  MockModel model;
  FilterHarness filter(Properties{{"detect", "face"}});
  gst_harness_set_live(filter.get(), FALSE);
  filter.push(0);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
}

TEST(MoondreamFilterSync, AFrameThatGoesBackIsSampledAndDoesNotHoldALaterResult) {
  MockModel model;
  FilterHarness filter(kSync);
  for (const int ms : {5000, 1000, 1100}) filter.push(ms * GST_MSECOND);
  EXPECT_EQ(filter.pull_analysis().sample_pts, 5 * GST_SECOND);
  EXPECT_EQ(filter.pull_analysis().sample_pts, GST_SECOND);
  EXPECT_EQ(filter.pull_analysis().age, 100 * GST_MSECOND);
}

TEST(MoondreamFilterSync, AReversedStreamIsSampledAtTheSamePace) {
  MockModel model;
  FilterHarness filter(kSync);
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.rate = -1;
  segment.stop = 10 * GST_SECOND;
  filter.push_event(gst_event_new_segment(&segment));
  for (int i = 0; i < 30; ++i) filter.push(10 * GST_SECOND - i * GST_SECOND / 30);
  for (int i = 0; i < 30; ++i) {
    const FrameAnalysis analysis = filter.pull_analysis();
    EXPECT_EQ(analysis.serial, i < 15 ? 1u : 2u) << i;
    EXPECT_EQ(analysis.age, i % 15 * GST_SECOND / 30) << i;
  }
}

TEST(MoondreamFilterSync, FramesWithoutTimestampsAreSampledOnceOrAllOfThem) {
  MockModel model;
  FilterHarness filter(kSync);
  filter.push(GST_CLOCK_TIME_NONE);
  filter.push(GST_CLOCK_TIME_NONE);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
  // Nobody knows how old the result is.
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kPending);
  set(filter.element(), "max-age", "-1");
  filter.push(GST_CLOCK_TIME_NONE);
  const FrameAnalysis held = filter.pull_analysis();
  EXPECT_EQ(held.status, AnalysisStatus::kHeld);
  EXPECT_EQ(held.age, GST_CLOCK_TIME_NONE);
  set(filter.element(), "sample-rate", "0/1");
  filter.push(GST_CLOCK_TIME_NONE);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
}

}  // namespace
}  // namespace moondream
