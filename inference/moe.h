// A mixture of experts: many small MLPs, of which a router chooses a few for each token.
// Port of moe_mlp in layers.py of the published Moondream 3.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "layers.h"

namespace moondream {

// Thread-safety: const after loading; safe.
struct Moe {
  Linear router;            // D -> experts
  std::vector<Matrix> fc1;  // of each expert, [2 * inner, D]: the values, then their gates
  std::vector<Matrix> fc2;  // of each expert, [D, inner]
  // What a variant adds to each expert's; empty: nothing.
  std::vector<LowRank> fc1_more, fc2_more;
  std::int64_t experts_per_token = 0;

  Moe() = default;
  // The experts of the MLP of that name.
  Moe(const WeightSource &weights, const std::string &name);

  // x: [T, D] -> [T, D].
  at::Tensor operator()(const at::Tensor &x) const;
};

}  // namespace moondream
