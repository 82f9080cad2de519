// The head that refines masks against the same one made of PyTorch's own modules, on small random
// weights; and what is refused.
#include "seg_refiner.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "checkpoint_support.h"
#include "model.h"
#include "outline_refinement.h"
#include "torch_support.h"
#include "vision.h"

namespace moondream {
namespace {

namespace nn = torch::nn;
using test::RawTensor;
using test::TempDir;

constexpr std::int64_t kDim = 32, kMasks = 4, kHeads = 8;
constexpr std::int64_t kSmallEnc = 12, kSmallGrid = 3;

// The published names and layers (_RefinementHead of kestrel/seg_refiner.py), a module for each.
struct ReferenceHead : nn::Module {
  ReferenceHead(std::int64_t enc_dim, std::int64_t grid_size) : enc(enc_dim), grid(grid_size) {
    const auto parameter = [&](const char *name, at::IntArrayRef shape) {
      return register_parameter(name, torch::randn(shape));
    };
    image_pe = parameter("image_pe", {1, kDim, grid, grid});
    mask_tokens = parameter("mask_tokens", {kMasks, kDim});
    iou_token = parameter("iou_token", {1, kDim});
    output_pe = parameter("output_pe", {kMasks + 1, kDim});
    image_proj = register_module("image_proj", nn::Conv2d(nn::Conv2dOptions(enc, kDim, 1)));
    const auto hq = register_module("hq_fusion", std::make_shared<nn::Module>());
    early_proj = hq->register_module(
        "early_proj", nn::Sequential(nn::Linear(enc, kDim),
                                     nn::LayerNorm(nn::LayerNormOptions({kDim})), nn::GELU()));
    fusion = hq->register_module(
        "fusion",
        nn::Sequential(nn::Conv2d(nn::Conv2dOptions(2 * kDim, kDim, 1)), nn::GroupNorm(32, kDim),
                       nn::GELU(), nn::Conv2d(nn::Conv2dOptions(kDim, kDim, 3).padding(1)),
                       nn::GroupNorm(32, kDim), nn::GELU()));
    const auto encoder = register_module("mask_encoder", std::make_shared<nn::Module>());
    const std::int64_t widths[] = {1, kDim / 16, kDim / 8, kDim / 4, kDim};
    const std::int64_t groups[] = {1, std::min<std::int64_t>(8, kDim / 8),
                                   std::min<std::int64_t>(16, kDim / 4),
                                   std::min<std::int64_t>(32, kDim)};
    for (int i = 0; i < 4; ++i) {
      mask_convs.push_back(encoder->register_module(
          "conv" + std::to_string(i + 1),
          nn::Sequential(
              nn::Conv2d(nn::Conv2dOptions(widths[i], widths[i + 1], 3).stride(2).padding(1)),
              nn::GroupNorm(groups[i], widths[i + 1]), nn::GELU())));
    }
    const auto list = register_module("transformer_blocks", std::make_shared<nn::Module>());
    for (int i = 0; i < 2; ++i) {
      const auto module = list->register_module(std::to_string(i), std::make_shared<nn::Module>());
      Block block;
      const auto attention = [&](const char *name) {
        return module->register_module(name, nn::MultiheadAttention(kDim, kHeads));
      };
      block.self = attention("output_self_attn");
      block.to_image = attention("cross_attn_token_to_image");
      block.to_token = attention("cross_attn_image_to_token");
      for (int n = 1; n <= 4; ++n) {
        block.norms.push_back(module->register_module("norm" + std::to_string(n),
                                                      nn::LayerNorm(nn::LayerNormOptions({kDim}))));
      }
      block.mlp = module->register_module(
          "mlp",
          nn::Sequential(nn::Linear(kDim, 8 * kDim), nn::GELU(), nn::Linear(8 * kDim, kDim)));
      blocks.push_back(block);
    }
    final_attention = register_module("final_token_to_image", nn::MultiheadAttention(kDim, kHeads));
    final_norm = register_module("final_norm", nn::LayerNorm(nn::LayerNormOptions({kDim})));
    const auto up = register_module("upsample", std::make_shared<nn::Module>());
    for (int i = 0; i < 3; ++i) {
      const std::int64_t wide = kDim >> i, thin = wide / 2;
      const auto norm = [&](int place) {
        return up->register_module(std::to_string(place), std::make_shared<nn::Module>())
            ->register_module("norm", nn::LayerNorm(nn::LayerNormOptions({thin})));
      };
      ups.push_back(up->register_module(
          std::to_string(6 * i),
          nn::ConvTranspose2d(nn::ConvTranspose2dOptions(wide, thin, 2).stride(2))));
      up_norms.push_back(norm(6 * i + 1));
      up_convs.push_back(up->register_module(
          std::to_string(6 * i + 3), nn::Conv2d(nn::Conv2dOptions(thin, thin, 3).padding(1))));
      up_norms.push_back(norm(6 * i + 4));
    }
    constexpr std::int64_t kLow = kDim / 8;
    final_q_proj = register_module("final_q_proj", nn::Linear(kDim, kLow));
    final_attn_up = register_module("final_attn_up", nn::MultiheadAttention(kLow, 4));
    final_norm_up = register_module("final_norm_up", nn::LayerNorm(nn::LayerNormOptions({kLow})));
    const auto mlps = register_module("mask_mlps", std::make_shared<nn::Module>());
    for (int i = 0; i < kMasks; ++i) {
      mask_mlps.push_back(mlps->register_module(
          std::to_string(i),
          nn::Sequential(nn::Linear(kLow, kLow), nn::GELU(), nn::Linear(kLow, kLow), nn::GELU(),
                         nn::Linear(kLow, kLow))));
    }
    iou_head = register_module(
        "iou_head", nn::Sequential(nn::Linear(kDim, kDim), nn::GELU(), nn::Linear(kDim, kDim),
                                   nn::GELU(), nn::Linear(kDim, kMasks)));
    // Norms begin as the identity, and biases at 0, which would hide a mix-up.
    const torch::NoGradGuard guard;
    for (auto &one : parameters()) one.add_(torch::randn_like(one) * 0.2);
  }

  // PyTorch's attention takes [tokens, batch, width].
  static at::Tensor attend(nn::MultiheadAttention &attention, const at::Tensor &q,
                           const at::Tensor &k, const at::Tensor &v) {
    return std::get<0>(attention->forward(q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1)))
        .squeeze(1);
  }
  static at::Tensor norm_2d(nn::LayerNorm &norm, const at::Tensor &x) {
    return norm->forward(x.permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
  }

  SegRefiner::Masks forward(const at::Tensor &final_features, const at::Tensor &early_features,
                            const at::Tensor &mask) {
    const auto sized = [](const at::Tensor &x, std::vector<std::int64_t> size) {
      return nn::functional::interpolate(x, nn::functional::InterpolateFuncOptions()
                                                .size(size)
                                                .mode(torch::kBilinear)
                                                .align_corners(false));
    };
    at::Tensor image =
        image_proj->forward(final_features.view({1, grid, grid, enc}).permute({0, 3, 1, 2}));
    const at::Tensor early = early_proj->forward(early_features.unsqueeze(0))
                                 .transpose(1, 2)
                                 .reshape({1, kDim, grid, grid});
    image = fusion->forward(torch::cat({early, image}, 1));
    at::Tensor encoded = mask.view({1, 1, mask.size(0), mask.size(1)});
    for (auto &layer : mask_convs) encoded = layer->forward(encoded);
    image = image + sized(encoded, {grid, grid});
    at::Tensor tokens = image.flatten(2)[0].t();
    const at::Tensor pe = image_pe.flatten(2)[0].t();
    at::Tensor output = torch::cat({mask_tokens, iou_token});
    for (Block &block : blocks) {
      const at::Tensor own = output + output_pe;
      output = block.norms[0]->forward(output + attend(block.self, own, own, output));
      output = block.norms[1]->forward(
          output + attend(block.to_image, output + output_pe, tokens + pe, tokens));
      output = block.norms[2]->forward(output + block.mlp->forward(output));
      tokens = block.norms[3]->forward(
          tokens + attend(block.to_token, tokens + pe, output + output_pe, output));
    }
    output = final_norm->forward(output +
                                 attend(final_attention, output + output_pe, tokens + pe, tokens));
    at::Tensor up = tokens.t().reshape({1, kDim, grid, grid});
    for (std::size_t i = 0; i < 3; ++i) {
      up = torch::gelu(norm_2d(up_norms[2 * i], ups[i]->forward(up)));
      up = torch::gelu(norm_2d(up_norms[2 * i + 1], up_convs[i]->forward(up)));
    }
    const at::Tensor fine = up.flatten(2)[0].t();
    const at::Tensor thin = final_q_proj->forward(output.narrow(0, 0, kMasks));
    const at::Tensor refined =
        thin + attend(final_attn_up, final_norm_up->forward(thin), fine, fine);
    std::vector<at::Tensor> masks;
    for (std::int64_t i = 0; i < kMasks; ++i) {
      const at::Tensor weights = mask_mlps[static_cast<std::size_t>(i)]->forward(refined[i]);
      masks.push_back(torch::einsum("c,bchw->bhw", {weights, up}));
    }
    return {sized(torch::stack(masks, 1), mask.sizes().vec())[0],
            iou_head->forward(output[kMasks])};
  }

  struct Block {
    nn::MultiheadAttention self{nullptr}, to_image{nullptr}, to_token{nullptr};
    std::vector<nn::LayerNorm> norms;
    nn::Sequential mlp{nullptr};
  };
  const std::int64_t enc, grid;
  at::Tensor image_pe, mask_tokens, iou_token, output_pe;
  nn::Conv2d image_proj{nullptr};
  nn::Sequential early_proj{nullptr}, fusion{nullptr}, iou_head{nullptr};
  std::vector<nn::Sequential> mask_convs, mask_mlps;
  std::vector<Block> blocks;
  nn::MultiheadAttention final_attention{nullptr}, final_attn_up{nullptr};
  nn::LayerNorm final_norm{nullptr}, final_norm_up{nullptr};
  std::vector<nn::ConvTranspose2d> ups;
  std::vector<nn::Conv2d> up_convs;
  std::vector<nn::LayerNorm> up_norms;
  nn::Linear final_q_proj{nullptr};
};

VisionConfig vision() {
  VisionConfig config;
  config.enc_dim = kSmallEnc;
  config.enc_patch_size = 4;
  config.crop_size = 4 * kSmallGrid;
  return config;
}

std::vector<RawTensor> tensors_of(const ReferenceHead &head) {
  std::vector<RawTensor> tensors;
  for (const auto &item : head.named_parameters()) {
    tensors.push_back(test::raw(item.key(), item.value().detach()));
  }
  return tensors;
}

// As it is published: {"head": {...}} in a file of torch.save.
std::string published(const std::vector<RawTensor> &tensors) {
  test::Records records = {{"model/data.pkl", ""}};
  std::vector<std::pair<std::string, std::string>> items;
  for (const RawTensor &tensor : tensors) {
    const std::string record = std::to_string(items.size());
    const auto storage = test::pickled_storage("FloatStorage", record,
                                               static_cast<std::int64_t>(tensor.bytes.size() / 4));
    items.emplace_back(
        tensor.name, test::pickled_tensor(storage, 0, tensor.shape, test::row_major(tensor.shape)));
    records.emplace_back("model/data/" + record, tensor.bytes);
  }
  records[0].second = test::pickle_of(
      test::pickled_dict({{"head", test::pickled_dict(items)}, {"step", test::pickled(1000)}}));
  return test::zip_of(records);
}

SegRefiner load(const std::vector<RawTensor> &tensors) {
  const TempDir dir;
  return {test::write_file(dir / "model.pt", published(tensors)), vision(), c10::Device(c10::kCPU),
          c10::kFloat};
}

TEST(SegRefiner, ComputesWhatTheModulesCompute) {
  torch::manual_seed(1);
  const torch::NoGradGuard guard;
  ReferenceHead head(kSmallEnc, kSmallGrid);
  const SegRefiner refiner = load(tensors_of(head));
  for (int run = 0; run < 3; ++run) {
    const at::Tensor final_features = torch::randn({kSmallGrid * kSmallGrid, kSmallEnc});
    const at::Tensor early_features = torch::randn({kSmallGrid * kSmallGrid, kSmallEnc});
    const at::Tensor mask = (torch::rand({37, 37}) > 0.5).to(at::kFloat);
    const auto expected = head.forward(final_features, early_features, mask);
    const auto found = refiner.masks(final_features, early_features, mask);
    ASSERT_EQ(found.logits.sizes(), (at::IntArrayRef{kMasks, 37, 37}));
    // Two dozen layers of float32 sums in another order.
    const double scale = expected.logits.abs().max().item<double>();
    EXPECT_LT((found.logits - expected.logits).abs().max().item<double>(), 1e-4 * scale);
    EXPECT_TRUE(at::allclose(found.quality, expected.quality, 1e-4, 1e-4));

    at::Tensor now = mask;
    for (int step = 0; step < 5; ++step) {
      const auto masks = head.forward(final_features, early_features, now);
      now = torch::sigmoid(masks.logits[masks.quality.argmax().item<std::int64_t>()]);
    }
    EXPECT_TRUE(
        at::allclose(refiner.refine(final_features, early_features, mask), now, 1e-3, 1e-3));
  }
}

TEST(SegRefiner, WhatIsMissingOrDoesNotFitIsNamed) {
  const torch::NoGradGuard guard;
  const std::vector<RawTensor> whole = tensors_of(ReferenceHead(kSmallEnc, kSmallGrid));
  for (std::size_t i = 0; i < whole.size(); i += 7) {
    std::vector<RawTensor> tensors = whole;
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(i));
    const Error error = test::error_of([&] { load(tensors); });
    EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
    EXPECT_TRUE(test::says(error, whole[i].name)) << error.what();
    tensors = whole;
    tensors[i].shape.push_back(1);
    const Error shape = test::error_of([&] { load(tensors); });
    EXPECT_EQ(shape.kind(), ErrorKind::kMismatch) << whole[i].name;
  }
  EXPECT_EQ(test::error_of([] { load({}); }).kind(), ErrorKind::kMismatch);
}

// From a specification to an outline: what the head says of the vision encoder's features.
TEST(SegRefiner, AModelRefinesItsOutlinesWithIt) {
  torch::manual_seed(2);
  const torch::NoGradGuard guard;
  const std::filesystem::path golden =
      std::filesystem::path(MOONDREAM_TEST_DATA) / "golden" / "moondream3-tiny";
  const Checkpoint checkpoint = load_checkpoint(golden);
  const VisionConfig &vision = checkpoint.config().vision;
  const TempDir dir;
  const auto file = test::write_file(
      dir / "model.pt", published(tensors_of(ReferenceHead(vision.enc_dim, vision.grid()))));
  ModelSpec spec{.model = golden.string(), .device = "cpu", .precision = Precision::kFloat32};
  const auto plain = Model::load(spec);
  spec.refiner = dir.path().string();
  const auto model = Model::load(spec);
  EXPECT_GT(model->info().weight_bytes, plain->info().weight_bytes);

  Image image{300, 200, std::vector<std::uint8_t>(std::size_t{3} * 300 * 200)};
  unsigned value = 1;
  for (std::uint8_t &byte : image.pixels) byte = (value = value * 1664525u + 1013904223u) >> 24;
  const SegmentResult coarse{Box{0.3, 0.2, 0.8, 0.7}, "M 0 0 H 1 V 1 H 0 Z"};
  EXPECT_EQ(plain->refine(image.view(), coarse).path, coarse.path);

  const WeightSource weights(checkpoint, c10::Device(c10::kCPU), c10::kFloat);
  const VisionEncoder encoder(weights);
  const SegRefiner head(file, vision, c10::Device(c10::kCPU), c10::kFloat);
  const auto expected = refine_outline(image.view(), coarse, 378, [&](auto pixels, auto mask) {
    const at::Tensor crop = at::from_blob(pixels.data(), {1, 378, 378, 3}, at::kByte);
    const auto [final, early] = encoder.encode(crop, 8);
    // The early features are not the last block's, and the final ones are those of any crop.
    EXPECT_FALSE(at::allclose(final, early));
    EXPECT_TRUE(at::allclose(final, encoder.encode(crop)[0], 1e-4, 1e-4));
    const at::Tensor known = at::from_blob(mask.data(), {378, 378}, at::kByte).to(at::kFloat);
    const at::Tensor likely = head.refine(final, early, known);
    return std::vector<float>(likely.data_ptr<float>(), likely.data_ptr<float>() + likely.numel());
  });
  ASSERT_TRUE(expected) << "the random head finds nothing: take another seed";
  const SegmentResult found = model->refine(image.view(), coarse);
  EXPECT_TRUE(found.refined);
  EXPECT_EQ(found.box, expected->box);
  EXPECT_EQ(found.path, expected->path);

  // In bfloat16 the features are rounded; how far that moves a random head tells nothing.
  ModelSpec half = spec;
  half.precision = Precision::kBFloat16;
  EXPECT_NO_THROW(Model::load(half)->refine(image.view(), coarse));

  spec.refiner = golden.string();
  EXPECT_EQ(test::error_of([&] { Model::load(spec); }).kind(), ErrorKind::kMismatch);
  spec.refiner = "/nowhere";
  EXPECT_EQ(test::error_of([&] { Model::load(spec); }).kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace moondream
