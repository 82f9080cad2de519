#include "ops.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "products.h"
#include "row_kernels.h"

namespace moondream::ops {
namespace {

// Calls function with the tensor's element type where the kernels of this library take it: on the
// CPU, contiguous, float32 or bfloat16. Returns whether it did.
template <typename Function>
bool with_kernel_type(const at::Tensor &x, const Function &function) {
  if (!x.device().is_cpu() || !x.is_contiguous()) return false;
  if (x.scalar_type() == at::kFloat) {
    function(float());
  } else if (x.scalar_type() == at::kBFloat16) {
    function(c10::BFloat16());
  } else {
    return false;
  }
  return true;
}

// Over the last dimension of scale * scores, which may be overwritten.
at::Tensor scaled_softmax(at::Tensor scores, double scale) {
  const bool done = with_kernel_type(scores, [&]<typename T>(T) {
    softmax_kernel(scores.data_ptr<T>(), scores.numel() / scores.size(-1), scores.size(-1),
                   static_cast<float>(scale));
  });
  return done ? scores : at::softmax(scores * scale, -1);
}

}  // namespace

at::Tensor linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias) {
  return linear_product(x, weight, bias);
}

at::Tensor linear(const at::Tensor &x, const Matrix &weight, const at::Tensor &bias) {
  if (const auto *quantized = std::get_if<QuantizedMatrix>(&weight)) {
    return quantized_linear(x, *quantized, bias);
  }
  return linear(x, std::get<at::Tensor>(weight), bias);
}

at::Tensor layer_norm(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias) {
  const std::int64_t n = x.size(-1);
  at::Tensor out;
  const bool done = with_kernel_type(x, [&]<typename T>(T) {
    out = at::empty_like(x);
    layer_norm_kernel(x.data_ptr<T>(), weight.data_ptr<T>(), bias.data_ptr<T>(), out.data_ptr<T>(),
                      x.numel() / n, n);
  });
  return done ? out : at::layer_norm(x, {n}, weight, bias, 1e-5);
}

at::Tensor gelu_tanh(at::Tensor x) {
  const bool done = with_kernel_type(
      x, [&]<typename T>(T) { gelu_tanh_kernel(x.data_ptr<T>(), x.data_ptr<T>(), x.numel()); });
  return done ? x : at::gelu(x, "tanh");
}

at::Tensor attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v) {
  const std::int64_t batch = q.size(0), heads = q.size(1), tokens = q.size(2), dim = q.size(3);
  const std::int64_t kv_heads = k.size(1), group = heads / kv_heads;
  const double scale = 1.0 / std::sqrt(static_cast<double>(dim));
  at::Tensor out = at::empty({batch, heads, tokens, dim}, q.options());
  // One item of the batch at a time: its scores stay in the cache instead of filling memory.
  for (std::int64_t b = 0; b < batch; ++b) {
    const at::Tensor queries = q[b].reshape({kv_heads, group * tokens, dim});
    const at::Tensor scores = batched_product(queries, k[b].transpose(1, 2));
    const at::Tensor mixed = batched_product(scaled_softmax(scores, scale), v[b]);
    out[b].copy_(mixed.view({heads, tokens, dim}));
  }
  return out;
}

at::Tensor cached_attention(const at::Tensor &q, const at::Tensor &prefix_k,
                            const at::Tensor &prefix_v, const at::Tensor &k, const at::Tensor &v) {
  const std::int64_t tokens = q.size(0), heads = q.size(1), dim = q.size(2);
  const std::int64_t kv_heads = k.size(0), group = heads / kv_heads, own = k.size(1);
  const double scale = 1.0 / std::sqrt(static_cast<double>(dim));
  const at::Tensor queries = q.transpose(0, 1).reshape({kv_heads, group * tokens, dim});
  at::Tensor scores = batched_product(queries, k.transpose(1, 2));
  if (tokens > 1) {
    // Token i of this call is position own - tokens + i of the sequence.
    const at::Tensor unseen =
        at::ones({tokens, own}, q.options().dtype(at::kBool)).triu(own - tokens + 1);
    scores.view({heads, tokens, own})
        .masked_fill_(unseen, -std::numeric_limits<double>::infinity());
  }
  at::Tensor mixed;
  if (prefix_k.defined()) {
    const std::int64_t prefix = prefix_k.size(1);
    scores = at::cat({batched_product(queries, prefix_k.transpose(1, 2)), scores}, -1);
    const at::Tensor shares = scaled_softmax(scores, scale);
    mixed = batched_product(shares.narrow(2, 0, prefix), prefix_v) +
            batched_product(shares.narrow(2, prefix, own), v);
  } else {
    mixed = batched_product(scaled_softmax(scores, scale), v);
  }
  return mixed.view({heads, tokens, dim}).transpose(0, 1).reshape({tokens, heads * dim});
}

}  // namespace moondream::ops
