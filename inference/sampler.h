// Chooses the next token.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <random>

#include "types.h"

namespace moondream {

// Temperature 0 takes the most likely token; else one is drawn from the nucleus: the likeliest
// tokens until those before them hold more than top_p of the probability.
// Port of _apply_top_p and its callers in moondream.py @ 44146f1, with a generator of its own, so
// that equal seeds give equal tokens whatever else runs.
// Thread-safety: one thread at a time.
class Sampler {
 public:
  explicit Sampler(const GenerationSettings &settings)
      : temperature_(settings.temperature), top_p_(settings.top_p), random_(settings.seed) {}

  // logits: float32 [V] -> a token id.
  std::int64_t operator()(const at::Tensor &logits);

 private:
  const double temperature_;
  const double top_p_;
  std::mt19937_64 random_;
};

}  // namespace moondream
