// A mixture of experts against its definition, one token and one expert at a time, in double.
#include "moe.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace moondream {
namespace {

TEST(Moe, IsTheWeightedSumOfTheChosenExpertsWithWhatAVariantAdds) {
  at::manual_seed(1);
  constexpr std::int64_t kDim = 6, kInner = 5, kExperts = 7, kChosen = 3;
  Moe moe;
  moe.router = {at::randn({kExperts, kDim}), at::randn({kExperts}), {}};
  moe.experts_per_token = kChosen;
  std::vector<at::Tensor> fc1, fc2;
  for (std::int64_t e = 0; e < kExperts; ++e) {
    fc1.push_back(at::randn({2 * kInner, kDim}));
    fc2.push_back(at::randn({kDim, kInner}));
    moe.fc1.emplace_back(fc1.back());
    moe.fc2.emplace_back(fc2.back());
  }
  // What a variant adds to the experts is in their matrices.
  constexpr std::int64_t kRank = 2;
  for (std::size_t e = 0; e < kExperts; ++e) {
    moe.fc1_more.push_back({at::randn({kRank, kDim}), at::randn({2 * kInner, kRank})});
    moe.fc2_more.push_back({at::randn({kRank, kInner}), at::randn({kDim, kRank})});
    fc1[e] = fc1[e] + at::matmul(moe.fc1_more[e].b, moe.fc1_more[e].a);
    fc2[e] = fc2[e] + at::matmul(moe.fc2_more[e].b, moe.fc2_more[e].a);
  }
  for (const std::int64_t tokens : {1, 9}) {
    const at::Tensor x = at::randn({tokens, kDim});
    const at::Tensor found = moe(x);
    ASSERT_EQ(found.sizes(), x.sizes());
    for (std::int64_t t = 0; t < tokens; ++t) {
      const at::Tensor token = x[t].to(at::kDouble);
      const at::Tensor logits =
          at::mv(std::get<at::Tensor>(moe.router.weight).to(at::kDouble), token) +
          moe.router.bias.to(at::kDouble);
      const auto [best, ids] = logits.sort(-1, true);
      const at::Tensor shares = at::softmax(best.narrow(0, 0, kChosen), -1);
      at::Tensor expected = at::zeros({kDim}, at::kDouble);
      for (std::int64_t k = 0; k < kChosen; ++k) {
        const auto e = static_cast<std::size_t>(ids[k].item<std::int64_t>());
        const at::Tensor inner = at::mv(fc1[e].to(at::kDouble), token);
        const at::Tensor value = inner.narrow(0, 0, kInner), gate = inner.narrow(0, kInner, kInner);
        const at::Tensor gelu = value * 0.5 * (1 + at::erf(value * M_SQRT1_2));
        expected += shares[k] * at::mv(fc2[e].to(at::kDouble), gelu * (gate + 1));
      }
      // Sums of some tens of float32 products of numbers up to about ten.
      EXPECT_TRUE(at::allclose(found[t].to(at::kDouble), expected, 1e-5, 1e-5)) << t;
    }
  }
}

}  // namespace
}  // namespace moondream
