// Checkpoints made in memory, in either layout.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "weights_support.h"

namespace moondream::test {

inline RawTensor raw(const std::string &name, const at::Tensor &tensor,
                     const std::string &dtype = "F32") {
  const at::Tensor packed = tensor.contiguous();
  return {name, dtype, packed.sizes().vec(),
          std::string(static_cast<const char *>(packed.data_ptr()), packed.nbytes())};
}

// The training code's name of a tensor, and its matrix there.
inline RawTensor in_training_layout(std::string name, at::Tensor tensor) {
  const auto replace = [&name](const std::string &from, const std::string &to) {
    const std::size_t at = name.find(from);
    if (at != name.npos) name.replace(at, from.size(), to);
  };
  if (name == "text.wte") return raw("text_model.transformer.embd.wte.weight", tensor);
  if (name == "vision.pos_emb") return raw("vision_encoder.encoder.model.visual.pos_embed", tensor);
  if (name == "region.coord_features") {
    return raw("region_model.coordinate_features.weight", tensor.t());
  }
  if (name == "region.size_features") return raw("region_model.size_features.weight", tensor.t());
  replace("text.blocks", "text_model._orig_mod.transformer.h");
  replace("attn.qkv", name.starts_with("text") ? "mixer.Wqkv" : "attn.qkv");
  replace("attn.proj", name.starts_with("text") ? "mixer.out_proj" : "attn.proj");
  replace("text.post_ln", "text_model.lm_head.ln");
  replace("text.lm_head", "text_model.lm_head.linear");
  replace("vision.patch_emb", "vision_encoder.encoder.model.visual.patch_embed.linear");
  replace("vision.post_ln", "vision_encoder.encoder.model.visual.norm");
  replace("vision.blocks", "vision_encoder.encoder.model.visual._orig_mod.blocks");
  replace("ln1", "norm1");
  replace("ln2", "norm2");
  replace("vision.proj_mlp", "vision_encoder.projection.mlp");
  replace("region.coord_", "region_model.coordinate_");
  replace("region.size_", "region_model.size_");
  return raw(name, tensor);
}

}  // namespace moondream::test
