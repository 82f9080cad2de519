// Times what moondreamredact and moondreammoderate do to a 1080p frame, beside two of GStreamer's
// own elements.
//
//   meson devenv -C build -w . build/tests/bench/redact [--benchmark_filter=NV12]
//
// solid, pixelate, blur:  1 or 20 regions of 200x240 pixels, by PlaneWriter
// cover:                  the whole frame
//
// In a harness, with all that an element does to a buffer:
//
// ways:                   frames between two samples a second, with hold-before of a period:
// regions of
//                         200x240 pixels where things were and are next, and their ways
// ways-of-movers:         the same, of things that went so far that each may be any other: the box
//                         around each pair up to 100 of them, and around all of more
// redact, moderate:       the whole frame covered by the element, for nothing is known of it
// moderate-message:       a frame that passes
// videobalance:           all pixels, in place
// gaussianblur:           all pixels; it takes AYUV only, so NV12 and RGB are converted there and
//                         back, as in a pipeline
#include <benchmark/benchmark.h>
#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include <cstdint>
#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <utility>

#include "gstmoondreammeta.h"
#include "mapped_frame.h"
#include "pointers.h"
#include "redact_planes.h"

namespace moondream::redact {
namespace {

constexpr int kWidth = 1920, kHeight = 1080;

GstVideoInfo info_of(const std::string &format) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, gst_video_format_from_string(format.c_str()), kWidth, kHeight);
  return info;
}

BufferPtr noise(const GstVideoInfo &info) {
  BufferPtr buffer(gst_buffer_new_allocate(nullptr, info.size, nullptr));
  GstMapInfo map;
  gst_buffer_map(buffer.get(), &map, GST_MAP_WRITE);
  unsigned value = 1;
  for (gsize i = 0; i < map.size; ++i) map.data[i] = (value = value * 1664525u + 1013904223u) >> 24;
  gst_buffer_unmap(buffer.get(), &map);
  return buffer;
}

Region region(int i) {
  const int x = 37 + i % 5 * 370, y = 11 + i / 5 * 262;
  return {x, y, x + 200, y + 240};
}

void redact(benchmark::State &state, const std::string &format, const std::string &style) {
  const GstVideoInfo info = info_of(format);
  const BufferPtr buffer = noise(info);
  PlaneWriter writer(info);
  for (auto _ : state) {
    // Mapped each time, as the element does.
    MappedFrame frame(info, buffer.get(), GST_MAP_READWRITE);
    if (style == "cover") {
      writer.cover(frame.get(), 0x2040a0);
      continue;
    }
    for (int i = 0; i < state.range(0); ++i) {
      if (style == "solid") writer.fill(frame.get(), region(i), 0x2040a0);
      if (style == "pixelate") writer.pixelate(frame.get(), region(i), 40);
      if (style == "blur") writer.blur(frame.get(), region(i), 20);
    }
  }
  state.SetItemsProcessed(state.iterations());
}

void element(benchmark::State &state, const std::string &format, const std::string &launch) {
  const GstVideoInfo info = info_of(format);
  GstHarness *harness = gst_harness_new_parse(launch.c_str());
  GstCaps *caps = gst_video_info_to_caps(&info);
  gst_harness_set_src_caps(harness, caps);
  BufferPtr buffer = noise(info);
  for (auto _ : state) {
    // Written in place: nobody else holds it.
    if (gst_harness_push(harness, buffer.release()) != GST_FLOW_OK)
      throw std::runtime_error(launch + " refuses " + format);
    buffer.reset(gst_harness_pull(harness));
  }
  gst_harness_teardown(harness);
  state.SetItemsProcessed(state.iterations());
}

constexpr GstClockTime kFrame = GST_SECOND / 30;
constexpr guint64 kPeriod = 15;  // frames

void remove_metas(GstBuffer *buffer) {
  gst_buffer_foreach_meta(
      buffer,
      [](GstBuffer *, GstMeta **meta, gpointer) {
        *meta = nullptr;
        return gboolean{TRUE};
      },
      nullptr);
}

// What a filter in sync mode says of frame `number`: things that go to and fro by `step` pixels,
// from sample to sample.
FrameAnalysis held_result(guint64 number, std::int64_t things, int step) {
  const guint64 sample = number / kPeriod;
  FrameAnalysis analysis;
  analysis.status = number % kPeriod == 0 ? AnalysisStatus::kFresh : AnalysisStatus::kHeld;
  analysis.serial = sample + 1;
  analysis.sample_pts = sample * kPeriod * kFrame;
  analysis.age = number % kPeriod * kFrame;
  for (int i = 0; i < things; ++i) {
    const Region place = region(i);
    const double x = place.x_min + (sample % 2 ? step : 0);
    analysis.objects.push_back({.label = "face",
                                .score = 0.9,
                                .box = {x / kWidth, double(place.y_min) / kHeight,
                                        (x + 200) / kWidth, double(place.y_max) / kHeight},
                                .id = static_cast<guint>(i + 1)});
  }
  return analysis;
}

void ways(benchmark::State &state, const std::string &format, int step) {
  const GstVideoInfo info = info_of(format);
  GstHarness *harness = gst_harness_new_parse(
      "moondreamredact margin=0 margin-growth=0 hold-before=500000000 max-bytes=1000000000");
  gst_harness_set_src_caps(harness, gst_video_info_to_caps(&info));
  std::deque<BufferPtr> idle;
  guint64 number = 0;
  for (auto _ : state) {
    state.PauseTiming();
    if (idle.empty()) idle.push_back(noise(info));
    BufferPtr buffer = std::move(idle.front());
    idle.pop_front();
    remove_metas(buffer.get());
    GST_BUFFER_PTS(buffer.get()) = number * kFrame;
    attach_analysis(buffer.get(), held_result(number, state.range(0), step), kWidth, kHeight);
    ++number;
    state.ResumeTiming();
    if (gst_harness_push(harness, buffer.release()) != GST_FLOW_OK)
      throw std::runtime_error("moondreamredact refuses " + format);
    state.PauseTiming();
    if (BufferPtr out{gst_harness_try_pull(harness)}) idle.push_back(std::move(out));
    state.ResumeTiming();
  }
  gst_harness_teardown(harness);
  state.SetItemsProcessed(state.iterations());
}

// Plugins of others, and where GST_PLUGIN_PATH does not name it this one, may be missing.
bool exists(const char *name) {
  GstElementFactory *factory = gst_element_factory_find(name);
  if (!factory) {
    std::fprintf(stderr, "%s is not installed\n", name);
    return false;
  }
  gst_object_unref(factory);
  return true;
}

void register_all() {
  const auto finish = [](benchmark::internal::Benchmark *bench) {
    bench->Unit(benchmark::kMicrosecond)->UseRealTime();
  };
  for (const std::string format : {"NV12", "RGB"}) {
    for (const std::string style : {"solid", "pixelate", "blur"}) {
      finish(benchmark::RegisterBenchmark((format + "/" + style).c_str(), redact, format, style)
                 ->ArgName("regions")
                 ->Arg(1)
                 ->Arg(20));
    }
    finish(benchmark::RegisterBenchmark((format + "/cover").c_str(), redact, format, "cover"));
  }
  for (const std::string format : {"NV12", "RGB"}) {
    if (!exists("moondreamredact")) break;
    finish(benchmark::RegisterBenchmark((format + "/ways").c_str(), ways, format, 40)
               ->ArgName("things")
               ->Arg(1)
               ->Arg(20));
    finish(benchmark::RegisterBenchmark((format + "/ways-of-movers").c_str(), ways, format, 220)
               ->ArgName("things")
               ->Arg(1)
               ->Arg(10)
               ->Arg(20));
  }
  for (const std::string format : {"NV12", "RGB", "AYUV"}) {
    const auto add = [&](const std::string &name, const char *factory, const std::string &launch) {
      if (exists(factory))
        finish(
            benchmark::RegisterBenchmark((format + "/" + name).c_str(), element, format, launch));
    };
    add("redact", "moondreamredact", "moondreamredact");
    add("moderate", "moondreammoderate", "moondreammoderate labels=face action=cover");
    add("moderate-message", "moondreammoderate", "moondreammoderate labels=face");
    add("videobalance", "videobalance", "videobalance brightness=0.1");
    const std::string blur = "gaussianblur sigma=5";
    add("gaussianblur", "gaussianblur",
        format == "AYUV" ? blur
                         : "videoconvert ! " + blur +
                               " ! videoconvert ! capsfilter caps=video/x-raw,format=" + format);
  }
}

}  // namespace
}  // namespace moondream::redact

int main(int argc, char **argv) {
  gst_init(&argc, &argv);
  moondream::redact::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
