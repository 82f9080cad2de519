// Every published layout at its full size: files as long as the published ones that hold nothing
// but their header, which file systems keep as holes. Names, shapes and types are written out from
// what was published, and so are the dimensions that must be read off them.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <utility>

#include "checkpoint.h"
#include "weights_support.h"

namespace moondream {
namespace {

using test::TempDir;
using test::write_file;

using Shape = std::vector<std::int64_t>;
struct Item {
  std::string name;
  Shape shape;
  std::string dtype;
};
using Items = std::vector<Item>;

// ---- The files -------------------------------------------------------------------------------

std::int64_t bytes_of(const Item &item) {
  static const std::map<std::string, std::int64_t> kSizes = {
      {"F32", 4}, {"U32", 4}, {"BF16", 2}, {"F16", 2}, {"U8", 1}, {"F8_E4M3", 1}};
  std::int64_t bytes = kSizes.at(item.dtype);
  for (const std::int64_t size : item.shape) bytes *= size;
  return bytes;
}

// Throws std::filesystem::filesystem_error where files cannot be so long.
void write_holes(const std::filesystem::path &path, const Items &items) {
  std::string header;
  std::int64_t end = 0;
  for (const Item &item : items) {
    header += header.empty() ? '{' : ',';
    header += '"' + item.name + "\":{\"dtype\":\"" + item.dtype + "\",\"shape\":[";
    for (std::size_t i = 0; i < item.shape.size(); ++i) {
      if (i > 0) header += ',';
      header += std::to_string(item.shape[i]);
    }
    header += "],\"data_offsets\":[" + std::to_string(end) + ",";
    end += bytes_of(item);
    header += std::to_string(end) + "]}";
  }
  header += '}';
  // As those who write such files do, so that tensors are where memory can be looked at in place.
  header.append((8 - header.size() % 8) % 8, ' ');
  const std::string begin = test::raw_safetensors(header);
  write_file(path, begin);
  std::filesystem::resize_file(path, begin.size() + static_cast<std::size_t>(end));
}

// ---- The tensors -----------------------------------------------------------------------------

class Layout {
 public:
  explicit Layout(std::string dtype) : dtype_(std::move(dtype)) {}

  void tensor(const std::string &name, Shape shape) { tensor(name, std::move(shape), dtype_); }
  void tensor(const std::string &name, Shape shape, const std::string &dtype) {
    items_.push_back({name, std::move(shape), dtype});
  }
  void linear(const std::string &name, std::int64_t out, std::int64_t in) {
    tensor(name + ".weight", {out, in});
    tensor(name + ".bias", {out});
  }
  void packed(const std::string &name, std::int64_t out, std::int64_t in, const char *scales) {
    tensor(name + ".weight.packed", {out * in / 256, 128}, "U8");
    tensor(name + ".weight.scale", {out * in / 128, 1}, scales);
    tensor(name + ".weight.zero_point", {out * in / 128, 1}, scales);
    tensor(name + ".bias", {out});
  }
  void norm(const std::string &name, std::int64_t dim) {
    tensor(name + ".weight", {dim});
    tensor(name + ".bias", {dim});
  }
  const Items &items() const { return items_; }
  Items &items() { return items_; }

 private:
  const std::string dtype_;
  Items items_;
};

std::string number(const std::string &before, int i, const std::string &after) {
  return before + std::to_string(i) + after;
}

// Of Moondream 2 and 3; the smaller model's are given.
struct Dims {
  std::int64_t text = 2048, ff = 8192, vision = 1152, vision_ff = 4304;
};

void native_vision(Layout &layout, const Dims &dims, const std::string &model,
                   const std::string &projection = "proj_mlp.") {
  const std::string vision = model + "vision.";
  layout.linear(vision + "patch_emb", dims.vision, 588);
  layout.tensor(vision + "pos_emb", {1, 729, dims.vision});
  for (int i = 0; i < 27; ++i) {
    const std::string block = number(vision + "blocks.", i, ".");
    layout.norm(block + "ln1", dims.vision);
    layout.linear(block + "attn.qkv", 3 * dims.vision, dims.vision);
    layout.linear(block + "attn.proj", dims.vision, dims.vision);
    layout.norm(block + "ln2", dims.vision);
    layout.linear(block + "mlp.fc1", dims.vision_ff, dims.vision);
    layout.linear(block + "mlp.fc2", dims.vision, dims.vision_ff);
  }
  layout.norm(vision + "post_ln", dims.vision);
  layout.linear(vision + projection + "fc1", 8192, 2 * dims.vision);
  layout.linear(vision + projection + "fc2", dims.text, 8192);
}

// linear: of the name, height and width of a layer.
template <typename AddLinear>
void native_text_and_regions(Layout &layout, const Dims &dims, const std::string &model,
                             AddLinear linear) {
  layout.tensor(model + "text.wte", {51200, dims.text});
  for (int i = 0; i < 24; ++i) {
    const std::string block = number(model + "text.blocks.", i, ".");
    layout.norm(block + "ln", dims.text);
    linear(block + "attn.qkv", 3 * dims.text, dims.text);
    linear(block + "attn.proj", dims.text, dims.text);
    linear(block + "mlp.fc1", dims.ff, dims.text);
    linear(block + "mlp.fc2", dims.text, dims.ff);
  }
  layout.norm(model + "text.post_ln", dims.text);
  layout.linear(model + "text.lm_head", 51200, dims.text);
  const std::string region = model + "region.";
  layout.tensor(region + "coord_features", {1, 128});
  linear(region + "coord_encoder", dims.text, 256);
  linear(region + "coord_decoder.fc1", 8192, dims.text);
  linear(region + "coord_decoder.fc2", 1024, 8192);
  layout.tensor(region + "size_features", {2, 256});
  linear(region + "size_encoder", dims.text, 512);
  linear(region + "size_decoder.fc1", 8192, dims.text);
  linear(region + "size_decoder.fc2", 2048, 8192);
}

// The releases of 2025.
Layout native(const std::string &dtype, const std::string &model, const Dims &dims = {}) {
  Layout layout(dtype);
  native_vision(layout, dims, model);
  native_text_and_regions(layout, dims, model,
                          [&](const std::string &name, std::int64_t out, std::int64_t in) {
                            layout.linear(name, out, in);
                          });
  return layout;
}

Layout packed(const char *scales) {
  const Dims dims;
  Layout layout("BF16");
  native_vision(layout, dims, "model.");
  native_text_and_regions(layout, dims, "model.",
                          [&](const std::string &name, std::int64_t out, std::int64_t in) {
                            layout.packed(name, out, in, scales);
                          });
  return layout;
}

// What Moondream 3's blocks have in all of its layouts.
void attention_of_three(Layout &layout, const std::string &block) {
  layout.norm(block + "ln", 2048);
  layout.linear(block + "attn.qkv", 6144, 2048);
  layout.linear(block + "attn.proj", 2048, 2048);
}

void rest_of_three(Layout &layout, const std::string &model) {
  layout.norm(model + "text.post_ln", 2048);
  layout.linear(model + "text.lm_head", 51200, 2048);
  layout.tensor(model + "region.coord_features", {1, 128});
  layout.linear(model + "region.coord_encoder", 2048, 256);
  layout.linear(model + "region.coord_decoder", 1024, 2048);
  layout.tensor(model + "region.size_features", {2, 256});
  layout.linear(model + "region.size_encoder", 2048, 512);
  layout.linear(model + "region.size_decoder", 2048, 2048);
}

Layout preview() {
  Layout layout("BF16");
  native_vision(layout, {}, "model.");
  layout.tensor("model.text.wte", {51200, 2048});
  for (int i = 0; i < 24; ++i) {
    const std::string block = number("model.text.blocks.", i, ".");
    attention_of_three(layout, block);
    layout.tensor(block + "attn.tau.wq", {32, 6144});
    layout.tensor(block + "attn.tau.wv", {32, 6144});
    layout.tensor(block + "attn.tau.alpha", {32});
    if (i < 4) {
      layout.linear(block + "mlp.fc1", 8192, 2048);
      layout.linear(block + "mlp.fc2", 2048, 8192);
    } else {
      layout.linear(block + "mlp.router", 64, 2048);
      layout.tensor(block + "mlp.fc1.weight", {64, 2048, 2048});
      layout.tensor(block + "mlp.fc2.weight", {64, 2048, 1024});
    }
  }
  rest_of_three(layout, "model.");
  return layout;
}

// md3p-int4
Layout preview_for_mlx() {
  Layout layout("BF16");
  native_vision(layout, {}, "", "proj_");
  layout.tensor("text.wte.weight", {51200, 2048});
  for (int i = 0; i < 24; ++i) {
    const std::string block = number("text.blocks.", i, ".");
    attention_of_three(layout, block);
    layout.tensor(block + "attn.tau_wq", {32, 6144});
    layout.tensor(block + "attn.tau_wv", {32, 6144});
    layout.tensor(block + "attn.tau_alpha", {32});
    if (i < 4) {
      layout.linear(block + "mlp.fc1", 8192, 2048);
      layout.linear(block + "mlp.fc2", 2048, 8192);
      continue;
    }
    layout.linear(block + "mlp.router", 64, 2048);
    for (const auto &[name, in] : {std::pair("fc1", 2048), std::pair("fc2", 1024)}) {
      layout.tensor(block + "mlp." + name + "_q", {64, 2048, in / 8}, "U32");
      layout.tensor(block + "mlp." + name + "_scales", {64, 2048, in / 64});
      layout.tensor(block + "mlp." + name + "_biases", {64, 2048, in / 64});
    }
  }
  rest_of_three(layout, "");
  return layout;
}

// The training code's names of the vision encoder. crops: 1 or, beside parts of the picture, 2.
void training_vision(Layout &layout, int crops, const std::string &compiled = "") {
  const std::string visual = "vision_encoder.encoder.model.visual.";
  layout.linear(visual + "patch_embed.linear", 1152, 588);
  layout.tensor(visual + "pos_embed", {1, 729, 1152});
  for (int i = 0; i < 27; ++i) {
    const std::string block = number(visual + compiled + "blocks.", i, ".");
    layout.norm(block + "norm1", 1152);
    layout.linear(block + "attn.qkv", 3456, 1152);
    layout.linear(block + "attn.proj", 1152, 1152);
    layout.norm(block + "norm2", 1152);
    layout.linear(block + "mlp.fc1", 4304, 1152);
    layout.linear(block + "mlp.fc2", 1152, 4304);
  }
  layout.norm(visual + "norm", 1152);
  layout.linear("vision_encoder.projection.mlp.fc1", 8192, crops * 1152);
  layout.linear("vision_encoder.projection.mlp.fc2", 2048, 8192);
}

void training_ends_of_text(Layout &layout) {
  layout.tensor("text_model.transformer.embd.wte.weight", {51200, 2048});
  layout.norm("text_model.lm_head.ln", 2048);
  layout.linear("text_model.lm_head.linear", 51200, 2048);
}

void training_attention(Layout &layout, const std::string &block) {
  layout.norm(block + "ln", 2048);
  layout.linear(block + "mixer.Wqkv", 6144, 2048);
  layout.linear(block + "mixer.out_proj", 2048, 2048);
}

void training_features(Layout &layout) {
  layout.tensor("region_model.coordinate_features.weight", {128, 1});
  layout.linear("region_model.coordinate_encoder", 2048, 256);
  layout.tensor("region_model.size_features.weight", {256, 2});
  layout.linear("region_model.size_encoder", 2048, 512);
}

// Moondream 2 of 2024, and of 2025 as it was trained.
Layout training(const std::string &dtype, int crops, bool regions,
                const std::string &compiled = "") {
  Layout layout(dtype);
  training_vision(layout, crops, compiled);
  training_ends_of_text(layout);
  for (int i = 0; i < 24; ++i) {
    const std::string block = number("text_model." + compiled + "transformer.h.", i, ".");
    training_attention(layout, block);
    layout.linear(block + "mlp.fc1", 8192, 2048);
    layout.linear(block + "mlp.fc2", 2048, 8192);
  }
  if (!regions) return layout;
  training_features(layout);
  layout.linear("region_model.coordinate_decoder.fc1", 8192, 2048);
  layout.linear("region_model.coordinate_decoder.fc2", 1024, 8192);
  layout.linear("region_model.size_decoder.fc1", 8192, 2048);
  layout.linear("region_model.size_decoder.fc2", 2048, 8192);
  return layout;
}

// Moondream 3 in production. experts: the type of their weights.
struct Production {
  std::string experts = "F8_E4M3";
  bool scales = true, fused_tau = true, norm = true;
};

Layout production(const Production &what) {
  Layout layout("BF16");
  training_vision(layout, 2);
  training_ends_of_text(layout);
  for (int i = 0; i < 24; ++i) {
    const std::string block = number("text_model.transformer.h.", i, ".");
    training_attention(layout, block);
    if (what.fused_tau) {
      layout.tensor(block + "tau_wqwv", {64, 6144});
    } else {
      layout.tensor(block + "tau_wq", {32, 6144});
      layout.tensor(block + "tau_wv", {32, 6144});
    }
    layout.tensor(block + "tau_alpha", {32});
    layout.tensor(block + "kv_quantizer.k_scale", {}, "F32");
    layout.tensor(block + "kv_quantizer.v_scale", {}, "F32");
    if (i < 4) {
      layout.linear(block + "mlp.fc1", 8192, 2048);
      layout.linear(block + "mlp.fc2", 2048, 8192);
      continue;
    }
    layout.linear(block + "gate", 64, 2048);
    layout.tensor(block + "mlp.experts.weight", {64, 2048, 2048}, what.experts);
    layout.tensor(block + "mlp.output_experts.weight", {64, 2048, 1024}, what.experts);
    if (!what.scales) continue;
    layout.tensor(block + "moe_quant.up_scale", {64, 2048}, "F32");
    layout.tensor(block + "moe_quant.down_scale", {64, 2048}, "F32");
  }
  training_features(layout);
  layout.linear("region_model.coordinate_head", 1024, 2048);
  layout.linear("region_model.size_head", 2048, 2048);
  if (what.norm) layout.norm("region_model.ln", 2048);
  return layout;
}

// ---- What they are read as -------------------------------------------------------------------

// As it lies beside the weights on Hugging Face, since 2025.
constexpr const char *kPublishedConfig =
    R"({"architectures": ["HfMoondream"], "auto_map": {"AutoConfig": "hf_moondream.HfConfig"},
        "config": {}, "model_type": "moondream1", "torch_dtype": "bfloat16"})";

class PublishedLayouts : public testing::Test {
 protected:
  // The configuration of these tensors beside these files.
  Config load(const Layout &layout, const std::map<std::string, std::string> &beside,
              const std::string &release = {}) {
    return load_shards({layout}, beside, release);
  }
  Config load_shards(const std::vector<Layout> &shards,
                     const std::map<std::string, std::string> &beside,
                     const std::string &release = {}) {
    const TempDir dir;
    std::string weight_map;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      const std::string name =
          shards.size() == 1 ? "model.safetensors" : "model-" + std::to_string(i) + ".safetensors";
      write_holes(dir / name, shards[i].items());
      for (const Item &item : shards[i].items()) {
        if (!weight_map.empty()) weight_map += ',';
        weight_map += '"' + item.name + "\":\"" + name + '"';
      }
    }
    if (shards.size() > 1) {
      write_file(dir / "model.safetensors.index.json", "{\"weight_map\":{" + weight_map + "}}");
    }
    for (const auto &[name, text] : beside) write_file(dir / name, text);
    return load_checkpoint(dir.path(), release).config();
  }
};

// Those of Moondream 2 since 2025; the others differ as each test says.
void expect_dimensions(const Config &config) {
  EXPECT_EQ(config.text.dim, 2048);
  EXPECT_EQ(config.text.ff_dim, 8192);
  EXPECT_EQ(config.text.n_layers, 24);
  EXPECT_EQ(config.text.vocab_size, 51200);
  EXPECT_EQ(config.text.n_heads, 32);
  EXPECT_EQ(config.text.n_kv_heads, 32);
  EXPECT_EQ(config.text.prefix_attn, 730);
  EXPECT_EQ(config.vision.enc_dim, 1152);
  EXPECT_EQ(config.vision.enc_n_heads, 16);
  EXPECT_EQ(config.vision.enc_n_layers, 27);
  EXPECT_EQ(config.vision.enc_ff_dim, 4304);
  EXPECT_EQ(config.vision.enc_patch_size, 14);
  EXPECT_EQ(config.vision.crop_size, 378);
  EXPECT_EQ(config.vision.proj_inner_dim, 8192);
}

void expect_regions(const Config &config) {
  EXPECT_TRUE(config.has_region);
  EXPECT_EQ(config.region.coord_feat_dim, 256);
  EXPECT_EQ(config.region.coord_out_dim, 1024);
  EXPECT_EQ(config.region.size_feat_dim, 512);
  EXPECT_EQ(config.region.size_out_dim, 2048);
}

void expect_three(const Config &config) {
  expect_dimensions(config);
  expect_regions(config);
  EXPECT_EQ(config.text.max_context, 32768);
  EXPECT_EQ(config.text.rope_theta, 1.5e6);
  EXPECT_TRUE(config.text.tau_attn);
  EXPECT_TRUE(config.region.linear_decoders);
  ASSERT_TRUE(config.text.moe);
  EXPECT_EQ(config.text.moe->num_experts, 64);
  EXPECT_EQ(config.text.moe->start_layer, 4);
  EXPECT_EQ(config.text.moe->experts_per_token, 8);
  EXPECT_EQ(config.text.moe->expert_inner_dim, 1024);
  EXPECT_TRUE(config.tokenizer.coord_or_eos);
  EXPECT_FALSE(config.tokenizer.double_query_suffix);
  EXPECT_EQ(config.tokenizer.templates.segment.value().prefix, (TokenIds{1, 17374, 2}));
}

TEST_F(PublishedLayouts, Moondream2Of2025IsToldByWhatLiesBesideIt) {
  struct {
    const char *program;  // config.py
    bool linear, query_space, object_space, long_captions, reasoning;
  } const releases[] = {
      {"\"short\": [198, 198, 16438, 8305, 25],", true, false, false, false, false},
      {"\"short\": [16438], \"long\": [198, 198, 14617, 8305, 25],", false, true, true, true,
       false},
      {"\"short\": [1, 32708, 2, 12492, 3],", false, false, true, true, true},
  };
  for (const char *model : {"", "model."}) {
    for (const auto &one : releases) {
      const Config config = load(native("F16", model),
                                 {{"config.json", kPublishedConfig}, {"config.py", one.program}});
      expect_dimensions(config);
      expect_regions(config);
      EXPECT_EQ(config.text.max_context, 2048);
      EXPECT_FALSE(config.text.causal_prefix);
      EXPECT_EQ(config.vision.cropping, Cropping::kOverlapping);
      EXPECT_EQ(config.region.inner_dim, 8192);
      EXPECT_EQ(config.region.size_scale, one.linear ? SizeScale::kLinear : SizeScale::kLog2);
      EXPECT_EQ(config.tokenizer.leading_space_in_query, one.query_space) << one.program;
      EXPECT_EQ(config.tokenizer.leading_space_in_object, one.object_space) << one.program;
      EXPECT_EQ(config.tokenizer.templates.caption->long_form.empty(), !one.long_captions);
      EXPECT_EQ(config.tokenizer.thinking_id != kNoId, one.reasoning);
      EXPECT_EQ(config.tokenizer.double_query_suffix, one.reasoning);
    }
  }
}

TEST_F(PublishedLayouts, ASettingIsAboveWhatLiesBesideAndTheCallerAboveThat) {
  const std::map<std::string, std::string> beside = {
      {"config.py", "[1, 32708, 2, 12492, 3]"},
      {"config.json", R"({"tokenizer": {"release": "2025-01-09"}})"}};
  const Layout layout = native("BF16", "model.");
  const Config setting = load(layout, beside);
  EXPECT_EQ(setting.region.size_scale, SizeScale::kLinear);
  EXPECT_EQ(setting.tokenizer.eos_id, 50256);
  const Config caller = load(layout, beside, "2025-04-14");
  EXPECT_EQ(caller.region.size_scale, SizeScale::kLog2);
  EXPECT_EQ(caller.tokenizer.eos_id, 50256);
  const Config alone = load(layout, {}, "2025-01-09");
  EXPECT_EQ(alone.region.size_scale, SizeScale::kLinear);
  EXPECT_TRUE(load(training("F16", 1, false), {}, "moondream1").vision.exact_gelu);
  EXPECT_EQ(test::error_of([&] { load(layout, {}, "moondream3"); }).kind(), ErrorKind::kMismatch);
  EXPECT_EQ(test::error_of([&] { load(preview(), {}, "2025-04-14"); }).kind(),
            ErrorKind::kMismatch);
  EXPECT_EQ(load(preview(), {}, "moondream3").text.n_layers, 24);
  const Error error = test::error_of([&] { load(layout, {}, "2025-04-15"); });
  EXPECT_EQ(error.kind(), ErrorKind::kSettings);
  EXPECT_TRUE(test::says(error, "\"2025-04-15\"") && test::says(error, "2025-04-14"));
}

TEST_F(PublishedLayouts, TrainingLayoutIsTheSameModel) {
  const std::string release = R"({"tokenizer": {"release": "2025-06-21"}})";
  for (const char *compiled : {"", "_orig_mod."}) {
    const Config config = load(training("BF16", 2, true, compiled), {{"config.json", release}});
    expect_dimensions(config);
    expect_regions(config);
    EXPECT_EQ(config.vision.cropping, Cropping::kOverlapping);
  }
}

TEST_F(PublishedLayouts, ModelsOf2024AreToldByTheirProgram) {
  const std::string config_json =
      R"({"architectures": ["Moondream"], "model_type": "moondream1",
          "phi_config": {"model_type": "phi-msft"}, "torch_dtype": "float16"})";
  const std::string plain = "before, after = prompt.split(\"<image>\")";
  struct {
    int crops;
    bool regions;
    std::string program;
    Cropping cropping;
    bool exact_gelu, tags;
  } const models[] = {
      {2, true, plain, Cropping::kQuarters, false, false},
      {2, false, plain, Cropping::kQuarters, false, false},
      {1, false, plain, Cropping::kWhole, false, false},
      {1, false, "eos_text=\"<END>\"", Cropping::kWhole, true, false},
      {1, false, "f\"</image>\" eos_text=\"<END>\"", Cropping::kWhole, true, true},  // moondream1
  };
  for (const auto &one : models) {
    Layout layout = training("F16", one.crops, one.regions);
    for (int i = 0; i < 24; ++i) {
      layout.tensor(number("text_model.transformer.h.", i, ".mixer.rotary_emb.inv_freq"), {16});
    }
    const Config config =
        load(layout, {{"config.json", config_json}, {"moondream.py", one.program}});
    expect_dimensions(config);
    EXPECT_TRUE(config.text.causal_prefix);
    EXPECT_EQ(config.has_region, one.regions);
    EXPECT_EQ(config.vision.cropping, one.cropping) << one.program;
    EXPECT_EQ(config.vision.exact_gelu, one.exact_gelu) << one.program;
    EXPECT_EQ(!config.tokenizer.image_prefix.empty(), one.tags) << one.program;
    EXPECT_EQ(config.tokenizer.templates.detect.has_value(), one.regions);
    EXPECT_EQ(config.tokenizer.eos_id, 50256);
  }
}

TEST_F(PublishedLayouts, FourBitsAreOfApril2025) {
  for (const char *scales : {"BF16", "F32"}) {
    const Config config = load(packed(scales), {{"config.json", kPublishedConfig}});
    expect_dimensions(config);
    expect_regions(config);
    EXPECT_EQ(config.text.group_size, 128);
    EXPECT_EQ(config.region.group_size, 128);
    EXPECT_EQ(config.region.inner_dim, 8192);
    EXPECT_EQ(config.region.size_scale, SizeScale::kLog2);
    EXPECT_TRUE(config.tokenizer.leading_space_in_query);
    EXPECT_EQ(config.tokenizer.eos_id, 50256);
  }
}

// Its file of settings, in the names that the dimensions had at first and have now, gives no width
// of the text model's MLP and no number of key heads.
TEST_F(PublishedLayouts, HalfABillionParametersWithTheirFileAndWithout) {
  const auto settings = [](const std::string &projection, const std::string &region) {
    return R"({"text": {"dim": 1024, "n_layers": 24, "vocab_size": 51200, "max_context": 2048,
                        "n_heads": 16, "prefix_attn": 730},
               "vision": {"enc_dim": 720, "enc_patch_size": 14, "enc_n_layers": 27,
                          "enc_ff_dim": 2690, "enc_n_heads": 10, "proj_out_dim": 1024,
                          "crop_size": 378, "in_channels": 3, "max_crops": 12,
                          "overlap_margin": 4, ")" +
           projection + R"(": 8192},
               "region": {"dim": 1024, "coord_feat_dim": 256, "coord_out_dim": 1024,
                          "size_feat_dim": 512, "size_out_dim": 2048, ")" +
           region + R"(": 8192},
               "tokenizer": {"bos_id": 50256, "eos_id": 50256, "templates": {
                 "caption": {"short": [198, 198, 16438, 8305, 25],
                             "normal": [198, 198, 24334, 1159, 25]},
                 "query": {"prefix": [198, 198, 24361, 25], "suffix": [198, 198, 33706, 25]},
                 "detect": {"prefix": [198, 198, 47504, 25], "suffix": [628]},
                 "point": {"prefix": [198, 198, 12727, 25], "suffix": [628]}}}})";
  };
  const Dims dims{.text = 1024, .ff = 4096, .vision = 720, .vision_ff = 2690};
  for (const std::string &text :
       {settings("hid_dim", "hid_dim"), settings("proj_inner_dim", "inner_dim"),
        std::string(R"({"tokenizer": {"release": "2025-01-09"}})")}) {
    const Config config = load(native("F16", "model.", dims), {{"config.json", text}});
    EXPECT_EQ(config.text.dim, 1024);
    EXPECT_EQ(config.text.ff_dim, 4096);
    EXPECT_EQ(config.text.n_heads, 16);
    EXPECT_EQ(config.text.n_kv_heads, 16);
    EXPECT_EQ(config.text.n_layers, 24);
    EXPECT_EQ(config.vision.enc_dim, 720);
    EXPECT_EQ(config.vision.enc_n_heads, 10);
    EXPECT_EQ(config.vision.enc_ff_dim, 2690);
    EXPECT_EQ(config.vision.proj_inner_dim, 8192);
    EXPECT_EQ(config.region.inner_dim, 8192);
    expect_regions(config);
    // The templates are of models without long captions, whose sizes are linear.
    EXPECT_EQ(config.region.size_scale, SizeScale::kLinear);
    EXPECT_FALSE(config.tokenizer.double_query_suffix);
    EXPECT_FALSE(config.tokenizer.leading_space_in_object);
    EXPECT_EQ(config.tokenizer.thinking_id, kNoId);
    EXPECT_TRUE(config.tokenizer.templates.caption->long_form.empty());
    EXPECT_EQ(config.tokenizer.templates.query->prefix, (TokenIds{198, 198, 24361, 25}));
  }
}

TEST_F(PublishedLayouts, Moondream3PreviewInShards) {
  const Items all = preview().items();
  std::vector<Layout> shards(4, Layout("BF16"));
  for (std::size_t i = 0; i < all.size(); ++i) {
    shards[i * shards.size() / all.size()].items().push_back(all[i]);
  }
  const Config config = load_shards(shards, {{"config.json", kPublishedConfig}});
  expect_three(config);
  EXPECT_FALSE(config.text.moe->fp8);
  EXPECT_FALSE(config.text.moe->int4);
  EXPECT_FALSE(config.region.layer_norm);
}

TEST_F(PublishedLayouts, Moondream3PreviewForMlx) {
  const Config config = load(preview_for_mlx(), {});
  expect_three(config);
  EXPECT_TRUE(config.text.moe->int4);
}

// Experts as bytes are those of programs without a type of 8-bit floating-point numbers; without
// scales they are the same layout before it was quantized.
TEST_F(PublishedLayouts, Moondream3InProduction) {
  const Production all[] = {{},
                            {.fused_tau = false},
                            {.norm = false},
                            {.experts = "U8"},
                            {.experts = "BF16", .scales = false}};
  for (const Production &what : all) {
    const Config config = load(production(what), {{"config.json", kPublishedConfig}});
    expect_three(config);
    EXPECT_EQ(config.text.moe->fp8, what.scales);
    EXPECT_EQ(config.region.layer_norm, what.norm);
  }
}

}  // namespace
}  // namespace moondream
