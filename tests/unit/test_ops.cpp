// Tensor operations against slow plain loops in double.
#include "ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "rope.h"

namespace moondream {
namespace {

// Sums of at most some hundred float32 products of numbers around 1.
constexpr double kFloatTolerance = 1e-5;

double value(const at::Tensor &t, std::initializer_list<std::int64_t> index) {
  at::Tensor item = t;
  for (const std::int64_t i : index) item = item[i];
  return item.item<double>();
}

// softmax over the visible keys, for one query; visible(s) says whether key s is.
std::vector<double> naive_attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                                    const std::function<bool(std::int64_t)> &visible) {
  const std::int64_t keys = k.size(0), dim = q.size(0);
  std::vector<double> scores(keys, 0), out(dim, 0);
  double total = 0;
  for (std::int64_t s = 0; s < keys; ++s) {
    if (!visible(s)) continue;
    double dot = 0;
    for (std::int64_t d = 0; d < dim; ++d) dot += value(q, {d}) * value(k, {s, d});
    scores[s] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
    total += scores[s];
  }
  for (std::int64_t s = 0; s < keys; ++s) {
    for (std::int64_t d = 0; d < dim; ++d) out[d] += scores[s] / total * value(v, {s, d});
  }
  return out;
}

TEST(Attention, EqualsThePlainDefinitionWithGroupedQueries) {
  at::manual_seed(1);
  const at::Tensor q = at::randn({2, 4, 5, 8}), k = at::randn({2, 2, 7, 8});
  const at::Tensor v = at::randn({2, 2, 7, 8});
  const at::Tensor out = ops::attention(q, k, v);
  ASSERT_EQ(out.sizes(), q.sizes());
  for (int b = 0; b < 2; ++b) {
    for (int h = 0; h < 4; ++h) {
      for (int t = 0; t < 5; ++t) {
        const auto expected =
            naive_attention(q[b][h][t], k[b][h / 2], v[b][h / 2], [](auto) { return true; });
        for (int d = 0; d < 8; ++d) {
          EXPECT_NEAR(value(out, {b, h, t, d}), expected[d], kFloatTolerance);
        }
      }
    }
  }
}

// Tokens see the whole prefix, and of their own sequence what is not after them.
TEST(CachedAttention, IsCausalAfterAPrefixThatAllSee) {
  at::manual_seed(2);
  for (const int tokens : {1, 3, 6}) {
    for (const int prefix : {0, 4}) {
      const int own = 6, heads = 4, kv_heads = 2, dim = 8;
      const at::Tensor q = at::randn({tokens, heads, dim});
      const at::Tensor k = at::randn({kv_heads, own, dim}), v = at::randn({kv_heads, own, dim});
      at::Tensor prefix_k, prefix_v, all_k = k, all_v = v;
      if (prefix > 0) {
        prefix_k = at::randn({kv_heads, prefix, dim});
        prefix_v = at::randn({kv_heads, prefix, dim});
        all_k = at::cat({prefix_k, k}, 1);
        all_v = at::cat({prefix_v, v}, 1);
      }
      const at::Tensor out = ops::cached_attention(q, prefix_k, prefix_v, k, v);
      ASSERT_EQ(out.sizes(), (at::IntArrayRef{tokens, heads * dim}));
      for (int t = 0; t < tokens; ++t) {
        for (int h = 0; h < heads; ++h) {
          const auto expected =
              naive_attention(q[t][h], all_k[h / 2], all_v[h / 2],
                              [&](std::int64_t s) { return s <= prefix + own - tokens + t; });
          for (int d = 0; d < dim; ++d) {
            EXPECT_NEAR(value(out, {t, h * dim + d}), expected[d], kFloatTolerance)
                << "tokens " << tokens << ", prefix " << prefix;
          }
        }
      }
    }
  }
}

TEST(LayerNorm, EqualsThePlainDefinition) {
  const at::Tensor x = at::tensor({1.0f, 2.0f, 4.0f, 9.0f}).view({1, 4});
  const at::Tensor out = ops::layer_norm(x, at::tensor({1.0f, 2.0f, 1.0f, 1.0f}),
                                         at::tensor({0.0f, 0.0f, 5.0f, 0.0f}));
  // mean 4, variance (9 + 4 + 0 + 25) / 4 = 9.5
  const double deviation = std::sqrt(9.5 + 1e-5);
  EXPECT_NEAR(value(out, {0, 0}), -3 / deviation, kFloatTolerance);
  EXPECT_NEAR(value(out, {0, 1}), 2 * (-2 / deviation), kFloatTolerance);
  EXPECT_NEAR(value(out, {0, 2}), 5, kFloatTolerance);
  EXPECT_NEAR(value(out, {0, 3}), 5 / deviation, kFloatTolerance);
}

TEST(GeluTanh, EqualsThePlainDefinition) {
  for (const double x : {-3.0, -0.5, 0.0, 1.0, 4.0}) {
    const double expected =
        0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    EXPECT_NEAR(ops::gelu_tanh(at::scalar_tensor(x, at::kFloat)).item<double>(), expected,
                kFloatTolerance);
  }
}

TEST(GeluTanh, KeepsItsLimitsAndNaN) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor out =
        ops::gelu_tanh(at::tensor({-inf, -1e30f, -50.0f, 50.0f, 1e30f, NAN}).to(dtype));
    const at::Tensor values = out.to(at::kDouble);
    EXPECT_NEAR(value(values, {2}), 0, 1e-30);
    EXPECT_EQ(value(values, {3}), 50);
    EXPECT_GT(value(values, {4}), 9e29);
    EXPECT_TRUE(std::isnan(value(values, {5})));
  }
}

// The kernels on rows of every length against LibTorch in double; 2^-8 is half a unit in the last
// place of a bfloat16 near 1, and the largest values here are below 8.
TEST(RowKernels, MatchDoublePrecisionOnRowsOfEveryLength) {
  at::manual_seed(3);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const double tolerance = dtype == at::kFloat ? kFloatTolerance : 8.0 / 256;
    for (const int n : {1, 2, 15, 16, 17, 33, 100, 1152}) {
      const at::Tensor x = (at::randn({3, n}) * 2).to(dtype);
      const at::Tensor weight = at::rand({n}).to(dtype), bias = at::rand({n}).to(dtype);
      const at::Tensor normed = ops::layer_norm(x, weight, bias).to(at::kDouble);
      if (n > 1) {  // of one number, only the eps remains
        const at::Tensor expected = at::layer_norm(x.to(at::kDouble), {n}, weight.to(at::kDouble),
                                                   bias.to(at::kDouble), 1e-5);
        EXPECT_LE((normed - expected).abs().max().item<double>(), tolerance) << n;
      }
      const at::Tensor expected = at::gelu(x.to(at::kDouble), "tanh");
      const at::Tensor gelu = ops::gelu_tanh(x.clone()).to(at::kDouble);
      EXPECT_LE((gelu - expected).abs().max().item<double>(), tolerance) << n;
    }
  }
}

TEST(RotaryEmbedding, RotatesHalvesAndWritesThemInterleaved) {
  const at::Tensor freqs = precompute_freqs_cis(4, 10, 10000);
  ASSERT_EQ(freqs.sizes(), (at::IntArrayRef{10, 2, 2}));
  // Position 3; the second frequency is 10000^(-2/4) = 0.01.
  const at::Tensor x = at::arange(1, 7, at::kFloat).view({1, 1, 6});
  const at::Tensor out = apply_rotary_emb(x, freqs.narrow(0, 3, 1)).view({6});
  const double a = 3, b = 0.03;
  const double expected[] = {1 * std::cos(a) - 3 * std::sin(a),
                             1 * std::sin(a) + 3 * std::cos(a),
                             2 * std::cos(b) - 4 * std::sin(b),
                             2 * std::sin(b) + 4 * std::cos(b),
                             5,
                             6};
  for (int i = 0; i < 6; ++i) EXPECT_NEAR(value(out, {i}), expected[i], kFloatTolerance);
}

}  // namespace
}  // namespace moondream
