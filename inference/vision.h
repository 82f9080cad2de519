// The vision encoder and its projection into the text model's space.
// Port of moondream/torch/vision.py @ 44146f1.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "image_crops.h"
#include "layers.h"
#include "survivors.h"

namespace moondream {

// Letters: n crops, P patches of a crop (729), E enc_dim (1152), D text dim (2048).
// Thread-safety: safe; weights are only read.
class VisionEncoder {
 public:
  explicit VisionEncoder(const WeightSource &weights);

  // Runs crops of any number of pictures through the transformer.
  // crops:  uint8 [n, crop_size, crop_size, 3] on the CPU
  // return: [P, E] of each crop, dtype and device of the weights; they may share memory
  // A crop that is `cancelled` leaves the batch before the next block; its tensor is undefined.
  std::vector<at::Tensor> encode(const at::Tensor &crops, const CancelCheck &cancelled = {}) const;

  // What encode() makes of one crop [1, crop_size, crop_size, 3], and what the block of that number
  // made of it on the way: both [P, E].
  struct Features {
    at::Tensor final, early;
  };
  Features encode(const at::Tensor &crop, std::int64_t early_block) const;

  // Joins one picture's features: the global crop beside the pooled local ones, projected; or the
  // global crop alone, of models that see no others.
  // features: [count, P, E], of the picture's crops -> [P, D]
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
  at::Tensor run(const Block &block, at::Tensor x) const;

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
