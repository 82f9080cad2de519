// The names of a model's tensors, in the files and here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config.h"

namespace moondream {

struct ExpectedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  bool bytes = false;  // bytes that stand for smaller numbers; else of a floating-point type
};

// Every tensor of a model with these dimensions, which must be valid. Linear weights are
// [out, in]; text.wte is [vocab, dim]; vision.pos_emb [1, patches, enc_dim]; region.coord_features
// [1, coord_feat_dim / 2]; region.size_features [2, size_feat_dim / 2]. A packed 4-bit weight is
// three tensors: ".weight.packed" [out * in / 256, 128], ".weight.scale" and ".weight.zero_point"
// [out * in / 128, 1]. Experts are ".mlp.fc1.weight" [experts, 2 * inner, dim] and
// ".mlp.fc2.weight" [experts, dim, inner], in FP8 with a ".scale" for each row; in 4 bits they are
// ".weight.affine", bytes of two neighbours each, the first in the lower half, and ".weight.scales"
// and ".weight.biases" of 64 neighbours each.
std::vector<ExpectedTensor> expected_tensors(const Config &config);

struct CanonicalName {
  std::string name;
  bool transposed = false;  // the file holds the transposed matrix
};

// What this library calls the tensor that a file calls `key`. Files have either the names of the
// reference's modules, also behind "model.", those of its training code, or of a conversion to MLX;
// all may have torch.compile's "_orig_mod" in between. A key of neither is returned without these
// additions.
CanonicalName canonical_name(std::string_view key);

}  // namespace moondream
