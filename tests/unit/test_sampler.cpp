#include "sampler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace moondream {
namespace {

// Logits of these probabilities.
at::Tensor logits_of(std::vector<double> shares) {
  for (double &share : shares) share = std::log(share);
  return at::tensor(shares).to(at::kFloat);
}

std::map<std::int64_t, int> draw(Sampler sample, const at::Tensor &logits, int times) {
  std::map<std::int64_t, int> counts;
  for (int i = 0; i < times; ++i) ++counts[sample(logits)];
  return counts;
}

TEST(Sampler, TemperatureZeroTakesTheMostLikelyToken) {
  Sampler sample({.temperature = 0});
  EXPECT_EQ(sample(at::tensor({1.0f, 5.0f, 4.9f})), 1);
}

TEST(Sampler, NucleusHoldsTheLikeliestTokensUpToTopPAndTheOneThatPassesIt) {
  // Before the third token lies 0.7 of the probability, which is more than 0.6.
  const auto counts =
      draw(Sampler({.temperature = 1, .top_p = 0.6}), logits_of({0.1, 0.4, 0.2, 0.3}), 2000);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_TRUE(counts.contains(1));
  EXPECT_TRUE(counts.contains(3));
}

TEST(Sampler, DrawsInProportionToTheProbabilities) {
  const int times = 20000;
  const auto counts =
      draw(Sampler({.temperature = 1, .top_p = 1, .seed = 3}), logits_of({0.5, 0.3, 0.2}), times);
  // Five standard deviations of a binomial count.
  for (const auto &[token, share] : {std::pair{0, 0.5}, {1, 0.3}, {2, 0.2}}) {
    EXPECT_NEAR(counts.at(token), share * times, 5 * std::sqrt(times * share * (1 - share)));
  }
}

TEST(Sampler, HighTemperatureFlattensAndLowTemperatureSharpens) {
  const at::Tensor logits = logits_of({0.6, 0.4});
  const auto hot = draw(Sampler({.temperature = 100, .top_p = 1}), logits, 10000);
  const auto cold = draw(Sampler({.temperature = 0.05, .top_p = 1}), logits, 10000);
  EXPECT_NEAR(hot.at(0), 5000, 250);  // 0.501, five standard deviations
  EXPECT_GT(cold.at(0), 9900);        // 0.4^20 / 0.6^20 = 0.0003 for the other
}

TEST(Sampler, EqualSeedsGiveEqualTokens) {
  const at::Tensor logits = at::zeros({100});
  Sampler a({.temperature = 1, .top_p = 1, .seed = 9});
  Sampler b({.temperature = 1, .top_p = 1, .seed = 9});
  Sampler c({.temperature = 1, .top_p = 1, .seed = 10});
  bool differs = false;
  for (int i = 0; i < 50; ++i) {
    const std::int64_t token = a(logits);
    EXPECT_EQ(token, b(logits));
    differs |= token != c(logits);
  }
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace moondream
