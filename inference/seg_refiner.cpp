#include "seg_refiner.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "files.h"
#include "mapped_tensor.h"
#include "ops.h"
#include "types.h"
#include "weight_files.h"

namespace moondream {
namespace {

constexpr int kSteps = 5;
constexpr std::int64_t kHeads = 8;
constexpr std::int64_t kUpsampledHeads = 4;
constexpr std::int64_t kBlocks = 2;
constexpr std::int64_t kMlpRatio = 8;
constexpr std::int64_t kFusionGroups = 32;

std::string number(std::int64_t value) { return std::to_string(value); }

}  // namespace

SegRefiner::SegRefiner(const std::filesystem::path &path, const VisionConfig &vision,
                       c10::Device device, c10::ScalarType dtype)
    : path_(path), grid_(vision.grid()) {
  // The published file may hold more than the head.
  constexpr std::string_view kHead = "head.";
  const std::vector<TensorFile> files = open_weights(path);
  const auto is_of_head = [&](const auto &tensor) { return tensor.first.starts_with(kHead); };
  const bool has_head = std::ranges::any_of(files, [&](const TensorFile &file) {
    return std::ranges::any_of(file.tensors(), is_of_head);
  });
  for (const TensorFile &file : files) {
    for (const auto &[key, entry] : file.tensors()) {
      if (has_head && !key.starts_with(kHead)) continue;
      const std::string name = has_head ? key.substr(kHead.size()) : key;
      const at::Tensor tensor = mapped_tensor(file, entry, path.string() + ": " + quote(key));
      weights_.emplace(name, tensor.to(device, dtype).contiguous());
    }
  }
  if (vision.enc_n_layers <= kEarlyBlock) {
    throw Error(ErrorKind::kMismatch,
                path.string() + ": a SegHeadRefiner needs a vision encoder of more than " +
                    number(kEarlyBlock) + " blocks");
  }
  check(vision);
}

const at::Tensor &SegRefiner::weight(const std::string &name) const {
  const auto found = weights_.find(name);
  if (found != weights_.end()) return found->second;
  throw Error(ErrorKind::kMismatch,
              path_.string() + ": is no SegHeadRefiner, it has no " + quote(name));
}

void SegRefiner::expect(const std::string &name, at::IntArrayRef shape) const {
  if (weight(name).sizes() == shape) return;
  throw Error(ErrorKind::kMismatch, path_.string() + ": " + quote(name) + " is " +
                                        shape_text(weight(name).sizes()) + ", expected " +
                                        shape_text(shape));
}

void SegRefiner::check(const VisionConfig &vision) {
  const at::Tensor &proj = weight("image_proj.weight"), &tokens = weight("mask_tokens");
  dim_ = proj.dim() == 4 ? proj.size(0) : 0;
  masks_ = tokens.dim() == 2 ? tokens.size(0) : 0;
  if (dim_ < kFusionGroups || dim_ % kFusionGroups != 0 || masks_ < 1) {
    throw Error(ErrorKind::kMismatch, path_.string() +
                                          ": a SegHeadRefiner's width is a multiple "
                                          "of 32, and it has at least one mask");
  }
  const std::int64_t dim = dim_, enc = vision.enc_dim, low = dim / 8;
  const auto affine = [&](const std::string &name, std::vector<std::int64_t> shape) {
    expect(name + ".weight", shape);
    expect(name + ".bias", {shape[0]});
  };
  const auto attention = [&](const std::string &name, std::int64_t width) {
    expect(name + ".in_proj_weight", {3 * width, width});
    expect(name + ".in_proj_bias", {3 * width});
    affine(name + ".out_proj", {width, width});
  };
  affine("image_proj", {dim, enc, 1, 1});
  expect("image_pe", {1, dim, grid_, grid_});
  affine("hq_fusion.early_proj.0", {dim, enc});
  affine("hq_fusion.early_proj.1", {dim});
  affine("hq_fusion.fusion.0", {dim, 2 * dim, 1, 1});
  affine("hq_fusion.fusion.1", {dim});
  affine("hq_fusion.fusion.3", {dim, dim, 3, 3});
  affine("hq_fusion.fusion.4", {dim});
  std::int64_t in = 1;
  for (int i = 1; i <= 4; ++i) {
    const std::int64_t out = i == 4 ? dim : dim / (32 >> i);
    affine("mask_encoder.conv" + number(i) + ".0", {out, in, 3, 3});
    affine("mask_encoder.conv" + number(i) + ".1", {out});
    in = out;
  }
  expect("mask_tokens", {masks_, dim});
  expect("iou_token", {1, dim});
  expect("output_pe", {masks_ + 1, dim});
  for (std::int64_t i = 0; i < kBlocks; ++i) {
    const std::string block = "transformer_blocks." + number(i) + ".";
    attention(block + "output_self_attn", dim);
    attention(block + "cross_attn_token_to_image", dim);
    attention(block + "cross_attn_image_to_token", dim);
    for (int norm = 1; norm <= 4; ++norm) affine(block + "norm" + number(norm), {dim});
    affine(block + "mlp.0", {kMlpRatio * dim, dim});
    affine(block + "mlp.2", {dim, kMlpRatio * dim});
  }
  attention("final_token_to_image", dim);
  affine("final_norm", {dim});
  for (int i = 0; i < 3; ++i) {
    const std::int64_t wide = dim >> i, thin = wide / 2;
    expect("upsample." + number(6 * i) + ".weight", {wide, thin, 2, 2});
    expect("upsample." + number(6 * i) + ".bias", {thin});
    affine("upsample." + number(6 * i + 1) + ".norm", {thin});
    affine("upsample." + number(6 * i + 3), {thin, thin, 3, 3});
    affine("upsample." + number(6 * i + 4) + ".norm", {thin});
  }
  affine("final_q_proj", {low, dim});
  attention("final_attn_up", low);
  affine("final_norm_up", {low});
  for (std::int64_t i = 0; i < masks_; ++i) {
    for (const char *layer : {".0", ".2", ".4"})
      affine("mask_mlps." + number(i) + layer, {low, low});
  }
  affine("iou_head.0", {dim, dim});
  affine("iou_head.2", {dim, dim});
  affine("iou_head.4", {masks_, dim});
}

std::uint64_t SegRefiner::bytes() const {
  std::uint64_t bytes = 0;
  for (const auto &[name, tensor] : weights_) bytes += tensor.nbytes();
  return bytes;
}

at::Tensor SegRefiner::linear(const std::string &name, const at::Tensor &x) const {
  return ops::linear(x, weight(name + ".weight"), weight(name + ".bias"));
}

at::Tensor SegRefiner::layer_norm(const std::string &name, const at::Tensor &x) const {
  return ops::layer_norm(x, weight(name + ".weight"), weight(name + ".bias"));
}

at::Tensor SegRefiner::layer_norm_2d(const std::string &name, const at::Tensor &x) const {
  return layer_norm(name + ".norm", x.permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
}

at::Tensor SegRefiner::conv(const std::string &name, const at::Tensor &x, std::int64_t stride,
                            std::int64_t padding) const {
  return at::conv2d(x, weight(name + ".weight"), weight(name + ".bias"), stride, padding);
}

at::Tensor SegRefiner::group_norm(const std::string &name, const at::Tensor &x,
                                  std::int64_t groups) const {
  return at::group_norm(x, groups, weight(name + ".weight"), weight(name + ".bias"));
}

at::Tensor SegRefiner::attention(const std::string &name, const at::Tensor &q, const at::Tensor &k,
                                 const at::Tensor &v, std::int64_t heads) const {
  const std::int64_t width = q.size(1);
  const at::Tensor &w = weight(name + ".in_proj_weight"), &b = weight(name + ".in_proj_bias");
  const auto project = [&](const at::Tensor &x, std::int64_t part) {
    return ops::linear(x, w.narrow(0, part * width, width), b.narrow(0, part * width, width))
        .view({1, x.size(0), heads, width / heads})
        .transpose(1, 2);
  };
  const at::Tensor mixed = ops::attention(project(q, 0), project(k, 1), project(v, 2));
  return linear(name + ".out_proj", mixed.transpose(1, 2).reshape({q.size(0), width}));
}

// [S, S] -> [1, C, G, G]
at::Tensor SegRefiner::encode_mask(const at::Tensor &mask) const {
  at::Tensor x = mask.unsqueeze(0).unsqueeze(0);
  constexpr std::int64_t kMostGroups[] = {1, 8, 16, 32};
  for (int i = 1; i <= 4; ++i) {
    const std::string name = "mask_encoder.conv" + number(i);
    x = conv(name + ".0", x, 2, 1);
    x = at::gelu(group_norm(name + ".1", x, std::min(kMostGroups[i - 1], x.size(1))));
  }
  return at::upsample_bilinear2d(x, {grid_, grid_}, false);
}

// -> [1, C, G, G]
at::Tensor SegRefiner::fuse(const at::Tensor &final_features,
                            const at::Tensor &early_features) const {
  const auto as_picture = [&](const at::Tensor &x) {
    return x.view({1, grid_, grid_, x.size(1)}).permute({0, 3, 1, 2});
  };
  const at::Tensor image = conv("image_proj", as_picture(final_features), 1, 0);
  const at::Tensor early = at::gelu(
      layer_norm("hq_fusion.early_proj.1", linear("hq_fusion.early_proj.0", early_features)));
  at::Tensor x = conv("hq_fusion.fusion.0", at::cat({as_picture(early), image}, 1), 1, 0);
  x = at::gelu(group_norm("hq_fusion.fusion.1", x, kFusionGroups));
  x = conv("hq_fusion.fusion.3", x, 1, 1);
  return at::gelu(group_norm("hq_fusion.fusion.4", x, kFusionGroups));
}

// [1, C, G, G] -> [1, C / 8, 8 G, 8 G]
at::Tensor SegRefiner::upsample(at::Tensor x) const {
  for (int i = 0; i < 3; ++i) {
    const std::string up = "upsample." + number(6 * i), refine = "upsample." + number(6 * i + 3);
    x = at::conv_transpose2d(x, weight(up + ".weight"), weight(up + ".bias"), 2);
    x = at::gelu(layer_norm_2d("upsample." + number(6 * i + 1), x));
    x = at::gelu(layer_norm_2d("upsample." + number(6 * i + 4), conv(refine, x, 1, 1)));
  }
  return x;
}

SegRefiner::Masks SegRefiner::masks(const at::Tensor &final_features,
                                    const at::Tensor &early_features,
                                    const at::Tensor &mask) const {
  const auto as_tokens = [](const at::Tensor &picture) {
    return picture.flatten(2).squeeze(0).transpose(0, 1);
  };
  at::Tensor image = as_tokens(fuse(final_features, early_features) + encode_mask(mask));
  const at::Tensor image_pe = as_tokens(weight("image_pe"));
  const at::Tensor &output_pe = weight("output_pe");
  at::Tensor output = at::cat({weight("mask_tokens"), weight("iou_token")});
  for (std::int64_t i = 0; i < kBlocks; ++i) {
    const std::string block = "transformer_blocks." + number(i) + ".";
    const at::Tensor own = output + output_pe;
    output = layer_norm(block + "norm1",
                        output + attention(block + "output_self_attn", own, own, output, kHeads));
    output = layer_norm(block + "norm2",
                        output + attention(block + "cross_attn_token_to_image", output + output_pe,
                                           image + image_pe, image, kHeads));
    const at::Tensor inner = at::gelu(linear(block + "mlp.0", output));
    output = layer_norm(block + "norm3", output + linear(block + "mlp.2", inner));
    image = layer_norm(block + "norm4",
                       image + attention(block + "cross_attn_image_to_token", image + image_pe,
                                         output + output_pe, output, kHeads));
  }
  output = layer_norm("final_norm", output + attention("final_token_to_image", output + output_pe,
                                                       image + image_pe, image, kHeads));

  const at::Tensor picture = upsample(image.transpose(0, 1).reshape({1, dim_, grid_, grid_}));
  const at::Tensor fine = as_tokens(picture);  // [64 P, C / 8]
  const at::Tensor thin = linear("final_q_proj", output.narrow(0, 0, masks_));
  const at::Tensor refined = thin + attention("final_attn_up", layer_norm("final_norm_up", thin),
                                              fine, fine, kUpsampledHeads);
  std::vector<at::Tensor> weights;
  for (std::int64_t i = 0; i < masks_; ++i) {
    const std::string mlp = "mask_mlps." + number(i);
    const at::Tensor inner = at::gelu(linear(mlp + ".0", refined.narrow(0, i, 1)));
    weights.push_back(linear(mlp + ".4", at::gelu(linear(mlp + ".2", inner))));
  }
  const at::Tensor logits = at::matmul(at::cat(weights), fine.transpose(0, 1))
                                .view({1, masks_, picture.size(2), picture.size(3)});
  const at::Tensor best = at::gelu(linear("iou_head.0", output.narrow(0, masks_, 1)));
  return {at::upsample_bilinear2d(logits, mask.sizes(), false).squeeze(0),
          linear("iou_head.4", at::gelu(linear("iou_head.2", best))).squeeze(0)};
}

at::Tensor SegRefiner::refine(const at::Tensor &final_features, const at::Tensor &early_features,
                              const at::Tensor &mask) const {
  at::Tensor now = mask;
  for (int i = 0; i < kSteps; ++i) {
    const auto [logits, quality] = masks(final_features, early_features, now);
    now = at::sigmoid(logits[quality.argmax().item<std::int64_t>()]);
  }
  return now.to(at::kCPU, at::kFloat).contiguous();
}

}  // namespace moondream
