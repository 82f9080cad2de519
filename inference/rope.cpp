#include "rope.h"

#include <ATen/ATen.h>

namespace moondream {

at::Tensor precompute_freqs_cis(std::int64_t dim, std::int64_t positions, double theta) {
  const at::Tensor exponents = at::arange(0, dim, 2, at::kFloat) / static_cast<double>(dim);
  const at::Tensor freqs = 1.0 / at::pow(theta, exponents);
  const at::Tensor angles = at::outer(at::arange(positions, at::kFloat), freqs);
  return at::stack({angles.cos(), angles.sin()}, -1);
}

at::Tensor apply_rotary_emb(const at::Tensor &x, const at::Tensor &freqs_cis) {
  const std::int64_t half = freqs_cis.size(1);
  const at::Tensor real = x.narrow(-1, 0, half).to(at::kFloat);
  const at::Tensor imag = x.narrow(-1, half, half).to(at::kFloat);
  const at::Tensor cos = freqs_cis.select(-1, 0).unsqueeze(1);  // [T, 1, dim / 2]
  const at::Tensor sin = freqs_cis.select(-1, 1).unsqueeze(1);
  const at::Tensor rotated =
      at::stack({real * cos - imag * sin, real * sin + imag * cos}, -1).flatten(-2);
  return at::cat({rotated.to(x.scalar_type()), x.narrow(-1, 2 * half, x.size(-1) - 2 * half)}, -1);
}

}  // namespace moondream
