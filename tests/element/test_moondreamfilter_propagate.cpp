// What frames between samples say, and the ids of objects.
#include <algorithm>
#include <cstring>
#include <map>
#include <thread>

#include "filter_harness.h"
#include "known_clip.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

constexpr const char *kClipCaps = "video/x-raw,format=GRAY8,width=320,height=180,framerate=30/1";

constexpr GstClockTime pts_of(int frame) {
  return static_cast<GstClockTime>(frame) * GST_SECOND / 30;
}

// One thing of 60 x 50 pixels that goes right by `speed` pixels a frame.
KnownClip one_mover(double speed) {
  return {[speed](int frame) {
    MovingScene scene;
    scene.patches = {{.x = 20 + speed * frame, .y = 70, .width = 60, .height = 50, .seed = 2}};
    return scene;
  }};
}

BufferPtr clip_frame(const KnownClip &clip, int frame) {
  const std::vector<std::uint8_t> pixels = clip.draw(frame);
  GstBuffer *buffer = gst_buffer_new_memdup(pixels.data(), pixels.size());
  GST_BUFFER_PTS(buffer) = pts_of(frame);
  return BufferPtr(buffer);
}

Properties with(Properties properties, const Properties &more) {
  properties.insert(properties.end(), more.begin(), more.end());
  return properties;
}

const Properties kSync = {{"mode", "sync"}, {"detect", "thing"}};
const Properties kAsync = {{"mode", "async"}, {"detect", "thing"}};

FrameAnalysis pass(FilterHarness &filter, const KnownClip &clip, int frame) {
  EXPECT_EQ(filter.push(clip_frame(clip, frame)), GST_FLOW_OK);
  return filter.pull_analysis();
}

// ---- Ids -------------------------------------------------------------------------------------

TEST(MoondreamFilterIds, StayWithTheirObjectsOnBuffersAndMessages) {
  // Two go towards each other on lines of their own, and the model names them in turns.
  const KnownClip clip{[](int frame) {
    MovingScene scene;
    scene.patches = {{.x = 10.0 + 3 * frame, .y = 20, .width = 50, .height = 40, .seed = 2},
                     {.x = 250.0 - 3 * frame, .y = 110, .width = 50, .height = 40, .seed = 3}};
    return scene;
  }};
  MockModel model;
  model.always([clip](const Job &job) -> Outcome {
    std::vector<ScoredBox> boxes = clip.truth(KnownClip::number(*job.image));
    if (KnownClip::number(*job.image) / 15 % 2 == 1) std::swap(boxes.at(0), boxes.at(1));
    Result result;
    result.prompts.push_back(DetectResult{boxes});
    return result;
  });
  FilterHarness filter(kSync, kClipCaps);
  for (int i = 0; i < 75; ++i) ASSERT_EQ(filter.push(clip_frame(clip, i)), GST_FLOW_OK);
  for (int i = 0; i < 75; ++i) {
    const FrameAnalysis analysis = filter.pull_analysis();
    ASSERT_EQ(analysis.objects.size(), 2u);
    for (const AnalysisObject &object : analysis.objects) {
      EXPECT_EQ(object.id, object.box.y_min < 0.5 ? 1u : 2u) << i;
    }
  }
  for (int i = 0; i < 5; ++i) {
    const MessagePtr message = filter.wait_for_result();
    ASSERT_TRUE(message);
    const auto analysis = from_structure(gst_message_get_structure(message.get()));
    ASSERT_TRUE(analysis);
    for (const AnalysisObject &object : analysis->objects) {
      EXPECT_EQ(object.id, object.box.y_min < 0.5 ? 1u : 2u) << i;
    }
  }
}

TEST(MoondreamFilterIds, AreNewAfterAFlushAndInAnotherSegmentAndNeverGivenAgain) {
  MockModel model;
  for (const Properties &properties : {kSync, kAsync}) {
    FilterHarness filter(with(properties, {{"sample-rate", "0/1"}}));
    // The newest result, whichever frame it shows on.
    const auto id = [&](GstClockTime pts) {
      filter.push(pts);
      const MessagePtr message = filter.wait_for_result();
      EXPECT_TRUE(message);
      filter.pull();
      if (!message) return 0u;
      return from_structure(gst_message_get_structure(message.get()))->objects.at(0).id;
    };
    EXPECT_EQ(id(0), 1u);
    EXPECT_EQ(id(GST_SECOND), 1u);
    filter.push_event(gst_event_new_flush_start());
    filter.push_event(gst_event_new_flush_stop(TRUE));
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    filter.push_event(gst_event_new_segment(&segment));
    EXPECT_EQ(id(2 * GST_SECOND), 2u);
    segment.start = segment.time = 5 * GST_SECOND;
    filter.push_event(gst_event_new_segment(&segment));
    EXPECT_EQ(id(5 * GST_SECOND), 3u);
    EXPECT_EQ(id(6 * GST_SECOND), 3u);
  }
}

// Two workers finish in any order; ids are as if they did not.
TEST(MoondreamFilterIds, AreTheSameInWhateverOrderSamplesFinish) {
  constexpr int kPairs = 8;
  // In each frame there is one thing more, and the model names the newest first.
  const KnownClip clip{[](int frame) {
    MovingScene scene;
    for (int i = 0; i <= frame; ++i) {
      scene.patches.push_back({.x = 5.0 + i % 4 * 80,
                               .y = 10.0 + i / 4 * 42,
                               .width = 50,
                               .height = 30,
                               .seed = static_cast<unsigned>(i + 2)});
    }
    return scene;
  }};
  MockModel model;
  Gate second;
  model.always([clip, second](const Job &job) -> Outcome {
    const int number = KnownClip::number(*job.image);
    // The first of a pair ends when the second has ended.
    if (number % 2 == 0) {
      EXPECT_TRUE(second.wait(static_cast<std::size_t>(number / 2 + 1)));
    }
    std::vector<ScoredBox> boxes = clip.truth(number);
    std::reverse(boxes.begin(), boxes.end());
    Result result;
    result.prompts.push_back(DetectResult{boxes});
    return result;
  });
  FilterHarness filter(with(kSync, {{"sample-rate", "0/1"}, {"workers", "2"}}), kClipCaps);
  for (int pair = 0; pair < kPairs; ++pair) {
    const int first = 2 * pair;
    ASSERT_EQ(filter.push(clip_frame(clip, first)), GST_FLOW_OK);
    // Not before, or they might be looked at together.
    ASSERT_TRUE(model.started().wait(static_cast<std::size_t>(first + 1)));
    ASSERT_EQ(filter.push(clip_frame(clip, first + 1)), GST_FLOW_OK);
    const auto finished = static_cast<guint64>(first + 1);
    const auto deadline = std::chrono::steady_clock::now() + kTestPatience;
    while (filter.stat("results") < finished && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(filter.stat("results"), finished) << "the second of the pair";
    EXPECT_EQ(gst_harness_buffers_received(filter.get()), static_cast<guint>(first));
    second.open();
    for (int frame = first; frame < first + 2; ++frame) {
      const FrameAnalysis analysis = filter.pull_analysis();
      EXPECT_EQ(analysis.serial, static_cast<guint64>(frame + 1));
      ASSERT_EQ(analysis.objects.size(), static_cast<std::size_t>(frame + 1));
      for (std::size_t i = 0; i < analysis.objects.size(); ++i) {
        EXPECT_EQ(analysis.objects[i].id, analysis.objects.size() - i) << "frame " << frame;
      }
    }
  }
}

// ---- None ------------------------------------------------------------------------------------

TEST(MoondreamFilterPropagate, NoneLeavesFramesBetweenSamplesPending) {
  MockModel model;
  FilterHarness filter(with(kSync, {{"propagate", "none"}}));
  for (int i = 0; i < 30; ++i) filter.push(pts_of(i));
  for (int i = 0; i < 30; ++i) {
    const FrameAnalysis analysis = filter.pull_analysis();
    const bool sampled = i % 15 == 0;
    EXPECT_EQ(analysis.status, sampled ? AnalysisStatus::kFresh : AnalysisStatus::kPending) << i;
    EXPECT_EQ(analysis.objects.size(), sampled ? 1u : 0u);
  }
}

TEST(MoondreamFilterPropagate, CanBeChangedWhilePlaying) {
  MockModel model;
  FilterHarness filter(kAsync);
  filter.pass(0);
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_EQ(filter.pass(pts_of(1)).status, AnalysisStatus::kHeld);
  set(filter.element(), "propagate", "none");
  EXPECT_EQ(filter.pass(pts_of(2)).status, AnalysisStatus::kPending);
  // Nobody followed the picture since the sample.
  set(filter.element(), "propagate", "flow");
  EXPECT_EQ(filter.pass(pts_of(3)).status, AnalysisStatus::kHeld);
  set(filter.element(), "propagate", "hold");
  EXPECT_EQ(filter.pass(pts_of(4)).status, AnalysisStatus::kHeld);
}

// ---- Flow ------------------------------------------------------------------------------------

// The sample is of frame 0, and its result comes behind frame 20.
TEST(MoondreamFilterPropagate, FlowPutsALateResultWhereTheObjectIsNow) {
  const KnownClip clip = one_mover(4);
  for (const bool flow : {true, false}) {
    MockModel model;
    Gate go;
    model.next(hangs_until(go, clip.model()));
    model.always(hangs_until_cancelled());
    FilterHarness filter(with(kAsync, {{"propagate", flow ? "flow" : "hold"}}), kClipCaps);
    for (int i = 0; i <= 20; ++i) {
      EXPECT_EQ(pass(filter, clip, i).status, AnalysisStatus::kPending);
    }
    go.open();
    ASSERT_TRUE(filter.wait_for_result());
    for (int i = 21; i < 30; ++i) {
      const FrameAnalysis analysis = pass(filter, clip, i);
      EXPECT_EQ(analysis.status, flow ? AnalysisStatus::kPredicted : AnalysisStatus::kHeld);
      EXPECT_EQ(analysis.sample_pts, 0u);
      EXPECT_EQ(analysis.age, pts_of(i));
      ASSERT_EQ(analysis.objects.size(), 1u);
      EXPECT_EQ(analysis.objects[0].id, 1u);
      const double right = iou(analysis.objects[0].box, clip.truth(i)[0].box);
      // One pixel off on each side of 60 x 50 is 0.92, and boxes grow by 2 % a side in a second.
      // Without flow it has gone further than its width.
      EXPECT_GE(right, flow ? 0.85 : 0) << i;
      EXPECT_LE(right, flow ? 1 : 0) << i;
    }
  }
}

TEST(MoondreamFilterPropagate, FlowMovesTheBoxesOfSyncModeToo) {
  const KnownClip clip = one_mover(3);
  MockModel model;
  model.always(clip.model());
  FilterHarness filter(with(kSync, {{"propagate", "flow"}}), kClipCaps);
  for (int i = 0; i < 45; ++i) ASSERT_EQ(filter.push(clip_frame(clip, i)), GST_FLOW_OK);
  for (int i = 0; i < 45; ++i) {
    const BufferPtr buffer = filter.pull();
    ASSERT_TRUE(buffer);
    EXPECT_EQ(GST_BUFFER_PTS(buffer.get()), pts_of(i));
    const FrameAnalysis analysis = FilterHarness::analysis_of(buffer);
    const bool sampled = i % 15 == 0;
    EXPECT_EQ(analysis.status, sampled ? AnalysisStatus::kFresh : AnalysisStatus::kPredicted) << i;
    EXPECT_EQ(analysis.age, pts_of(i) - pts_of(i / 15 * 15));
    ASSERT_EQ(analysis.objects.size(), 1u);
    EXPECT_EQ(analysis.objects[0].id, 1u);
    EXPECT_GT(iou(analysis.objects[0].box, clip.truth(i)[0].box), sampled ? 0.999 : 0.85) << i;
  }
}

TEST(MoondreamFilterPropagate, ACutVoidsWhatIsShownAndWhatIsInFlight) {
  // Frames from 10 on are of another scene.
  const KnownClip clip{[](int frame) {
    MovingScene scene = one_mover(1).scene(frame);
    if (frame >= 10) {
      scene.background.seed = 40;
      scene.patches[0].seed = 41;
    }
    return scene;
  }};
  MockModel model;
  Gate go, go_on;
  model.next(clip.model());
  model.next(hangs_until(go, clip.model()));
  model.next(hangs_until(go_on, clip.model()));
  model.always(hangs_until_cancelled());
  FilterHarness filter(with(kAsync, {{"propagate", "flow"}, {"sample-rate", "10/1"}}), kClipCaps);
  pass(filter, clip, 0);
  ASSERT_TRUE(filter.wait_for_result());
  for (int i = 1; i < 10; ++i) {
    EXPECT_EQ(pass(filter, clip, i).status, AnalysisStatus::kPredicted) << i;
  }
  ASSERT_TRUE(model.started().wait(2));
  const FrameAnalysis cut = pass(filter, clip, 10);
  EXPECT_EQ(cut.status, AnalysisStatus::kPending);
  EXPECT_TRUE(cut.objects.empty());
  // The result of a frame before the cut comes after it.
  go.open();
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_EQ(pass(filter, clip, 11).status, AnalysisStatus::kPending);
  go_on.open();
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_EQ(pass(filter, clip, 12).status, AnalysisStatus::kPredicted);
}

TEST(MoondreamFilterPropagate, FlowHeedsMaxAgeAndFailures) {
  const KnownClip clip = one_mover(1);
  MockModel model;
  Gate go;
  model.next(clip.model());
  model.next(hangs_until(go, fails(ErrorKind::kFailed, "broken")));
  FilterHarness filter(with(kAsync, {{"propagate", "flow"},
                                     {"sample-rate", "1/1"},
                                     {"on-error", "warn"},
                                     {"max-age", "500000000"}}),
                       kClipCaps);
  pass(filter, clip, 0);
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_EQ(pass(filter, clip, 15).status, AnalysisStatus::kPredicted);
  EXPECT_EQ(pass(filter, clip, 16).status, AnalysisStatus::kPending);
  pass(filter, clip, 30);
  go.open();
  ASSERT_TRUE(wait_for(filter.bus(), GST_MESSAGE_WARNING));
  EXPECT_EQ(pass(filter, clip, 31).status, AnalysisStatus::kFailed);
}

TEST(MoondreamFilterPropagate, FlowTakesEveryFormatAndNewCaps) {
  MockModel model;
  FilterHarness filter(with(kSync, {{"propagate", "flow"}}));
  int frame = 0;
  for (const char *format : {"I420", "NV12", "YUY2", "RGB", "BGRx", "I420_10LE", "v210", "GRAY8"}) {
    for (const char *size : {"width=64,height=48", "width=350,height=20"}) {
      const std::string caps =
          std::string("video/x-raw,framerate=30/1,") + size + ",format=" + format;
      filter.set_caps(caps.c_str());
      for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(filter.push(pts_of(frame++)), GST_FLOW_OK) << caps;
        const FrameAnalysis analysis = filter.pull_analysis();
        EXPECT_NE(analysis.status, AnalysisStatus::kPending) << caps;
        EXPECT_EQ(analysis.objects.size(), 1u);
      }
    }
  }
}

// ---- Interpolate -----------------------------------------------------------------------------

const Properties kInterpolate = {
    {"mode", "sync"}, {"detect", "thing"}, {"propagate", "interpolate"}};

TEST(MoondreamFilterPropagate, InterpolationIsExactForStraightMotionAndKeepsOrder) {
  const KnownClip clip = one_mover(3);
  MockModel model;
  model.always(after(2ms, clip.model()));
  FilterHarness filter(kInterpolate, kClipCaps);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(filter.push(clip_frame(clip, i)), GST_FLOW_OK);
  ASSERT_TRUE(filter.push_event(gst_event_new_eos()));
  for (int i = 0; i < 50; ++i) {
    const BufferPtr buffer = filter.pull();
    ASSERT_TRUE(buffer);
    EXPECT_EQ(GST_BUFFER_PTS(buffer.get()), pts_of(i));
    const FrameAnalysis analysis = FilterHarness::analysis_of(buffer);
    ASSERT_EQ(analysis.objects.size(), 1u);
    EXPECT_EQ(analysis.objects[0].id, 1u);
    EXPECT_EQ(analysis.age, pts_of(i) - pts_of(i / 15 * 15));
    if (i <= 45) {
      EXPECT_EQ(analysis.status, i % 15 == 0 ? AnalysisStatus::kFresh : AnalysisStatus::kPredicted)
          << i;
      // PTS are whole nanoseconds.
      EXPECT_NEAR(analysis.objects[0].box.x_min, clip.truth(i)[0].box.x_min, 1e-8) << i;
      EXPECT_NEAR(analysis.objects[0].box.x_max, clip.truth(i)[0].box.x_max, 1e-8) << i;
    } else {
      // No sample comes behind these.
      EXPECT_EQ(analysis.status, AnalysisStatus::kHeld) << i;
      EXPECT_EQ(analysis.objects[0].box.x_min, clip.truth(45)[0].box.x_min);
    }
  }
}

// What ends the waiting of frames for a sample that does not come.
TEST(MoondreamFilterPropagate, FramesThatWaitLeaveHeldWhenNoSampleCan) {
  const auto drain = [](FilterHarness &filter) {
    GstQuery *query = gst_query_new_allocation(nullptr, FALSE);
    gst_pad_peer_query(filter.get()->srcpad, query);
    gst_query_unref(query);
  };
  const std::vector<std::pair<const char *, std::function<void(FilterHarness &)>>> ends = {
      {"eos", [](FilterHarness &filter) { filter.push_event(gst_event_new_eos()); }},
      {"caps",
       [](FilterHarness &filter) {
         filter.set_caps("video/x-raw,format=NV12,width=32,height=24,framerate=30/1");
         filter.push(pts_of(8));
       }},
      {"segment",
       [](FilterHarness &filter) {
         GstSegment segment;
         gst_segment_init(&segment, GST_FORMAT_TIME);
         segment.start = 100;
         filter.push_event(gst_event_new_segment(&segment));
       }},
      {"a jump back", [](FilterHarness &filter) { filter.push(0); }},
      {"no question",
       [](FilterHarness &filter) {
         set(filter.element(), "detect", "");
         filter.push(pts_of(8));
       }},
      {"a serialized query", drain}};
  for (const auto &[name, end] : ends) {
    MockModel model;
    FilterHarness filter(kInterpolate);
    for (int i = 1; i <= 7; ++i) ASSERT_EQ(filter.push(pts_of(i)), GST_FLOW_OK);
    EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
    end(filter);
    for (int i = 2; i <= 7; ++i) {
      const FrameAnalysis analysis = filter.pull_analysis();
      EXPECT_EQ(analysis.status, AnalysisStatus::kHeld) << name;
      EXPECT_EQ(analysis.age, pts_of(i) - pts_of(1)) << name;
    }
  }
}

TEST(MoondreamFilterPropagate, AFlushDropsFramesThatWaitForTheSampleAfterThem) {
  MockModel model;
  FilterHarness filter(kInterpolate);
  for (int i = 0; i < 8; ++i) ASSERT_EQ(filter.push(pts_of(i)), GST_FLOW_OK);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
  EXPECT_LT(time_of([&] {
              filter.push_event(gst_event_new_flush_start());
              filter.push_event(gst_event_new_flush_stop(TRUE));
            }),
            kFlush);
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  filter.push_event(gst_event_new_segment(&segment));
  for (int i = 100; i <= 115; ++i) ASSERT_EQ(filter.push(pts_of(i)), GST_FLOW_OK);
  for (int i = 100; i <= 115; ++i) {
    const BufferPtr buffer = filter.pull();
    ASSERT_TRUE(buffer);
    EXPECT_EQ(GST_BUFFER_PTS(buffer.get()), pts_of(i));
  }
}

TEST(MoondreamFilterPropagate, StoppingDoesNotWaitForTheSampleAfter) {
  MockModel model;
  FilterHarness filter(kInterpolate);
  for (int i = 0; i < 8; ++i) ASSERT_EQ(filter.push(pts_of(i)), GST_FLOW_OK);
  EXPECT_LT(time_of([&] { gst_element_set_state(filter.element(), GST_STATE_NULL); }), kStop);
}

TEST(MoondreamFilterPropagate, FramesBeforeAFailedSampleHoldTheOneBefore) {
  MockModel model;
  model.next(answers());
  model.next(fails(ErrorKind::kFailed, "broken"));
  FilterHarness filter(with(kInterpolate, {{"on-error", "warn"}}));
  for (int i = 0; i < 31; ++i) ASSERT_EQ(filter.push(pts_of(i)), GST_FLOW_OK);
  for (int i = 0; i < 31; ++i) {
    const AnalysisStatus expected = i % 30 == 0 ? AnalysisStatus::kFresh
                                    : i < 15    ? AnalysisStatus::kHeld
                                                : AnalysisStatus::kFailed;
    EXPECT_EQ(filter.pull_analysis().status, expected) << i;
  }
}

// 16 MB a frame, of which eight may wait; twenty are between two samples.
TEST(MoondreamFilterPropagate, FramesThatDoNotFitAreHeldAndThatIsSaidOnce) {
  MockModel model;
  Properties properties = kInterpolate;
  properties.push_back({"sample-rate", "3/2"});
  FilterHarness filter(properties,
                       "video/x-raw,format=GRAY8,width=4096,height=4096,framerate=30/1");
  const BufferPtr large = filter.frame(0);
  for (int i = 0; i <= 40; ++i) {
    BufferPtr buffer(gst_buffer_copy(large.get()));
    GST_BUFFER_PTS(buffer.get()) = pts_of(i);
    ASSERT_EQ(filter.push(std::move(buffer)), GST_FLOW_OK);
    // As many as have left already.
    while (BufferPtr out{gst_harness_try_pull(filter.get())}) {
    }
  }
  const MessagePtr warning = wait_for(filter.bus(), GST_MESSAGE_WARNING);
  ASSERT_TRUE(warning);
  EXPECT_TRUE(g_error_matches(error_of(warning.get()).get(), GST_RESOURCE_ERROR,
                              GST_RESOURCE_ERROR_SETTINGS));
  EXPECT_FALSE(wait_for(filter.bus(), GST_MESSAGE_WARNING, 0));
}

TEST(MoondreamFilterPropagate, InterpolationDoesNotStartInAsyncMode) {
  MockModel model;
  const ElementPtr element =
      make_filter({{"mode", "async"}, {"detect", "thing"}, {"propagate", "interpolate"}});
  const BusPtr bus = listen_to(element.get());
  EXPECT_EQ(gst_element_set_state(element.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
  const MessagePtr error = wait_for(bus, GST_MESSAGE_ERROR);
  ASSERT_TRUE(error);
  EXPECT_TRUE(g_error_matches(error_of(error.get()).get(), GST_RESOURCE_ERROR,
                              GST_RESOURCE_ERROR_SETTINGS));
  gst_element_set_state(element.get(), GST_STATE_NULL);
}

TEST(MoondreamFilterPropagate, InterpolationChosenWhileAsyncIsHeldAndThatIsSaidOnce) {
  MockModel model;
  FilterHarness filter(kAsync);
  filter.pass(0);
  ASSERT_TRUE(filter.wait_for_result());
  set(filter.element(), "propagate", "interpolate");
  EXPECT_EQ(filter.pass(pts_of(1)).status, AnalysisStatus::kHeld);
  EXPECT_EQ(filter.pass(pts_of(2)).status, AnalysisStatus::kHeld);
  const MessagePtr warning = wait_for(filter.bus(), GST_MESSAGE_WARNING);
  ASSERT_TRUE(warning);
  EXPECT_TRUE(g_error_matches(error_of(warning.get()).get(), GST_RESOURCE_ERROR,
                              GST_RESOURCE_ERROR_SETTINGS));
  EXPECT_FALSE(wait_for(filter.bus(), GST_MESSAGE_WARNING, 0));
}

}  // namespace
}  // namespace moondream
