#include "full_size_model.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <map>
#include <thread>

#include "device.h"
#include "layers.h"
#include "tokenizer.h"

namespace moondream::bench {
namespace {

// One token for each word: what a prompt costs, without a vocabulary.
class WordCountTokenizer : public Tokenizer {
 public:
  std::vector<int> encode(std::string_view text) const override {
    return std::vector<int>(1 + std::ranges::count(text, ' '), 1000);
  }
  std::string decode(std::span<const int>, bool) const override { return ""; }
  bool contains(int) const override { return true; }
  int vocab_size() const override { return 51200; }
};

std::map<std::string, at::Tensor> random_weights(const Config &config, c10::ScalarType dtype) {
  // Drawing two billion numbers takes minutes; a repeated block is as good to multiply with. Its
  // spread keeps activations finite through all layers.
  at::manual_seed(1);
  const at::Tensor block = (at::randn({1 << 20}) * 0.02).to(dtype);
  std::map<std::string, at::Tensor> weights;
  for (const ExpectedTensor &expected : expected_tensors(config)) {
    at::Tensor tensor = at::empty(expected.shape, dtype);
    const at::Tensor flat = tensor.view({-1});
    for (std::int64_t begin = 0; begin < flat.numel(); begin += block.numel()) {
      const std::int64_t count = std::min(block.numel(), flat.numel() - begin);
      flat.narrow(0, begin, count).copy_(block.narrow(0, 0, count));
    }
    weights.emplace(expected.name, tensor);
  }
  return weights;
}

}  // namespace

FullSizeModel::FullSizeModel(Precision precision)
    : checkpoint(Config{}, random_weights(Config{}, select_precision(precision, at::kCPU))),
      dtype(select_precision(precision, at::kCPU)),
      weights(checkpoint, at::kCPU, dtype, weight_format(precision)),
      vision(weights),
      text(weights),
      model(checkpoint, std::make_unique<WordCountTokenizer>(), "cpu", precision, "random") {}

const FullSizeModel &full_size_model(Precision precision) {
  static std::unique_ptr<const FullSizeModel> model;
  static Precision made = Precision::kAuto;
  if (made != precision) {
    model.reset();  // before the next one: two do not fit into small machines
    const c10::InferenceMode guard;
    model = std::make_unique<const FullSizeModel>(precision);
    made = precision;
    use_cpu_threads(static_cast<int>(std::thread::hardware_concurrency()));
  }
  return *model;
}

}  // namespace moondream::bench
