// The vision encoder and its projection into the text model's space.
// Port of moondream/torch/vision.py @ 44146f1.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "image_crops.h"
#include "layers.h"

namespace moondream {

// Asked between the steps of a long computation; true ends it with Error{kCancelled}.
using CancelCheck = std::function<bool()>;

// Letters: n crops, P patches of a crop (729), E enc_dim (1152), D text dim (2048).
// Thread-safety: safe; weights are only read.
class VisionEncoder {
 public:
  explicit VisionEncoder(const WeightSource &weights);

  // Runs crops of any number of pictures through the transformer.
  // crops:  uint8 [n, crop_size, crop_size, 3] on the CPU
  // return: [n, P, E], dtype and device of the weights
  // Throws Error{kCancelled} between two blocks once `cancelled` says so.
  at::Tensor encode(const at::Tensor &crops, const CancelCheck &cancelled = {}) const;

  // Joins one picture's features: the global crop beside the pooled local ones, projected.
  // features: [count, P, E], the picture's part of encode()'s result -> [P, D]
  at::Tensor project(const at::Tensor &features, Tiling tiling) const;

 private:
  struct Block {
    LayerNorm ln1;
    Linear qkv, proj;
    LayerNorm ln2;
    Mlp mlp;
  };

  at::Tensor create_patches(const at::Tensor &crops) const;
  at::Tensor attn(const at::Tensor &x, const Block &block) const;

  const VisionConfig config_;
  const Linear patch_emb_;
  const at::Tensor pos_emb_;  // [1, P, E]
  std::vector<Block> blocks_;
  const LayerNorm post_ln_;
  const Mlp proj_mlp_;
  at::Tensor
      pixel_values_;  // [256] on the CPU, dtype of the weights: what each 8-bit value becomes
};

}  // namespace moondream
