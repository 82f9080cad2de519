#include "tensor_names.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "config_from_shapes.h"
#include "tensor_sources.h"
#include "weights_support.h"

namespace moondream {
namespace {

using test::error_of;
using test::says;

std::int64_t elements(const std::vector<ExpectedTensor> &tensors) {
  return std::accumulate(tensors.begin(), tensors.end(), std::int64_t{0},
                         [](std::int64_t sum, const ExpectedTensor &tensor) {
                           return sum + std::accumulate(tensor.shape.begin(), tensor.shape.end(),
                                                        std::int64_t{1}, std::multiplies<>());
                         });
}

TEST(TensorNames, Moondream2HasItsPublishedSize) {
  const auto tensors = expected_tensors(Config{});
  // Vision: 27 blocks of 12, patch_emb 2, pos_emb 1, post_ln 2, proj_mlp 4. Text: 24 blocks of 10,
  // wte 1, post_ln 2, lm_head 2. Region: two tables,
  // two linears and two decoders of two layers.
  EXPECT_EQ(tensors.size(), 27u * 12 + 9 + 24 * 10 + 5 + 14);
  // The published checkpoint is said to have 1.93 billion parameters.
  EXPECT_EQ((elements(tensors) + 5'000'000) / 10'000'000, 193);
  std::set<std::string> names;
  for (const ExpectedTensor &tensor : tensors) EXPECT_TRUE(names.insert(tensor.name).second);
}

TEST(TensorNames, ShapesFollowTheConfiguration) {
  Config config;
  config.text = {
      .dim = 256, .ff_dim = 320, .n_layers = 2, .vocab_size = 1024, .n_heads = 4, .n_kv_heads = 2};
  config.vision = {.enc_dim = 32,
                   .enc_patch_size = 7,
                   .enc_n_layers = 1,
                   .enc_ff_dim = 80,
                   .enc_n_heads = 2,
                   .proj_out_dim = 256,
                   .crop_size = 21,
                   .proj_inner_dim = 96};
  config.region = {.dim = 256,
                   .coord_feat_dim = 32,
                   .coord_out_dim = 512,
                   .size_feat_dim = 64,
                   .size_out_dim = 1024,
                   .inner_dim = 48};
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const ExpectedTensor &tensor : expected_tensors(config)) shapes[tensor.name] = tensor.shape;
  const std::map<std::string, std::vector<std::int64_t>> expected = {
      {"text.wte", {1024, 256}},
      {"text.blocks.1.ln.weight", {256}},
      {"text.blocks.1.attn.qkv.weight", {512, 256}},  // (4 + 2 * 2) heads of 64
      {"text.blocks.1.attn.qkv.bias", {512}},
      {"text.blocks.1.attn.proj.weight", {256, 256}},
      {"text.blocks.1.mlp.fc1.weight", {320, 256}},
      {"text.blocks.1.mlp.fc2.weight", {256, 320}},
      {"text.post_ln.bias", {256}},
      {"text.lm_head.weight", {1024, 256}},
      {"vision.patch_emb.weight", {32, 147}},  // 7 * 7 * 3
      {"vision.pos_emb", {1, 9, 32}},
      {"vision.blocks.0.ln1.weight", {32}},
      {"vision.blocks.0.attn.qkv.weight", {96, 32}},
      {"vision.blocks.0.mlp.fc1.weight", {80, 32}},
      {"vision.proj_mlp.fc1.weight", {96, 64}},
      {"vision.proj_mlp.fc2.weight", {256, 96}},
      {"region.coord_features", {1, 16}},
      {"region.coord_encoder.weight", {256, 32}},
      {"region.coord_decoder.fc1.weight", {48, 256}},
      {"region.coord_decoder.fc2.weight", {512, 48}},
      {"region.size_features", {2, 32}},
      {"region.size_encoder.weight", {256, 64}},
      {"region.size_decoder.fc2.weight", {1024, 48}},
  };
  for (const auto &[name, shape] : expected) EXPECT_EQ(shapes[name], shape) << name;
  EXPECT_FALSE(shapes.contains("text.blocks.2.ln.weight"));
}

TEST(TensorNames, BothLayoutsHaveOneSetOfNames) {
  const std::pair<const char *, const char *> names[] = {
      {"text.wte", "text.wte"},
      {"model.text.blocks.12.attn.qkv.weight", "text.blocks.12.attn.qkv.weight"},
      {"model._orig_mod.vision.pos_emb", "vision.pos_emb"},
      {"_orig_mod.model.vision.pos_emb", "vision.pos_emb"},
      {"text_model.transformer.embd.wte.weight", "text.wte"},
      {"text_model.transformer.h.0.ln.weight", "text.blocks.0.ln.weight"},
      {"text_model.transformer.h.23.mixer.Wqkv.bias", "text.blocks.23.attn.qkv.bias"},
      {"text_model._orig_mod.transformer.h.7.mixer.out_proj.weight",
       "text.blocks.7.attn.proj.weight"},
      {"text_model.transformer.h.7.mlp.fc1.weight", "text.blocks.7.mlp.fc1.weight"},
      {"text_model.lm_head.ln.bias", "text.post_ln.bias"},
      {"text_model.lm_head.linear.weight", "text.lm_head.weight"},
      {"vision_encoder.encoder.model.visual.patch_embed.linear.weight", "vision.patch_emb.weight"},
      {"vision_encoder.encoder.model.visual.pos_embed", "vision.pos_emb"},
      {"vision_encoder.encoder.model.visual.blocks.26.norm1.bias", "vision.blocks.26.ln1.bias"},
      {"vision_encoder.encoder.model.visual._orig_mod.blocks.0.norm2.bias",
       "vision.blocks.0.ln2.bias"},
      {"vision_encoder.encoder.model.visual.blocks.1.attn.qkv.weight",
       "vision.blocks.1.attn.qkv.weight"},
      {"vision_encoder.encoder.model.visual.blocks.1.mlp.fc2.weight",
       "vision.blocks.1.mlp.fc2.weight"},
      {"vision_encoder.encoder.model.visual.norm.weight", "vision.post_ln.weight"},
      {"vision_encoder.projection.mlp.fc1.weight", "vision.proj_mlp.fc1.weight"},
      {"text_model.transformer.h.4.gate.bias", "text.blocks.4.mlp.router.bias"},
      {"text_model.transformer.h.4.mlp.experts.weight", "text.blocks.4.mlp.fc1.weight"},
      {"text_model.transformer.h.4.mlp.output_experts.weight", "text.blocks.4.mlp.fc2.weight"},
      {"text_model.transformer.h.4.moe_quant.down_scale", "text.blocks.4.mlp.fc2.scale"},
      {"text_model.transformer.h.4.tau_wqwv", "text.blocks.4.attn.tau.wqwv"},
      {"region_model.coordinate_head.bias", "region.coord_decoder.bias"},
      {"text.wte.weight", "text.wte"},
      {"text.blocks.5.attn.tau_alpha", "text.blocks.5.attn.tau.alpha"},
      {"text.blocks.5.mlp.fc1_q", "text.blocks.5.mlp.fc1.weight.affine"},
      {"text.blocks.5.mlp.fc2_biases", "text.blocks.5.mlp.fc2.weight.biases"},
      {"vision.proj_fc2.weight", "vision.proj_mlp.fc2.weight"},
      {"region_model.coordinate_encoder.weight", "region.coord_encoder.weight"},
      {"region_model.coordinate_decoder.fc2.bias", "region.coord_decoder.fc2.bias"},
      {"region_model.size_encoder.bias", "region.size_encoder.bias"},
      {"region_model.size_decoder.fc1.weight", "region.size_decoder.fc1.weight"},
  };
  for (const auto &[key, name] : names) {
    EXPECT_EQ(canonical_name(key).name, name) << key;
    EXPECT_FALSE(canonical_name(key).transposed) << key;
  }
}

TEST(TensorNames, TrainingLayoutHasTransposedFeatures) {
  EXPECT_EQ(canonical_name("region_model.coordinate_features.weight").name,
            "region.coord_features");
  EXPECT_TRUE(canonical_name("region_model.coordinate_features.weight").transposed);
  EXPECT_EQ(canonical_name("region_model.size_features.weight").name, "region.size_features");
  EXPECT_TRUE(canonical_name("region_model.size_features.weight").transposed);
  EXPECT_FALSE(canonical_name("model.region.size_features").transposed);
}

// A pattern must not match in part: "h.x" is no block, "my_orig_mod" is no wrapper.
TEST(TensorNames, OtherKeysKeepTheirNames) {
  for (const char *key :
       {"text_model.transformer.h.x.ln.weight", "text_model.transformer.h..ln.weight",
        "text_model.transformer.h.1", "text.my_orig_mod.w", "", ".", "remodel.text.wte"}) {
    EXPECT_EQ(canonical_name(key).name, key);
  }
}

// ---- Dimensions from shapes ------------------------------------------------------------------

// The expected tensors of a configuration as if they lay in a file.
class FakeSources {
 public:
  explicit FakeSources(const Config &config) {
    for (const ExpectedTensor &tensor : expected_tensors(config)) {
      entries_[tensor.name] = {.dtype = DType::kBF16, .shape = tensor.shape};
    }
  }

  TensorEntry &entry(const std::string &name) { return entries_.at(name); }

  TensorSources sources() const {
    TensorSources sources;
    for (const auto &[name, entry] : entries_) sources[name] = {nullptr, &name, &entry, false};
    return sources;
  }

 private:
  std::map<std::string, TensorEntry> entries_;
};

// Equal shapes are all that the dimensions decide, apart from the heads.
void expect_equal_dimensions(const Config &actual, const Config &expected) {
  const auto actual_tensors = expected_tensors(actual), expected_ones = expected_tensors(expected);
  ASSERT_EQ(actual_tensors.size(), expected_ones.size());
  for (std::size_t i = 0; i < expected_ones.size(); ++i) {
    EXPECT_EQ(actual_tensors[i].name, expected_ones[i].name);
    EXPECT_EQ(actual_tensors[i].shape, expected_ones[i].shape) << expected_ones[i].name;
  }
  EXPECT_EQ(actual.text.n_heads, expected.text.n_heads);
  EXPECT_EQ(actual.text.n_kv_heads, expected.text.n_kv_heads);
  EXPECT_EQ(actual.text.prefix_attn, expected.text.prefix_attn);
  EXPECT_EQ(actual.vision.enc_n_heads, expected.vision.enc_n_heads);
  EXPECT_EQ(actual.vision.crop_size, expected.vision.crop_size);
  EXPECT_EQ(actual.vision.enc_patch_size, expected.vision.enc_patch_size);
}

TEST(ConfigFromShapes, FindsMoondream2) {
  const Config config = config_from_shapes(FakeSources(Config{}).sources());
  expect_equal_dimensions(config, Config{});
  config.validate("shapes");
}

TEST(ConfigFromShapes, FindsTheHalfBillionModel) {
  Config small;
  small.text = {.dim = 1024, .ff_dim = 4096, .n_heads = 16, .n_kv_heads = 16};
  small.vision = {.enc_dim = 720, .enc_ff_dim = 2690, .enc_n_heads = 10, .proj_out_dim = 1024};
  small.region.dim = 1024;
  expect_equal_dimensions(config_from_shapes(FakeSources(small).sources()), small);
}

TEST(ConfigFromShapes, FindsGroupedQueriesAndOtherPictures) {
  Config other;
  other.text = {
      .dim = 256, .ff_dim = 320, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .prefix_attn = 26};
  other.vision = {.enc_dim = 144,
                  .enc_patch_size = 16,
                  .enc_n_layers = 1,
                  .enc_ff_dim = 80,
                  .enc_n_heads = 2,
                  .proj_out_dim = 256,
                  .crop_size = 80,
                  .overlap_margin = 1,
                  .proj_inner_dim = 96};
  other.region = {.dim = 256,
                  .coord_feat_dim = 32,
                  .coord_out_dim = 512,
                  .size_feat_dim = 64,
                  .size_out_dim = 1024,
                  .inner_dim = 48};
  expect_equal_dimensions(config_from_shapes(FakeSources(other).sources()), other);
}

// An empty tensor may have any size in its other dimensions.
TEST(ConfigFromShapes, AbsurdShapesGiveAnInvalidConfiguration) {
  FakeSources fake{Config{}};
  fake.entry("text.wte").shape = {0, INT64_MAX / 2};
  fake.entry("vision.patch_emb.weight").shape = {0, INT64_MAX / 2};
  fake.entry("vision.pos_emb").shape = {1, 0, INT64_MAX / 2};
  fake.entry("text.blocks.0.attn.qkv.weight").shape = {0, 0};
  const Config config = config_from_shapes(fake.sources());
  EXPECT_EQ(error_of([&] { config.validate("shapes"); }).kind(), ErrorKind::kMismatch);
}

TEST(ConfigFromShapes, NothingToSeeMeansMoondream2) {
  expect_equal_dimensions(config_from_shapes({}), Config{});
}

}  // namespace
}  // namespace moondream
