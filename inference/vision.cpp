#include "vision.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace moondream {
namespace {

// Crops that go through the transformer together: more would only take more memory.
constexpr std::int64_t kMaxBatch = 16;

// What each 8-bit value becomes, by the reference's three steps in the type of the weights: in
// bfloat16 each of them rounds. There are only 256 values.
at::Tensor normalised_pixel_values(c10::ScalarType dtype) {
  return at::arange(256, at::kFloat).to(dtype).div_(255.0).sub_(0.5).div_(0.5);
}

template <typename T>
void fill_patches(const std::uint8_t *crops, const T *values, std::int64_t n_crops,
                  std::int64_t grid, std::int64_t patch, T *out) {
  const std::int64_t row_bytes = grid * patch * 3;
  for (std::int64_t n = 0; n < n_crops; ++n) {
    const std::uint8_t *crop = crops + n * row_bytes * grid * patch;
    for (std::int64_t i = 0; i < grid * grid; ++i) {
      const std::uint8_t *corner = crop + i / grid * patch * row_bytes + i % grid * patch * 3;
      // Order of a patch: channel, row, column.
      for (std::int64_t c = 0; c < 3; ++c) {
        for (std::int64_t y = 0; y < patch; ++y) {
          const std::uint8_t *pixel = corner + y * row_bytes + c;
          for (std::int64_t x = 0; x < patch; ++x) *out++ = values[pixel[3 * x]];
        }
      }
    }
  }
}

}  // namespace

VisionEncoder::VisionEncoder(const WeightSource &weights)
    : config_(weights.config().vision),
      patch_emb_(weights.linear("vision.patch_emb")),
      pos_emb_(weights.tensor("vision.pos_emb")),
      post_ln_(weights.layer_norm("vision.post_ln")),
      proj_mlp_(weights.mlp("vision.proj_mlp", config_.exact_gelu)),
      pixel_values_(normalised_pixel_values(weights.dtype())) {
  for (std::int64_t i = 0; i < config_.enc_n_layers; ++i) {
    const std::string name = "vision.blocks." + std::to_string(i);
    blocks_.push_back({weights.layer_norm(name + ".ln1"), weights.linear(name + ".attn.qkv"),
                       weights.linear(name + ".attn.proj"), weights.layer_norm(name + ".ln2"),
                       weights.mlp(name + ".mlp", config_.exact_gelu)});
  }
}

at::Tensor VisionEncoder::create_patches(const at::Tensor &crops) const {
  const std::int64_t n = crops.size(0), grid = config_.grid(), patch = config_.enc_patch_size;
  const at::Tensor in = crops.contiguous();
  const auto dtype = patch_emb_.bias.scalar_type();
  at::Tensor out =
      at::empty({n, grid * grid, 3 * patch * patch}, at::device(at::kCPU).dtype(dtype));
  const auto fill = [&]<typename T>(const T *values) {
    fill_patches(in.data_ptr<std::uint8_t>(), values, n, grid, patch, out.data_ptr<T>());
  };
  if (dtype == at::kBFloat16) {
    fill(pixel_values_.data_ptr<at::BFloat16>());
  } else {
    fill(pixel_values_.data_ptr<float>());
  }
  return out.to(patch_emb_.bias.device());
}

at::Tensor VisionEncoder::attn(const at::Tensor &x, const Block &block) const {
  const std::int64_t n = x.size(0), tokens = x.size(1);
  // [n, P, 3 E] -> 3 x [n, H, P, head_dim]
  const at::Tensor qkv = block.qkv(x)
                             .view({n, tokens, 3, config_.enc_n_heads, config_.head_dim()})
                             .permute({2, 0, 3, 1, 4});
  const at::Tensor out = ops::attention(qkv[0], qkv[1], qkv[2]);
  return block.proj(out.transpose(1, 2).reshape({n, tokens, config_.enc_dim}));
}

at::Tensor VisionEncoder::run(const Block &block, at::Tensor x) const {
  x = x + attn(block.ln1(x), block);
  return x + block.mlp(block.ln2(x));
}

VisionEncoder::Features VisionEncoder::encode(const at::Tensor &crop,
                                              std::int64_t early_block) const {
  Features features;
  at::Tensor x = patch_emb_(create_patches(crop)) + pos_emb_;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    x = run(blocks_[i], std::move(x));
    if (std::cmp_equal(i, early_block)) features.early = x[0];
  }
  features.final = post_ln_(x)[0];
  return features;
}

std::vector<at::Tensor> VisionEncoder::encode(const at::Tensor &crops,
                                              const CancelCheck &cancelled) const {
  std::vector<at::Tensor> features(crops.size(0));
  for (std::int64_t begin = 0; begin < crops.size(0); begin += kMaxBatch) {
    const std::int64_t count = std::min(kMaxBatch, crops.size(0) - begin);
    Survivors left(begin, count, cancelled);
    at::Tensor x = patch_emb_(create_patches(crops.narrow(0, begin, count))) + pos_emb_;
    for (const Block &block : blocks_) {
      x = left.keep(x);
      if (left.items().empty()) break;
      x = run(block, std::move(x));
    }
    if (left.items().empty()) continue;
    x = post_ln_(x);
    for (std::size_t i = 0; i < left.items().size(); ++i) {
      features[left.items()[i]] = x[static_cast<std::int64_t>(i)];
    }
  }
  return features;
}

at::Tensor VisionEncoder::project(const at::Tensor &features, Tiling tiling) const {
  const std::int64_t grid = config_.grid(), dim = config_.enc_dim;
  const at::Tensor global = features[0];
  if (config_.cropping == Cropping::kWhole) return proj_mlp_(global);
  at::Tensor pooled = global;  // of a 1x1 tiling: the local crop is the global one
  if (features.size(0) > 1) {
    const at::Tensor local = features.narrow(0, 1, features.size(0) - 1);
    const at::Tensor joined = reconstruct_from_crops(
        local.view({local.size(0), grid, grid, dim}), tiling,
        config_.cropping == Cropping::kQuarters ? 0 : static_cast<int>(config_.overlap_margin));
    pooled = at::adaptive_avg_pool2d(joined.permute({2, 0, 1}), {grid, grid})
                 .permute({1, 2, 0})
                 .reshape({grid * grid, dim});
  }
  return proj_mlp_(at::cat({global, pooled}, -1));
}

}  // namespace moondream
