#include "moe.h"

#include <ATen/ATen.h>

namespace moondream {

Moe::Moe(const WeightSource &weights, const std::string &name)
    : router(weights.linear(name + ".router")),
      fc1(weights.experts(name + ".fc1")),
      fc2(weights.experts(name + ".fc2")),
      fc1_more(weights.expert_additions(name + ".experts.fc1", fc1.size())),
      fc2_more(weights.expert_additions(name + ".experts.fc2", fc2.size())),
      experts_per_token(weights.config().text.moe->experts_per_token) {}

at::Tensor Moe::operator()(const at::Tensor &x) const {
  const auto [logits, experts] = router(x).topk(experts_per_token);
  const at::Tensor shares = at::softmax(logits.to(at::kFloat), -1).to(x.scalar_type());
  const at::Tensor chosen = experts.cpu();
  const auto *ids = chosen.data_ptr<std::int64_t>();

  // Where each expert is chosen: places in `experts`, row by row.
  std::vector<std::vector<std::int64_t>> places(fc1.size());
  for (std::int64_t i = 0; i < chosen.numel(); ++i) {
    places[static_cast<std::size_t>(ids[i])].push_back(i);
  }
  at::Tensor out = at::zeros_like(x);
  const at::Tensor flat_shares = shares.reshape({-1, 1});
  for (std::size_t e = 0; e < places.size(); ++e) {
    if (places[e].empty()) continue;
    const at::Tensor place = at::tensor(places[e]).to(x.device());
    const at::Tensor rows = place.div(experts_per_token, "floor");
    const at::Tensor tokens = x.index_select(0, rows);
    at::Tensor inner = ops::linear(tokens, fc1[e], {});
    if (!fc1_more.empty()) inner.add_(fc1_more[e](tokens));
    const std::int64_t half = inner.size(1) / 2;
    const at::Tensor gated = at::gelu(inner.narrow(1, 0, half)) * (inner.narrow(1, half, half) + 1);
    at::Tensor result = ops::linear(gated, fc2[e], {});
    if (!fc2_more.empty()) result.add_(fc2_more[e](gated));
    out.index_add_(0, rows, result * flat_shares.index_select(0, place));
  }
  return out;
}

}  // namespace moondream
