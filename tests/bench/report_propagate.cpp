// How well the boxes on frames between samples fit, for each way to propagate results, and what
// optical flow costs a frame.
//
//   meson devenv -C build -w . build/tests/bench/propagate
//
// The clip: 10 s at 30 frames a second, 640 x 360, drawn. A pan of 30 pixels a second; four things
// of 60 to 110 pixels that move at 30 to 150 pixels a second, one of which comes nearer, two of
// which cross. The model is right about every frame that it sees. In async mode its answer comes
// behind the frame 0.7 s after the sampled one, in stream time, so the machine's speed has no say.
//
// Covered is the share of all things on all frames that some box fits with an IoU of at least 0.5;
// the mean IoU is over all of them, a thing without a box counting 0. Frames before the first
// result are left out.
#include <gst/check/gstharness.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

#include "flow_propagation.h"
#include "gate.h"
#include "grey_picture.h"
#include "known_clip.h"
#include "pointers.h"

namespace moondream {
namespace {

constexpr int kFrames = 300, kRate = 30, kLate = 21;  // frames

MovingScene scene_at(int frame) {
  const double t = static_cast<double>(frame) / kRate;
  MovingScene scene{.width = 640, .height = 360};
  scene.noise = 2;
  scene.noise_seed = static_cast<unsigned>(frame);
  scene.background.x = -30 * t;
  // There and back, with a constant speed in between.
  const auto sweep = [t](double from, double to, double speed) {
    const double length = std::abs(to - from), way = std::fmod(speed * t, 2 * length);
    return from + (to > from ? 1 : -1) * (way < length ? way : 2 * length - way);
  };
  const double near = 1 + 0.6 * t / 10;
  scene.patches = {
      {.x = sweep(40, 540, 100), .y = 60, .width = 70, .height = 80, .seed = 2},
      {.x = sweep(520, 60, 150), .y = 110, .width = 60, .height = 60, .seed = 3},
      {.x = 300 - 35 * near,
       .y = 240 - 40 * near,
       .width = 70 * near,
       .height = 80 * near,
       .seed = 4,
       .scale = near},
      {.x = 60 + 30 * t, .y = 250, .width = 110, .height = 70, .seed = 5},
  };
  return scene;
}

const KnownClip kClip{scene_at};

BufferPtr frame(int number) {
  static std::map<int, std::vector<std::uint8_t>> drawn;
  auto &pixels = drawn[number];
  if (pixels.empty()) pixels = kClip.draw(number);
  GstBuffer *buffer = gst_buffer_new_memdup(pixels.data(), pixels.size());
  GST_BUFFER_PTS(buffer) = gst_util_uint64_scale(static_cast<guint64>(number), GST_SECOND, kRate);
  return BufferPtr(buffer);
}

struct Score {
  double iou = 0, fit = 0, things = 0;

  void add(int number, const std::vector<AnalysisObject> &objects) {
    for (const ScoredBox &truth : kClip.truth(number)) {
      double best = 0;
      for (const AnalysisObject &object : objects)
        best = std::max(best, moondream::iou(object.box, truth.box));
      iou += best;
      fit += best >= 0.5;
      ++things;
    }
  }
};

Score run(const char *mode, const char *propagate) {
  MockModel model;
  Gate answers;
  std::atomic<std::size_t> asked = 0;
  const bool async = std::string(mode) == "async";
  model.always([&](const Job &job) -> Outcome {
    const std::size_t turn = ++asked;
    if (async && !answers.wait(turn)) throw std::runtime_error("nobody let the model answer");
    return kClip.model()(job);
  });
  GstElement *element = gst_element_factory_make("moondreamfilter", nullptr);
  if (!element) throw std::runtime_error("there is no moondreamfilter: run it by meson devenv");
  gst_object_ref_sink(element);
  gst_util_set_object_arg(G_OBJECT(element), "mode", mode);
  gst_util_set_object_arg(G_OBJECT(element), "propagate", propagate);
  g_object_set(element, "detect", "thing", nullptr);
  GstHarness *harness = gst_harness_new_with_element(element, "sink", "src");
  gst_harness_set_src_caps_str(harness,
                               "video/x-raw,format=GRAY8,width=640,height=360,framerate=30/1");
  const auto stat = [&](const char *name) {
    GstStructure *stats = nullptr;
    g_object_get(element, "stats", &stats, nullptr);
    guint64 value = 0;
    gst_structure_get_uint64(stats, name, &value);
    gst_structure_free(stats);
    return value;
  };

  Score score;
  const auto pull = [&](int number) {
    const BufferPtr buffer(gst_harness_pull(harness));
    const auto analysis = buffer ? read_analysis(buffer.get()) : std::nullopt;
    if (!analysis) throw std::runtime_error("a frame came out without a result");
    if (number >= kLate) score.add(number, analysis->objects);
  };
  int sampled = 0;
  guint64 samples = 0;
  for (int number = 0; number < kFrames; ++number) {
    gst_harness_push(harness, frame(number).release());
    if (!async) continue;
    pull(number);
    // A refused sample is one, too, so only what reached the model counts.
    if (stat("samples") - stat("skipped") > samples) {
      samples = stat("samples") - stat("skipped");
      sampled = number;
    }
    if (samples > answers.count() && number - sampled >= kLate - 1) {
      answers.open();
      while (stat("results") < samples) g_usleep(200);
    }
  }
  gst_harness_push_event(harness, gst_event_new_eos());
  if (!async) {
    for (int number = 0; number < kFrames; ++number) pull(number);
  }
  answers.add(kFrames);
  gst_harness_teardown(harness);
  gst_object_unref(element);
  return score;
}

// Microseconds a frame.
void report_cost() {
  GstVideoInfo info;
  gst_video_info_set_format(&info, GST_VIDEO_FORMAT_I420, 1920, 1080);
  MovingScene scene{.width = 1920, .height = 1080};
  scene.background.scale = 6;
  constexpr int kPictures = 8;
  std::vector<BufferPtr> pictures;
  for (int i = 0; i < kPictures; ++i) {
    scene.background.x = 5 * i;
    const auto pixels = scene.draw();
    BufferPtr buffer(gst_buffer_new_allocate(nullptr, info.size, nullptr));
    gst_buffer_memset(buffer.get(), 0, 128, info.size);
    gst_buffer_fill(buffer.get(), 0, pixels.data(), pixels.size());
    pictures.push_back(std::move(buffer));
  }
  GreyPicture grey(info);
  FlowPropagation flow;
  Sample sample;
  using Clock = std::chrono::steady_clock;
  Clock::duration in_grey{}, in_flow{}, in_move{};
  constexpr int kRounds = 300;
  for (int i = 0; i < kRounds; ++i) {
    // To and fro.
    const int turn = i % (2 * kPictures - 2), at = std::min(turn, 2 * kPictures - 2 - turn);
    const auto start = Clock::now();
    const cv::Mat picture = grey.of(pictures[static_cast<std::size_t>(at)].get());
    const auto reduced = Clock::now();
    const bool sampled = i % 15 == 0;
    if (sampled) {
      ++sample.serial;
      sample.analysis.objects.assign(10, {.label = "thing", .box = {0.3, 0.3, 0.5, 0.5}});
    }
    flow.frame(picture, sampled ? &sample : nullptr);
    const auto followed = Clock::now();
    if (!flow.moved(sample, 0)) throw std::runtime_error("nothing was followed");
    in_grey += reduced - start;
    in_flow += followed - reduced;
    in_move += Clock::now() - followed;
  }
  const auto us = [](Clock::duration time) {
    return std::chrono::duration<double, std::micro>(time).count() / kRounds;
  };
  std::printf("1080p I420, microseconds a frame: grey copy %.0f, flow %.0f, ten boxes %.0f\n",
              us(in_grey), us(in_flow), us(in_move));
}

void report() {
  std::printf("%-6s %-12s %9s %8s\n", "mode", "propagate", "mean IoU", "covered");
  for (const auto &[mode, propagate] : {std::pair{"async", "none"},
                                        {"async", "hold"},
                                        {"async", "flow"},
                                        {"sync", "none"},
                                        {"sync", "hold"},
                                        {"sync", "flow"},
                                        {"sync", "interpolate"}}) {
    const Score score = run(mode, propagate);
    std::printf("%-6s %-12s %9.3f %7.1f%%\n", mode, propagate, score.iou / score.things,
                100 * score.fit / score.things);
  }
  report_cost();
}

}  // namespace
}  // namespace moondream

int main(int argc, char **argv) {
  gst_init(&argc, &argv);
  try {
    moondream::report();
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}
