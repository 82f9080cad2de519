// The text model's block against its definition, one token and one head at a time, in double.
#include "text.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "small_config.h"

namespace moondream {
namespace {

constexpr int kDim = 16, kHeads = 2;
constexpr std::int64_t kHeadDim = 8, kTokens = 5;

// One block that is nothing but attention: its MLP's second layer is zero.
Checkpoint attention_alone(bool tau) {
  Config config = test::small_config(kDim);
  config.text.n_heads = config.text.n_kv_heads = kHeads;
  config.text.tau_attn = tau;
  std::map<std::string, at::Tensor> tensors;
  for (const ExpectedTensor &expected : expected_tensors(config)) {
    const bool is_zero = expected.name.find("blocks.0.mlp.fc2") != std::string::npos;
    tensors.emplace(expected.name,
                    is_zero ? at::zeros(expected.shape) : at::randn(expected.shape) * 0.5);
  }
  return {config, std::move(tensors)};
}

// A head's vector with its first half rotated: pair (i, i + quarter) turns by the position times
// the pair's frequency.
at::Tensor rotated(const at::Tensor &x, std::int64_t position, double theta) {
  at::Tensor y = x.clone();
  constexpr std::int64_t kQuarter = kHeadDim / 4;
  for (std::int64_t i = 0; i < kQuarter; ++i) {
    const double angle =
        static_cast<double>(position) * std::pow(theta, -static_cast<double>(i) / kQuarter);
    const at::Tensor re = x[i], im = x[i + kQuarter];
    y[i] = re * std::cos(angle) - im * std::sin(angle);
    y[i + kQuarter] = re * std::sin(angle) + im * std::cos(angle);
  }
  return y;
}

// Without tau the same is what other models compute, which tells the two apart.
TEST(Text, TauScalesQueriesAndValuesByTokenAndPosition) {
  for (const bool tau : {false, true}) {
    at::manual_seed(1);
    const Checkpoint checkpoint = attention_alone(tau);
    const auto weight = [&](const std::string &name) {
      return checkpoint.tensor("text.blocks.0." + name).to(at::kDouble);
    };
    const at::Tensor x = at::randn({kTokens, kDim});

    std::vector<at::Tensor> q, k, v;  // by token: [heads, head_dim]
    for (std::int64_t t = 0; t < kTokens; ++t) {
      const at::Tensor row = x[t].to(at::kDouble);
      const at::Tensor centred = row - row.mean();
      const at::Tensor normed =
          centred / (centred.square().mean() + 1e-5).sqrt() * weight("ln.weight") +
          weight("ln.bias");
      const at::Tensor qkv = at::mv(weight("attn.qkv.weight"), normed) + weight("attn.qkv.bias");
      const at::Tensor heads = qkv.view({3, kHeads, kHeadDim}).clone();
      if (tau) {
        const at::Tensor gelu = qkv * 0.5 * (1 + at::erf(qkv * M_SQRT1_2));
        for (std::int64_t h = 0; h < kHeads; ++h) {
          const double alpha = weight("attn.tau.alpha")[h].item<double>();
          const double by_position =
              1 + 1 / (1 + std::exp(-alpha * std::log(static_cast<double>(t + 1)))) - 0.5;
          const auto by_token = [&](const char *name) {
            return std::tanh(weight(name)[h].dot(gelu).item<double>());
          };
          heads[0][h] *= by_token("attn.tau.wq") + by_position;
          heads[2][h] *= by_token("attn.tau.wv") + by_position;
        }
      }
      for (std::int64_t h = 0; h < kHeads; ++h) {
        for (const int which : {0, 1}) {
          heads[which][h] = rotated(heads[which][h], t, checkpoint.config().text.rope_theta);
        }
      }
      q.push_back(heads[0]);
      k.push_back(heads[1]);
      v.push_back(heads[2]);
    }
    at::Tensor mixed = at::zeros({kHeads, kHeadDim}, at::kDouble);
    for (std::int64_t h = 0; h < kHeads; ++h) {
      at::Tensor scores = at::empty({kTokens}, at::kDouble);
      for (std::int64_t s = 0; s < kTokens; ++s) {
        scores[s] = q.back()[h].dot(k[s][h]) / std::sqrt(static_cast<double>(kHeadDim));
      }
      const at::Tensor shares = at::softmax(scores, 0);
      for (std::int64_t s = 0; s < kTokens; ++s) mixed[h] += shares[s] * v[s][h];
    }
    const at::Tensor expected = x[kTokens - 1].to(at::kDouble) +
                                at::mv(weight("attn.proj.weight"), mixed.flatten()) +
                                weight("attn.proj.bias");

    const TextModel model(WeightSource(checkpoint, c10::Device(c10::kCPU), c10::kFloat));
    KvCache cache(1);
    const TextSegment segment{nullptr, &cache, kTokens};
    const at::Tensor found = model.forward(x, {&segment, 1})[0].to(at::kDouble);
    // Sums of some tens of float32 products.
    EXPECT_TRUE(at::allclose(found, expected, 1e-5, 1e-5)) << tau << "\n" << found - expected;
  }
}

// What comes later must not be seen by what comes before: as if the image were words.
TEST(Text, CausalPrefixIsSeenAsWordsAre) {
  for (const bool causal : {false, true}) {
    at::manual_seed(2);
    Config config = attention_alone(false).config();
    config.text.n_layers = 2;
    config.text.causal_prefix = causal;
    std::map<std::string, at::Tensor> tensors;
    for (const ExpectedTensor &expected : expected_tensors(config)) {
      tensors.emplace(expected.name, at::randn(expected.shape) * 0.5);
    }
    const Checkpoint checkpoint(config, std::move(tensors));
    const TextModel model(WeightSource(checkpoint, c10::Device(c10::kCPU), c10::kFloat));
    const at::Tensor images = at::randn({2, 10, kDim});
    const std::vector<KvCache> found = model.prefill_images(images);
    for (std::int64_t image = 0; image < 2; ++image) {
      KvCache words(2);
      const TextSegment segment{nullptr, &words, 10};
      model.forward(images[image], {&segment, 1});
      // Of the second block, whose input the first one's attention made. The same products in
      // another order.
      EXPECT_EQ(at::allclose(found[image].v(1), words.v(1), 1e-5, 1e-5), causal);
      EXPECT_TRUE(at::allclose(found[image].v(0), words.v(0), 1e-5, 1e-5));
    }
  }
}

}  // namespace
}  // namespace moondream
