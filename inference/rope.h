// Rotary position embedding. Port of moondream/torch/rope.py @ 44146f1.
#pragma once

#include <ATen/core/Tensor.h>

namespace moondream {

// Cosines and sines of every position: [positions, dim / 2, 2] float32.
// Port of precompute_freqs_cis. `dim` is the number of dimensions that rotate.
at::Tensor precompute_freqs_cis(std::int64_t dim, std::int64_t positions, double theta);

// Rotates the leading dimensions of each head, in float32.
// x: [T, H, head_dim], freqs_cis: [T, dim / 2, 2] of the tokens' positions -> as x
// The first and second half of the rotated dimensions are the real and imaginary parts; they come
// out interleaved, as in the reference, so that cached keys can be compared with its own.
// Thread-safety: safe.
at::Tensor apply_rotary_emb(const at::Tensor &x, const at::Tensor &freqs_cis);

}  // namespace moondream
