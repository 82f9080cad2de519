// A variant of a model: low-rank additions to its linear layers (LoRA).
// Port of moondream/torch/lora.py @ 44146f1, and of the fine-tunes of Moondream's own service as
// kestrel/moondream/lora.py and fused_moe/module.py of m87-labs/kestrel @ 0442e56 have them.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

#include "config.h"
#include "ops.h"

namespace moondream {

// What is added to a linear layer's output: B (A x), without a scale.
struct LowRank {
  at::Tensor a;  // [rank, in]; undefined: nothing is added
  at::Tensor b;  // [out, rank]

  explicit operator bool() const { return a.defined(); }
  at::Tensor operator()(const at::Tensor &x) const {
    return ops::linear(ops::linear(x, a, {}), b, {});
  }
};

// "<linear>.A" [rank, in] and "<linear>.B" [out, rank] under the names of tensor_names.h, for
// example "text.blocks.0.attn.qkv.A"; of experts, "text.blocks.4.mlp.experts.fc1.A" and so on, with
// the experts as a first dimension. Always both of a layer, and of floating-point types.
using LoraTensors = std::map<std::string, at::Tensor>;

// Reads a variant of a model with these dimensions: a PyTorch or safetensors file, or a directory
// with one. Files have either the reference's names
// ("text_model.transformer.h.0.mixer.Wqkv.parametrizations.weight.0.A") or those of the service's
// fine-tunes ("lora_state_dict": "dense.0.up_a", and "moe.0.up_a" of the first block of experts).
// Tensors may be views of the mapped file. What the reference's format has for the MLP of a block
// of experts does nothing, as there.
// Throws Error as open_weights() does; kMismatch, naming the tensors, if one is unknown, misshapen
// or without its other half, or if there are none.
LoraTensors load_lora(const std::filesystem::path &path, const Config &config);

}  // namespace moondream
