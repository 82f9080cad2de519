// The few tensor operations that the model is made of, each as this LibTorch and this processor do
// it fastest. The only place with branches on versions or instruction sets.
// Thread-safety: all are safe; arguments are only read, where nothing else is said.
#pragma once

#include <ATen/core/Tensor.h>

#include "quantization.h"

namespace moondream::ops {

// x: [..., in], weight: [out, in], bias: [out] -> [..., out].
at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias);

// The same with a weight that may be quantized.
at::Tensor linear(const at::Tensor &x, const Matrix &weight, const at::Tensor &bias);

// Over the last dimension, eps 1e-5. x: [..., D], weight and bias: [D].
at::Tensor layer_norm(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias);

// GELU in its tanh approximation. May overwrite x, so hand over one that nobody else needs.
at::Tensor gelu_tanh(at::Tensor x);

// softmax(q k^T / sqrt(head_dim)) v. q: [B, H, T, D], k and v: [B, H_kv, S, D] -> [B, H, T, D].
// H is a multiple of H_kv: query heads h * H / H_kv ... share a key head (grouped queries).
at::Tensor attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v);

// One sequence's attention over two stretches of keys: a prefix that every token sees (may be
// undefined) and the sequence's own, which ends with the tokens' own keys and is seen causally.
// q: [T, H, D], prefix_k and prefix_v: [H_kv, P, D], k and v: [H_kv, S, D] with S >= T
// -> [T, H * D].
at::Tensor cached_attention(const at::Tensor &q, const at::Tensor &prefix_k,
                            const at::Tensor &prefix_v, const at::Tensor &k, const at::Tensor &v);

}  // namespace moondream::ops
