// Times the stages of a full-size Moondream 2 on the CPU, with all cores.
//
//   build/tests/bench/full-size [--benchmark_filter=bits:16/]
//
// bits: of the text model's weights: 32 float32, 16 bfloat16, 8 int8, 4 int4
//
// vision:  crops through the vision encoder           items: crops
// prefill: the image prefix through the text model    items: positions
// encode:  a picture, from pixels to its prefix       items: pictures
// decode:  a caption, token by token                  items: tokens
// step:    tokens of a prompt through the text model      items: tokens
// detect:  one prompt that finds five objects         items: objects
#include <ATen/ATen.h>
#include <benchmark/benchmark.h>
#include <c10/core/InferenceMode.h>

#include <stdexcept>

#include "full_size_model.h"
#include "kv_cache.h"

namespace moondream::bench {
namespace {

Precision precision_of(const benchmark::State &state) {
  return state.range(0) == 4    ? Precision::kInt4
         : state.range(0) == 8  ? Precision::kInt8
         : state.range(0) == 16 ? Precision::kBFloat16
                                : Precision::kFloat32;
}

Image noise(int width, int height) {
  Image image{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
  unsigned value = 1;
  for (std::uint8_t &byte : image.pixels) byte = (value = value * 1664525u + 1013904223u) >> 24;
  return image;
}

std::shared_ptr<const EncodedImage> encoded(const Model &model) {
  const Image image = noise(378, 378);
  const ImageView view = image.view();
  return model.encode({&view, 1})[0];
}

PromptResult run(const Model &model, const Generation &generation) {
  auto results = model.generate({&generation, 1});
  if (const Error *error = std::get_if<Error>(&results[0])) throw *error;
  return std::get<PromptResult>(results[0]);
}

void vision(benchmark::State &state) {
  const c10::InferenceMode guard;
  const FullSizeModel &full = full_size_model(precision_of(state));
  const at::Tensor crops = at::randint(0, 255, {state.range(1), 378, 378, 3}, at::kByte);
  for (const at::Tensor &features : full.vision.encode(crops)) {
    if (!features.isfinite().all().item<bool>()) {
      throw std::runtime_error("features are not finite");
    }
  }
  for (auto _ : state) benchmark::DoNotOptimize(full.vision.encode(crops));
  state.SetItemsProcessed(state.iterations() * state.range(1));
}

void prefill(benchmark::State &state) {
  const c10::InferenceMode guard;
  const FullSizeModel &full = full_size_model(precision_of(state));
  const at::Tensor prefix = at::randn({1, 730, 2048}).to(full.dtype);
  for (auto _ : state) benchmark::DoNotOptimize(full.text.prefill_images(prefix));
  state.SetItemsProcessed(state.iterations() * 730);
}

void encode(benchmark::State &state) {
  const Model &model = full_size_model(precision_of(state)).model;
  const Image image = noise(static_cast<int>(state.range(1)), static_cast<int>(state.range(2)));
  const ImageView view = image.view();
  for (auto _ : state) benchmark::DoNotOptimize(model.encode({&view, 1}));
  state.SetItemsProcessed(state.iterations());
}

void decode(benchmark::State &state) {
  const Model &model = full_size_model(precision_of(state)).model;
  const auto image = encoded(model);
  constexpr int kTokens = 32;
  const Generation generation{
      image, CaptionPrompt{CaptionLength::kNormal}, {.max_tokens = kTokens}, {}};
  std::int64_t tokens = 0;
  model.generate({&generation, 1}, [&](std::string_view name, std::size_t, const at::Tensor &) {
    tokens += name == "token";
  });
  if (tokens != kTokens) throw std::runtime_error("the caption ended early");
  for (auto _ : state) benchmark::DoNotOptimize(run(model, generation));
  state.SetItemsProcessed(state.iterations() * kTokens);
}

// Tokens of one sequence that go through the text model together.
void step(benchmark::State &state) {
  const c10::InferenceMode guard;
  const FullSizeModel &full = full_size_model(precision_of(state));
  const std::int64_t tokens = state.range(1);
  const at::Tensor x = at::randn({tokens, 2048}).to(full.dtype);
  for (auto _ : state) {
    KvCache cache(static_cast<std::size_t>(full.text.config().n_layers));
    const TextSegment segment{nullptr, &cache, tokens};
    benchmark::DoNotOptimize(full.text.forward(x, {&segment, 1}));
  }
  state.SetItemsProcessed(state.iterations() * tokens);
}

void detect(benchmark::State &state) {
  const Model &model = full_size_model(precision_of(state)).model;
  constexpr int kObjects = 5;
  const Generation generation{
      encoded(model), DetectPrompt{"license plate"}, {.max_objects = kObjects}, {}};
  if (std::get<DetectResult>(run(model, generation)).objects.size() != kObjects) {
    throw std::runtime_error("not five objects");
  }
  for (auto _ : state) benchmark::DoNotOptimize(run(model, generation));
  state.SetItemsProcessed(state.iterations() * kObjects);
}

// bfloat16 first: the weights are made anew when the precision changes.
void register_all() {
  for (const int bits : {16, 32, 8, 4}) {
    const auto add = [&](const char *name, void (*function)(benchmark::State &),
                         std::vector<std::int64_t> args, std::vector<std::string> names) {
      args.insert(args.begin(), bits);
      names.insert(names.begin(), "bits");
      benchmark::RegisterBenchmark(name, function)
          ->Args(args)
          ->ArgNames(names)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime()
          ->Iterations(2);
    };
    add("vision", vision, {1}, {"crops"});
    add("vision", vision, {9}, {"crops"});
    add("prefill", prefill, {}, {});
    add("encode", encode, {378, 378}, {"width", "height"});
    add("encode", encode, {1280, 720}, {"width", "height"});
    add("decode", decode, {}, {});
    add("detect", detect, {}, {});
    for (const std::int64_t tokens : {1, 4, 8, 16, 24, 32, 64})
      add("step", step, {tokens}, {"tokens"});
  }
}

}  // namespace
}  // namespace moondream::bench

int main(int argc, char **argv) {
  moondream::bench::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
