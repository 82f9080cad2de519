// What tests of one part of the model share: dimensions of a model that has hardly anything else.
#pragma once

#include "config.h"

namespace moondream::test {

// One block, one head and nothing to ask; `dim` numbers for each token.
inline Config small_config(int dim) {
  Config config;
  config.text = {.dim = dim,
                 .ff_dim = 8,
                 .n_layers = 1,
                 .vocab_size = 32,
                 .max_context = 64,
                 .n_heads = 1,
                 .n_kv_heads = 1,
                 .prefix_attn = 10};
  config.vision = {.enc_dim = 4,
                   .enc_patch_size = 2,
                   .enc_n_layers = 1,
                   .enc_ff_dim = 4,
                   .enc_n_heads = 1,
                   .proj_out_dim = dim,
                   .crop_size = 6,
                   .overlap_margin = 1,
                   .proj_inner_dim = 4};
  config.region = {.dim = dim,
                   .coord_feat_dim = 4,
                   .coord_out_dim = 6,
                   .size_feat_dim = 4,
                   .size_out_dim = 10,
                   .inner_dim = 12};
  config.tokenizer.templates = {{}, {}, {}, {}};
  return config;
}

}  // namespace moondream::test
