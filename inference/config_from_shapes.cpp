#include "config_from_shapes.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace moondream {
namespace {

constexpr std::int64_t kTextHeadDim = 64;  // of every published model
constexpr std::int64_t kVisionHeadDim = 72;
constexpr std::int64_t kPackedGroup = 128;  // of published 4-bit weights
constexpr std::int64_t kMaxDenseBlocks = 1024;

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

  bool has(const std::string &name) const { return sources_.contains(name); }

  bool has_any(const std::string &prefix) const {
    const auto found = sources_.lower_bound(prefix);
    return found != sources_.end() && found->first.starts_with(prefix);
  }

  bool is_transposed(const std::string &name) const {
    const auto found = sources_.find(name);
    return found != sources_.end() && found->second.transposed;
  }

  const TensorEntry *entry(const std::string &name) const {
    const auto found = sources_.find(name);
    return found == sources_.end() ? nullptr : found->second.entry;
  }

  // Sets `field` to the height of a linear layer's weight, which may be packed.
  void read_height(const std::string &layer, std::int64_t &field) const {
    read(layer + ".bias", 1, 0, field);
    read(layer + ".weight", 2, 0, field);
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

// What Moondream 3 has; nothing if it is another model.
void read_moondream3(const Shapes &shapes, Config &config) {
  TextConfig &text = config.text;
  text.tau_attn = shapes.has("text.blocks.0.attn.tau.alpha");
  for (std::int64_t layer = 0; layer < text.n_layers && layer <= kMaxDenseBlocks; ++layer) {
    const std::string mlp = "text.blocks." + std::to_string(layer) + ".mlp.";
    if (!shapes.has(mlp + "router.weight")) continue;
    MoeConfig moe{.start_layer = layer};
    shapes.read(mlp + "router.weight", 2, 0, moe.num_experts);
    for (const char *form : {"", ".int8", ".int4"}) {
      shapes.read(mlp + "fc2.weight" + form, 3, 2, moe.expert_inner_dim);
    }
    const TensorEntry *weight = shapes.entry(mlp + "fc1.weight");
    // Bytes with a scale for each row are the same numbers, from a program without that type.
    moe.fp8 = weight && (weight->dtype == DType::kF8E4M3 ||
                         (weight->dtype == DType::kU8 && shapes.has(mlp + "fc1.scale")));
    moe.int4 = shapes.has(mlp + "fc1.weight.affine");
    std::int64_t rows = 2 * moe.expert_inner_dim;
    shapes.read(mlp + "fc1.weight.affine", 3, 1, rows);
    if (moe.int4) moe.expert_inner_dim = rows / 2;
    moe.experts_per_token = std::min(moe.experts_per_token, moe.num_experts);
    text.moe = moe;
    break;
  }
  if (!text.tau_attn && !text.moe) return;
  text.rope_theta = 1.5e6;
  text.max_context = 32768;
}

}  // namespace

Config config_from_shapes(const TensorSources &sources) {
  const Shapes shapes(sources);
  Config config;

  TextConfig &text = config.text;
  shapes.read("text.wte", 2, 0, text.vocab_size);
  shapes.read("text.wte", 2, 1, text.dim);
  shapes.read_height("text.blocks.0.mlp.fc1", text.ff_dim);
  shapes.count_blocks("text.blocks.", ".ln.weight", text.n_layers);
  text.n_heads = text.dim % kTextHeadDim == 0 ? text.dim / kTextHeadDim : 0;
  text.n_kv_heads = text.n_heads;
  std::int64_t qkv_dim = text.n_heads * 3 * kTextHeadDim;
  shapes.read_height("text.blocks.0.attn.qkv", qkv_dim);
  const std::int64_t kv_dim = qkv_dim - text.dim;
  if (kv_dim > 0 && kv_dim % (2 * kTextHeadDim) == 0) text.n_kv_heads = kv_dim / (2 * kTextHeadDim);

  if (shapes.has("text.blocks.0.attn.qkv.weight.packed")) text.group_size = kPackedGroup;
  read_moondream3(shapes, config);

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
  std::int64_t proj_in_dim = 2 * vision.enc_dim;
  shapes.read("vision.proj_mlp.fc1.weight", 2, 1, proj_in_dim);
  if (proj_in_dim == vision.enc_dim) vision.cropping = Cropping::kWhole;
  vision.enc_n_heads = vision.enc_dim % kVisionHeadDim == 0 ? vision.enc_dim / kVisionHeadDim : 0;
  vision.proj_out_dim = text.dim;

  // Only models of 2024, which have the training code's names or were quantized, may be without.
  config.has_region = shapes.has_any("region.") ||
                      (!has_training_names(sources) && !shapes.has("text.lm_head.weight.int8"));
  RegionConfig &region = config.region;
  region.dim = text.dim;
  std::int64_t coord_features = region.coord_feat_dim / 2, size_features = region.size_feat_dim / 2;
  shapes.read("region.coord_features", 2, shapes.is_transposed("region.coord_features") ? 0 : 1,
              coord_features);
  shapes.read("region.size_features", 2, shapes.is_transposed("region.size_features") ? 0 : 1,
              size_features);
  region.coord_feat_dim = 2 * coord_features;
  region.size_feat_dim = 2 * size_features;
  region.linear_decoders = shapes.has("region.coord_decoder.weight");
  region.layer_norm = shapes.has("region.ln.weight");
  const char *last = region.linear_decoders ? "" : ".fc2";
  shapes.read_height(std::string("region.coord_decoder") + last, region.coord_out_dim);
  shapes.read_height(std::string("region.size_decoder") + last, region.size_out_dim);
  shapes.read_height("region.coord_decoder.fc1", region.inner_dim);
  if (shapes.has("region.coord_encoder.weight.packed")) region.group_size = kPackedGroup;
  return config;
}

}  // namespace moondream
