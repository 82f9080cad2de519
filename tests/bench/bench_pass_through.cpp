// What a 1080p frame costs that the model does not look at, beside GStreamer's identity in the same
// harness. The pixels are not touched by any of them.
//
//   meson devenv -C build -w . build/tests/bench/pass-through
//
// identity:   what the harness and a push cost by themselves
// pending:    moondreamfilter before its first result
// held:       moondreamfilter with a result of so many boxes that it repeats on each frame
// shared:     the same with a frame that a tee holds as well, so that its metadata has to be copied
#include <benchmark/benchmark.h>
#include <gst/check/gstharness.h>
#include <gst/gst.h>

#include <stdexcept>
#include <string>

#include "mock_backend.h"
#include "pointers.h"

namespace moondream {
namespace {

constexpr gsize kSize = 1920 * 1080 * 3 / 2;
constexpr const char *kCaps = "video/x-raw,format=NV12,width=1920,height=1080,framerate=30/1";

guint64 results_of(GstElement *element) {
  GstStructure *stats = nullptr;
  g_object_get(element, "stats", &stats, nullptr);
  guint64 value = 0;
  gst_structure_get_uint64(stats, "results", &value);
  gst_structure_free(stats);
  return value;
}

// Pushes frames and pulls them.
class Stream {
 public:
  explicit Stream(const std::string &launch)
      : harness_(gst_harness_new_parse(launch.c_str())),
        memory_(gst_allocator_alloc(nullptr, kSize, nullptr)) {
    gst_harness_set_src_caps_str(harness_, kCaps);
  }
  ~Stream() {
    gst_memory_unref(memory_);
    gst_harness_teardown(harness_);
  }
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;

  // shared: somebody else holds the frame.
  void frame(bool shared = false) {
    BufferPtr buffer(gst_buffer_new());
    gst_buffer_append_memory(buffer.get(), gst_memory_ref(memory_));
    GST_BUFFER_PTS(buffer.get()) = gst_util_uint64_scale(number_++, GST_SECOND, 30);
    const BufferPtr other(shared ? gst_buffer_ref(buffer.get()) : nullptr);
    if (gst_harness_push(harness_, buffer.release()) != GST_FLOW_OK) {
      throw std::runtime_error("a frame was refused");
    }
    const BufferPtr out(gst_harness_pull(harness_));
    if (!out) throw std::runtime_error("a frame did not come out");
  }

  // Until a result is known.
  void await_result() {
    GstElement *filter = gst_harness_find_element(harness_, "moondreamfilter");
    while (results_of(filter) == 0) g_usleep(1000);
    gst_object_unref(filter);
  }

 private:
  GstHarness *const harness_;
  GstMemory *const memory_;
  guint64 number_ = 0;
};

void identity(benchmark::State &state) {
  Stream stream("identity");
  for (auto _ : state) stream.frame();
  state.SetItemsProcessed(state.iterations());
}

// One frame is sampled, the first.
const std::string kFilter =
    "moondreamfilter mode=async detect=thing sample-rate=1/1000000 max-age=18446744073709551615";

void pending(benchmark::State &state) {
  MockModel model;
  model.always(hangs_until_cancelled());
  Stream stream(kFilter);
  for (auto _ : state) stream.frame();
  state.SetItemsProcessed(state.iterations());
}

void held(benchmark::State &state, bool shared) {
  MockModel model;
  model.always(answers_many_boxes(static_cast<std::size_t>(state.range(0))));
  Stream stream(kFilter);
  stream.frame();
  stream.await_result();
  for (auto _ : state) stream.frame(shared);
  state.SetItemsProcessed(state.iterations());
}

void register_all() {
  const auto add = [](const char *name, auto function, auto... more) {
    return benchmark::RegisterBenchmark(name, function, more...)
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime();
  };
  add("identity", identity);
  add("moondreamfilter/pending", pending);
  for (const bool shared : {false, true}) {
    add(shared ? "moondreamfilter/shared" : "moondreamfilter/held", held, shared)
        ->ArgName("boxes")
        ->Arg(0)
        ->Arg(1)
        ->Arg(20);
  }
}

}  // namespace
}  // namespace moondream

int main(int argc, char **argv) {
  gst_init(&argc, &argv);
  moondream::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
