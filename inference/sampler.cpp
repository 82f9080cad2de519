#include "sampler.h"

#include <ATen/ATen.h>

namespace moondream {

std::int64_t Sampler::operator()(const at::Tensor &logits) {
  if (temperature_ == 0) return logits.argmax().item<std::int64_t>();
  const auto [sorted, ids] = at::softmax(logits.cpu() / temperature_, -1).sort(-1, true);
  const float *shares = sorted.data_ptr<float>();
  double total = 0;
  std::int64_t kept = 0;
  // A token stays if those before it hold at most top_p: the first one always does.
  while (kept < sorted.numel() && total <= top_p_) total += shares[kept++];
  // 53 random bits make a double in [0, 1) the same way with every standard library.
  const double drawn = static_cast<double>(random_() >> 11) * 0x1.0p-53 * total;
  double below = 0;
  for (std::int64_t i = 0; i < kept; ++i) {
    below += shares[i];
    if (drawn < below) return ids[i].item<std::int64_t>();
  }
  return ids[kept - 1].item<std::int64_t>();
}

}  // namespace moondream
