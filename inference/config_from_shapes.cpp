#include "config_from_shapes.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace moondream {
namespace {

constexpr std::int64_t kTextHeadDim = 64;  // of every published model
constexpr std::int64_t kVisionHeadDim = 72;

// The shapes of a file's tensors, under their canonical names.
class Shapes {
 public:
  explicit Shapes(const TensorSources &sources) : sources_(sources) {}

  // Sets `field` to a dimension of a tensor, if that is there, has that rank and is not so large
  // (as an empty tensor can be) that arithmetic on it would overflow.
  void read(const std::string &name, std::size_t rank, std::size_t axis,
            std::int64_t &field) const {
    const auto found = sources_.find(name);
    if (found == sources_.end()) return;
    const std::vector<std::int64_t> &shape = found->second.entry->shape;
    if (shape.size() != rank || shape[axis] > INT32_MAX) return;
    field = shape[axis];
  }

  // Sets `field` to the number of blocks, if there are any.
  void count_blocks(const std::string &prefix, const std::string &tensor,
                    std::int64_t &field) const {
    std::int64_t n = 0;
    while (sources_.contains(prefix + std::to_string(n) + tensor)) ++n;
    if (n > 0) field = n;
  }

 private:
  const TensorSources &sources_;
};

// The number whose square is `value`, or 0. Numbers over 4096 do not matter here.
std::int64_t exact_root(std::int64_t value) {
  for (std::int64_t root = 1; root <= 4096; ++root) {
    if (root * root == value) return root;
  }
  return 0;
}

}  // namespace

Config config_from_shapes(const TensorSources &sources) {
  const Shapes shapes(sources);
  Config config;

  TextConfig &text = config.text;
  shapes.read("text.wte", 2, 0, text.vocab_size);
  shapes.read("text.wte", 2, 1, text.dim);
  shapes.read("text.blocks.0.mlp.fc1.weight", 2, 0, text.ff_dim);
  shapes.count_blocks("text.blocks.", ".ln.weight", text.n_layers);
  text.n_heads = text.dim % kTextHeadDim == 0 ? text.dim / kTextHeadDim : 0;
  text.n_kv_heads = text.n_heads;
  std::int64_t qkv_dim = text.n_heads * 3 * kTextHeadDim;
  shapes.read("text.blocks.0.attn.qkv.weight", 2, 0, qkv_dim);
  const std::int64_t kv_dim = qkv_dim - text.dim;
  if (kv_dim > 0 && kv_dim % (2 * kTextHeadDim) == 0) text.n_kv_heads = kv_dim / (2 * kTextHeadDim);

  VisionConfig &vision = config.vision;
  std::int64_t patch_dim = vision.patch_dim(), n_patches = vision.n_patches();
  shapes.read("vision.patch_emb.weight", 2, 0, vision.enc_dim);
  shapes.read("vision.patch_emb.weight", 2, 1, patch_dim);
  shapes.read("vision.pos_emb", 3, 1, n_patches);
  if (const std::int64_t size = exact_root(patch_dim / vision.in_channels)) {
    vision.enc_patch_size = size;
  }
  if (const std::int64_t grid = exact_root(n_patches)) {
    vision.crop_size = grid * vision.enc_patch_size;
  }
  text.prefix_attn = 1 + vision.n_patches();
  shapes.count_blocks("vision.blocks.", ".ln1.weight", vision.enc_n_layers);
  shapes.read("vision.blocks.0.mlp.fc1.weight", 2, 0, vision.enc_ff_dim);
  shapes.read("vision.proj_mlp.fc1.weight", 2, 0, vision.proj_inner_dim);
  vision.enc_n_heads = vision.enc_dim % kVisionHeadDim == 0 ? vision.enc_dim / kVisionHeadDim : 0;
  vision.proj_out_dim = text.dim;

  RegionConfig &region = config.region;
  region.dim = text.dim;
  shapes.read("region.coord_encoder.weight", 2, 1, region.coord_feat_dim);
  shapes.read("region.coord_decoder.fc2.weight", 2, 0, region.coord_out_dim);
  shapes.read("region.size_encoder.weight", 2, 1, region.size_feat_dim);
  shapes.read("region.size_decoder.fc2.weight", 2, 0, region.size_out_dim);
  shapes.read("region.coord_decoder.fc1.weight", 2, 0, region.inner_dim);
  return config;
}

}  // namespace moondream
