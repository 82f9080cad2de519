#include "checkpoint.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <ostream>
#include <random>

#include "checkpoint_support.h"
#include "layers.h"
#include "quantization.h"
#include "safetensors.h"
#include "tensor_names.h"
#include "torch_file.h"
#include "torch_support.h"

namespace moondream {
namespace {

using test::error_of;
using test::file_contents;
using test::in_training_layout;
using test::raw;
using test::RawTensor;
using test::safetensors_of;
using test::says;
using test::TempDir;
using test::write_file;

const std::filesystem::path kGolden = std::filesystem::path(MOONDREAM_TEST_DATA) / "golden";
const std::filesystem::path kTiny = kGolden / "moondream2-tiny";

// The smallest model with every part: two text blocks with grouped queries, pictures of 3 x 3
// patches.
constexpr const char *kSmallConfig = R"({
  "text": {"dim": 32, "ff_dim": 24, "n_layers": 2, "vocab_size": 16, "max_context": 64,
           "n_heads": 4, "n_kv_heads": 2},
  "vision": {"enc_dim": 12, "enc_patch_size": 2, "enc_n_layers": 1, "enc_ff_dim": 10,
             "enc_n_heads": 2, "proj_out_dim": 32, "crop_size": 6, "overlap_margin": 1,
             "proj_inner_dim": 14},
  "region": {"dim": 32, "coord_feat_dim": 6, "coord_out_dim": 8, "size_feat_dim": 4,
             "size_out_dim": 16, "inner_dim": 18},
  "tokenizer": {"templates": {
    "caption": {"short": [1], "normal": [1], "long": [1]}, "query": {"prefix": [1]},
    "detect": {"prefix": [1]}, "point": {"prefix": [1]}}}})";

Config small_config() { return parse_config(kSmallConfig, "small"); }

using Tensors = std::map<std::string, at::Tensor>;

// Every expected tensor, filled with numbers of its own.
Tensors tensors_of(const Config &config, at::ScalarType type = at::kFloat) {
  Tensors tensors;
  double start = 0;
  for (const ExpectedTensor &expected : expected_tensors(config)) {
    at::Tensor tensor = at::empty(expected.shape, at::kFloat);
    tensor.copy_(at::arange(tensor.numel(), at::kFloat).add(start).remainder(251).view_as(tensor));
    tensors.emplace(expected.name, tensor.to(type));
    start += 17;
  }
  return tensors;
}

std::vector<RawTensor> raw_tensors(const Tensors &tensors, const std::string &dtype = "F32") {
  std::vector<RawTensor> raws;
  for (const auto &[name, tensor] : tensors) raws.push_back(raw(name, tensor, dtype));
  return raws;
}

// A directory with these tensors and the configuration.
void write_model(const TempDir &dir, const std::vector<RawTensor> &tensors,
                 const std::string &config = kSmallConfig) {
  write_file(dir / "model.safetensors", safetensors_of(tensors));
  write_file(dir / "config.json", config);
}

void expect_equal(const Tensors &actual, const Tensors &expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto &[name, tensor] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    EXPECT_TRUE(at::equal(actual.at(name), tensor)) << name;
  }
}

// ---- Loading ---------------------------------------------------------------------------------

TEST(Checkpoint, TinyModelLoads) {
  const Checkpoint checkpoint = load_checkpoint(kTiny);
  EXPECT_EQ(checkpoint.path(), kTiny);
  EXPECT_EQ(checkpoint.config().text.dim, 128);
  // 27 vision blocks of 12 and 9 beside them, 3 text blocks of 10 and 5, 14 for regions.
  EXPECT_EQ(checkpoint.tensors().size(), 27u * 12 + 9 + 3 * 10 + 5 + 14);
  for (const auto &[name, tensor] : checkpoint.tensors()) {
    EXPECT_EQ(tensor.scalar_type(), at::kBFloat16) << name;
    EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
  }
}

// Two shards in the training layout, written by the reference's tools.
TEST(Checkpoint, TinyModelWithGroupedQueriesLoads) {
  const Checkpoint checkpoint = load_checkpoint(kGolden / "moondream2-tiny-gqa");
  EXPECT_EQ(checkpoint.config().text.n_kv_heads, 2);
  EXPECT_EQ(checkpoint.tensors().size(), 27u * 12 + 9 + 2 * 10 + 5 + 14);
  EXPECT_EQ(checkpoint.tensor("text.blocks.1.attn.qkv.weight").sizes(),
            (at::IntArrayRef{512, 256}));
  // Transposed in the file.
  EXPECT_EQ(checkpoint.tensor("region.size_features").sizes(), (at::IntArrayRef{2, 32}));
}

TEST(Checkpoint, FileAndItsDirectoryAreTheSameModel) {
  expect_equal(load_checkpoint(kTiny / "model.safetensors").tensors(),
               load_checkpoint(kTiny).tensors());
}

TEST(Checkpoint, TensorsAreThoseWritten) {
  const TempDir dir;
  const Tensors tensors = tensors_of(small_config());
  write_model(dir, raw_tensors(tensors));
  const Checkpoint checkpoint = load_checkpoint(dir.path());
  expect_equal(checkpoint.tensors(), tensors);
  EXPECT_EQ(checkpoint.tensor("text.blocks.0.attn.qkv.weight").sizes(), (at::IntArrayRef{64, 32}));
  EXPECT_EQ(checkpoint.config().text.n_kv_heads, 2);
}

TEST(Checkpoint, EveryFloatingPointTypeLoads) {
  const std::pair<at::ScalarType, const char *> types[] = {
      {at::kDouble, "F64"}, {at::kFloat, "F32"}, {at::kHalf, "F16"}, {at::kBFloat16, "BF16"}};
  for (const auto &[type, name] : types) {
    const TempDir dir;
    const Tensors tensors = tensors_of(small_config(), type);
    write_model(dir, raw_tensors(tensors, name));
    expect_equal(load_checkpoint(dir.path()).tensors(), tensors);
  }
}

// Two tensors are as far from each other in memory as in the file only if neither was copied.
TEST(Checkpoint, TensorsAreViewsOfTheFile) {
  const SafetensorsFile file(kTiny / "model.safetensors");
  const Checkpoint checkpoint = load_checkpoint(kTiny);
  const auto address = [&](const std::string &name) {
    return static_cast<const char *>(checkpoint.tensor(name).data_ptr());
  };
  const TensorEntry &first = file.tensors().at("model.region.coord_decoder.fc1.bias");
  const auto *base = address("region.coord_decoder.fc1.bias") - first.begin;
  for (const auto &[key, entry] : file.tensors()) {
    EXPECT_EQ(address(canonical_name(key).name), base + entry.begin) << key;
  }
}

TEST(Checkpoint, TensorsOutliveTheCheckpointAndTheFile) {
  const TempDir dir;
  const Tensors tensors = tensors_of(small_config());
  write_model(dir, raw_tensors(tensors));
  std::optional<Checkpoint> checkpoint(load_checkpoint(dir.path()));
  const at::Tensor wte = checkpoint->tensor("text.wte");
  checkpoint.reset();
  std::filesystem::remove(dir / "model.safetensors");
  EXPECT_TRUE(at::equal(wte, tensors.at("text.wte")));
}

// The header may have any length, so that no tensor is aligned.
TEST(Checkpoint, MisalignedTensorsAreCopied) {
  const Tensors tensors = tensors_of(small_config());
  for (std::size_t padding = 0; padding < 8; ++padding) {
    const TempDir dir;
    write_file(dir / "config.json", kSmallConfig);
    write_file(dir / "model.safetensors", safetensors_of(raw_tensors(tensors), padding));
    const Checkpoint checkpoint = load_checkpoint(dir.path());
    expect_equal(checkpoint.tensors(), tensors);
    for (const auto &[name, tensor] : checkpoint.tensors()) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data_ptr()) % 4, 0u) << name;
    }
  }
}

TEST(Checkpoint, PrefixIsDropped) {
  const TempDir dir;
  const Tensors tensors = tensors_of(small_config());
  std::vector<RawTensor> prefixed;
  for (const auto &[name, tensor] : tensors) prefixed.push_back(raw("model." + name, tensor));
  write_model(dir, prefixed);
  expect_equal(load_checkpoint(dir.path()).tensors(), tensors);
}

TEST(Checkpoint, TrainingLayoutInShardsIsTheSameModel) {
  const TempDir dir;
  const Tensors tensors = tensors_of(small_config());
  std::vector<RawTensor> shards[2];
  std::string weight_map;
  for (const auto &[name, tensor] : tensors) {
    const std::size_t shard = shards[0].size() <= shards[1].size() ? 0 : 1;
    shards[shard].push_back(in_training_layout(name, tensor));
    EXPECT_NE(shards[shard].back().name, name);
    weight_map += (weight_map.empty() ? "\"" : ",\"") + shards[shard].back().name + "\":\"shard" +
                  std::to_string(shard) + ".safetensors\"";
  }
  write_file(dir / "shard0.safetensors", safetensors_of(shards[0]));
  write_file(dir / "shard1.safetensors", safetensors_of(shards[1]));
  write_file(dir / "model.safetensors.index.json", "{\"weight_map\":{" + weight_map + "}}");
  write_file(dir / "config.json", kSmallConfig);
  const Checkpoint checkpoint = load_checkpoint(dir.path());
  expect_equal(checkpoint.tensors(), tensors);
  EXPECT_TRUE(checkpoint.tensor("region.size_features").is_contiguous());
  expect_equal(load_checkpoint(dir / "model.safetensors.index.json").tensors(), tensors);
}

// A vocabulary of its own has no use for the published templates of other skills.
TEST(Checkpoint, SkillsWithoutATemplateOfTheirOwnVocabularyAreAbsent) {
  std::string config = kSmallConfig;
  const auto remove = [&config](const std::string &text) {
    ASSERT_NE(config.find(text), config.npos) << text;
    config.erase(config.find(text), text.size());
  };
  remove(R"(, "long": [1])");
  remove(R"(, "point": {"prefix": [1]})");
  const TempDir dir;
  write_model(dir, raw_tensors(tensors_of(small_config())), config);
  const Templates templates = load_checkpoint(dir.path()).config().tokenizer.templates;
  EXPECT_TRUE(templates.caption.value().long_form.empty());
  EXPECT_EQ(templates.caption->normal, TokenIds{1});
  EXPECT_TRUE(templates.detect);
  EXPECT_FALSE(templates.point);
}

// ---- Moondream 3 and packed weights ----------------------------------------------------------

// The layouts that Moondream 3 was published in, written by the reference's tools.
TEST(Checkpoint, Moondream3IsReadOffTheWeights) {
  for (const bool fp8 : {false, true}) {
    const TempDir dir;
    const auto golden = kGolden / (fp8 ? "moondream3-tiny-fp8" : "moondream3-tiny");
    std::filesystem::copy_file(golden / "model.safetensors", dir / "model.safetensors");
    // What the weights cannot tell: heads of the vision encoder that are not 72 wide, how many of
    // so few experts are chosen, and templates of a vocabulary so small.
    write_file(dir / "config.json", R"({
      "text": {"moe": {"experts_per_token": 2}}, "vision": {"enc_n_heads": 2},
      "tokenizer": {"templates": {"caption": null, "query": null, "detect": null,
                                  "point": null}}})");
    const Checkpoint checkpoint = load_checkpoint(dir.path());
    const Config &config = checkpoint.config();
    EXPECT_EQ(config.text.moe, (MoeConfig{8, 2, 2, 48, fp8}));
    EXPECT_TRUE(config.text.tau_attn);
    EXPECT_EQ(config.text.rope_theta, 1.5e6);
    EXPECT_EQ(config.text.max_context, 32768);
    EXPECT_TRUE(config.region.linear_decoders);
    EXPECT_EQ(config.region.layer_norm, fp8);
    EXPECT_FALSE(config.tokenizer.double_query_suffix);
    EXPECT_FALSE(config.tokenizer.suffix_before_thinking);
    EXPECT_TRUE(config.tokenizer.coord_or_eos);
    EXPECT_EQ(checkpoint.tensor("text.blocks.3.attn.tau.wv").sizes(), (at::IntArrayRef{2, 384}));
    EXPECT_EQ(checkpoint.tensor("text.blocks.3.mlp.fc1.weight").sizes(),
              (at::IntArrayRef{8, 96, 128}));
    EXPECT_EQ(checkpoint.tensors().contains("text.blocks.3.mlp.fc1.scale"), fp8);
  }
}

// model_fp8.pt, as the production layout is published: the vectors' tensors in PyTorch's container.
// as_bytes: from a program without such a type, which called them bytes.
void expect_fp8_model_in_a_pytorch_file(bool as_bytes) {
  const auto golden = kGolden / "moondream3-tiny-fp8";
  const SafetensorsFile file(golden / "model.safetensors");
  std::vector<RawTensor> tensors;
  int fp8 = 0;
  for (const auto &[name, entry] : file.tensors()) {
    const auto bytes = file.bytes(entry);
    fp8 += entry.dtype == DType::kF8E4M3;
    const DType type = as_bytes && entry.dtype == DType::kF8E4M3 ? DType::kU8 : entry.dtype;
    tensors.push_back({name,
                       dtype_name(type),
                       entry.shape,
                       {reinterpret_cast<const char *>(bytes.data()), bytes.size()}});
  }
  ASSERT_EQ(fp8, 2 * 2);  // two matrices in each of two blocks of experts
  const TempDir dir;
  std::filesystem::copy_file(golden / "config.json", dir / "config.json");
  write_file(dir / "model_fp8.pt", test::torch_file_of(tensors));
  const Checkpoint found = load_checkpoint(dir.path()), expected = load_checkpoint(golden);
  EXPECT_TRUE(found.config().text.moe.value().fp8);
  ASSERT_EQ(found.tensors().size(), expected.tensors().size());
  for (const auto &[name, tensor] : expected.tensors()) {
    const at::Tensor &other = found.tensor(name);
    ASSERT_EQ(other.scalar_type(), tensor.scalar_type()) << name;
    ASSERT_EQ(other.sizes(), tensor.sizes()) << name;
    EXPECT_TRUE(at::equal(other.contiguous(), tensor.contiguous())) << name;
  }
  // And they are computed with as experts in 8 bits.
  const WeightSource weights(found, c10::Device(c10::kCPU), c10::kFloat);
  const auto experts = weights.experts("text.blocks.2.mlp.fc1");
  ASSERT_TRUE(std::holds_alternative<QuantizedMatrix>(experts.at(0)));
  EXPECT_EQ(std::get<QuantizedMatrix>(experts[0]).format, QuantizedFormat::kFp8);
}

TEST(Checkpoint, ExpertsInFP8InAPyTorchFileAreTheSameModel) {
  expect_fp8_model_in_a_pytorch_file(false);
}

TEST(Checkpoint, ExpertsInBytesWithScalesAreInFP8) { expect_fp8_model_in_a_pytorch_file(true); }

// What the bytes mean is known only with the scales beside them.
TEST(Checkpoint, ExpertsInBytesWithoutScalesAreRefused) {
  const auto golden = kGolden / "moondream3-tiny-fp8";
  const SafetensorsFile file(golden / "model.safetensors");
  std::vector<RawTensor> tensors;
  for (const auto &[name, entry] : file.tensors()) {
    if (name.find(".moe_quant.") != name.npos) continue;
    const auto bytes = file.bytes(entry);
    const DType type = entry.dtype == DType::kF8E4M3 ? DType::kU8 : entry.dtype;
    tensors.push_back({name,
                       dtype_name(type),
                       entry.shape,
                       {reinterpret_cast<const char *>(bytes.data()), bytes.size()}});
  }
  const TempDir dir;
  std::filesystem::copy_file(golden / "config.json", dir / "config.json");
  write_file(dir / "model.safetensors", safetensors_of(tensors));
  const Error error = error_of([&] { load_checkpoint(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  EXPECT_TRUE(says(error, "mlp.experts.weight") && says(error, "Byte") &&
              says(error, "floating-point"))
      << error.what();
}

TEST(Checkpoint, PackedWeightsAreReadOffTheWeights) {
  const TempDir dir;
  std::filesystem::copy_file(kGolden / "moondream2-tiny-int4" / "model.safetensors",
                             dir / "model.safetensors");
  std::filesystem::copy_file(kGolden / "moondream2-tiny-int4" / "config.json", dir / "config.json");
  const Checkpoint checkpoint = load_checkpoint(dir.path());
  EXPECT_EQ(checkpoint.config().text.group_size, 128);
  EXPECT_EQ(checkpoint.config().region.group_size, 128);
  EXPECT_EQ(checkpoint.config().text.ff_dim, 256);
  EXPECT_EQ(checkpoint.tensor("text.blocks.0.attn.qkv.weight.packed").scalar_type(), at::kByte);
}

// As moondream/md3p-int4 is published, for MLX: experts in numbers of 32 bits, names of its own.
TEST(Checkpoint, ExpertsInFourBitsForMlxAreReadOffTheWeights) {
  Config config = small_config();
  config.text = {.dim = 64,
                 .ff_dim = 24,
                 .n_layers = 3,
                 .vocab_size = 16,
                 .max_context = 64,
                 .n_heads = 1,
                 .n_kv_heads = 1,
                 .prefix_attn = 10,
                 .moe = MoeConfig{.num_experts = 4,
                                  .start_layer = 1,
                                  .experts_per_token = 4,
                                  .expert_inner_dim = 128,
                                  .int4 = true},
                 .tau_attn = true};
  config.vision.proj_out_dim = config.region.dim = 64;
  config.region.linear_decoders = true;
  at::manual_seed(1);
  std::vector<RawTensor> raws;
  std::map<std::string, at::Tensor> experts;
  for (const ExpectedTensor &expected : expected_tensors(config)) {
    std::string name = expected.name;
    const auto replace = [&name](const std::string &from, const std::string &to) {
      const std::size_t at = name.find(from);
      if (at != name.npos) name.replace(at, from.size(), to);
    };
    replace("tau.", "tau_");
    replace("vision.proj_mlp.", "vision.proj_");
    if (name == "text.wte") name = "text.wte.weight";
    replace(".weight.affine", "_q");
    replace(".weight.scales", "_scales");
    replace(".weight.biases", "_biases");
    at::Tensor tensor =
        expected.bytes ? at::randint(0, 256, expected.shape, at::kByte) : at::randn(expected.shape);
    if (name.find("mlp.fc1_") != name.npos) experts.emplace(expected.name, tensor);
    raws.push_back(raw(name, tensor));
    if (expected.bytes) {
      raws.back().dtype = "U32";
      raws.back().shape.back() /= 4;
    }
  }
  const TempDir dir;
  write_file(dir / "model.safetensors", safetensors_of(raws));
  write_file(dir / "config.json", R"({
    "vision": {"enc_n_heads": 2, "overlap_margin": 1},
    "tokenizer": {"templates": {"caption": null, "query": null, "detect": null, "point": null}}})");
  const Checkpoint checkpoint = load_checkpoint(dir.path());
  EXPECT_EQ(checkpoint.config().text.moe, config.text.moe);
  EXPECT_TRUE(checkpoint.config().tokenizer.coord_or_eos);
  const WeightSource weights(checkpoint, c10::Device(c10::kCPU), c10::kFloat);
  const std::vector<Matrix> found = weights.experts("text.blocks.2.mlp.fc1");
  ASSERT_EQ(found.size(), 4u);
  const auto part = [&](const char *which) {
    return experts.at(std::string("text.blocks.2.mlp.fc1.weight.") + which);
  };
  const at::Tensor q =
      at::stack({part("affine").remainder(16), part("affine").div(16, "floor")}, -1)
          .view({4, 256, 1, 64});
  const at::Tensor expected =
      (q * part("scales").unsqueeze(-1) + part("biases").unsqueeze(-1)).view({4, 256, 64});
  for (std::int64_t e = 0; e < 4; ++e) {
    // Of numbers of some tens.
    EXPECT_TRUE(at::allclose(dequantize(std::get<QuantizedMatrix>(found[e]), at::kFloat),
                             expected[e], 1e-5, 1e-4));
  }
}

// Of both types that scales were published in, and of widths that groups of 128 do not divide.
TEST(Checkpoint, PackedWeightsAreWhatThePackingMeans) {
  at::manual_seed(1);
  for (const auto type : {at::kBFloat16, at::kFloat}) {
    for (const auto &[out, in] : {std::pair<std::int64_t, std::int64_t>{4, 256}, {24, 32}}) {
      const std::int64_t groups = out * in / 128;
      const at::Tensor packed = at::randint(0, 256, {groups / 2, 128}, at::kByte);
      const at::Tensor scale = (at::rand({groups, 1}) * 0.1).to(type);
      const at::Tensor zero = (at::rand({groups, 1}) * 15).to(type);
      const at::Tensor q =
          at::cat({packed.div(16, "floor"), packed.remainder(16)}).to(at::kFloat);  // [groups, 128]
      const auto round = [](const at::Tensor &t) { return t.to(at::kBFloat16).to(at::kFloat); };
      const at::Tensor expected =
          round(round(q - zero.to(at::kFloat)) * scale.to(at::kFloat)).view({out, in});
      const Matrix made = packed_matrix(packed, scale, zero, out, at::kFloat);
      const auto *quantized = std::get_if<QuantizedMatrix>(&made);
      EXPECT_EQ(quantized != nullptr, in % 128 == 0);
      EXPECT_TRUE(at::equal(
          quantized ? dequantize(*quantized, at::kFloat) : std::get<at::Tensor>(made), expected));
    }
  }
}

TEST(Checkpoint, PyTorchFilesAreTheSameModelAndNotCopied) {
  const TempDir dir;
  const Tensors tensors = tensors_of(small_config());
  std::vector<RawTensor> training;
  for (const auto &[name, tensor] : tensors) training.push_back(in_training_layout(name, tensor));
  const auto file = write_file(dir / "model.pt", test::torch_file_of(training));
  write_file(dir / "config.json", kSmallConfig);
  const Checkpoint checkpoint = load_checkpoint(dir.path());
  expect_equal(checkpoint.tensors(), tensors);
  expect_equal(load_checkpoint(file).tensors(), tensors);
  // As far from each other as in the file: both are views of it.
  const TorchFile opened(file);
  const auto begin = [&](const std::string &key) { return opened.tensors().at(key).begin; };
  EXPECT_EQ(static_cast<std::size_t>(
                static_cast<const char *>(checkpoint.tensor("text.lm_head.bias").data_ptr()) -
                static_cast<const char *>(checkpoint.tensor("text.post_ln.bias").data_ptr())),
            begin("text_model.lm_head.linear.bias") - begin("text_model.lm_head.ln.bias"));
}

// A model of the published vocabulary and head sizes, otherwise as thin as can be.
Config thin_published_config() {
  Config config;
  config.text = {
      .dim = 64, .ff_dim = 8, .n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .prefix_attn = 10};
  config.vision = {.enc_dim = 72,
                   .enc_patch_size = 2,
                   .enc_n_layers = 1,
                   .enc_ff_dim = 8,
                   .enc_n_heads = 1,
                   .proj_out_dim = 64,
                   .crop_size = 6,
                   .proj_inner_dim = 8};
  config.vision.overlap_margin = 1;
  config.region = {.dim = 64,
                   .coord_feat_dim = 4,
                   .coord_out_dim = 8,
                   .size_feat_dim = 4,
                   .size_out_dim = 8,
                   .inner_dim = 8};
  return config;
}

TEST(Checkpoint, PublishedConfigurationIsReadOffTheWeights) {
  const TempDir dir;
  const Tensors tensors = tensors_of(thin_published_config(), at::kBFloat16);
  write_model(dir, raw_tensors(tensors, "BF16"),
              R"({"config": {"vision": {"overlap_margin": 1}}, "model_type": "moondream1"})");
  const Checkpoint checkpoint = load_checkpoint(dir.path());
  EXPECT_EQ(checkpoint.config().text.dim, 64);
  EXPECT_EQ(checkpoint.config().text.n_heads, 1);
  EXPECT_EQ(checkpoint.config().vision.crop_size, 6);
  EXPECT_EQ(checkpoint.config().text.prefix_attn, 10);
  // Without the file, only the margin is the published one, which these pictures are too small for.
  std::filesystem::remove(dir / "config.json");
  const Error error = error_of([&] { load_checkpoint(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  EXPECT_TRUE(says(error, "vision.overlap_margin")) << error.what();
}

TEST(Checkpoint, HeadsThatCannotBeReadOffTheWeightsAreAskedFor) {
  const TempDir dir;
  write_model(dir, raw_tensors(tensors_of(small_config())));
  std::filesystem::remove(dir / "config.json");
  const Error error = error_of([&] { load_checkpoint(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  EXPECT_TRUE(says(error, "text.n_heads") && says(error, "config.json")) << error.what();
}

TEST(Checkpoint, MemoryIsASourceToo) {
  const Tensors tensors = tensors_of(small_config());
  const Checkpoint checkpoint(small_config(), tensors);
  expect_equal(checkpoint.tensors(), tensors);
  EXPECT_TRUE(checkpoint.path().empty());
  EXPECT_TRUE(says(error_of([&] { checkpoint.tensor("text.nothing"); }), "\"text.nothing\""));
}

// ---- What does not fit -----------------------------------------------------------------------

// The error of a small model whose tensors were changed by `change`.
template <typename Change>
Error error_after(Change &&change) {
  const TempDir dir;
  std::vector<RawTensor> tensors = raw_tensors(tensors_of(small_config()));
  change(tensors);
  write_model(dir, tensors);
  const Error error = error_of([&] { load_checkpoint(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch) << error.what();
  EXPECT_TRUE(says(error, dir.path().string())) << error.what();
  return error;
}

RawTensor &find(std::vector<RawTensor> &tensors, const std::string &name) {
  return *std::find_if(tensors.begin(), tensors.end(),
                       [&name](const RawTensor &tensor) { return tensor.name == name; });
}

TEST(Checkpoint, MissingTensorIsNamed) {
  const Error error = error_after([](auto &tensors) {
    std::erase_if(tensors,
                  [](const RawTensor &tensor) { return tensor.name == "text.post_ln.bias"; });
  });
  EXPECT_TRUE(says(error, "1 missing (\"text.post_ln.bias\" [32])")) << error.what();
}

// One at a time, each of them.
TEST(Checkpoint, NoTensorMayBeMissing) {
  const Tensors tensors = tensors_of(small_config());
  for (const auto &[name, tensor] : tensors) {
    Tensors others = tensors;
    others.erase(name);
    const Error error = error_of([&] { Checkpoint(small_config(), others); });
    EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
    EXPECT_TRUE(says(error, "1 missing (\"" + name + "\"")) << error.what();
  }
}

TEST(Checkpoint, ManyMissingTensorsAreCounted) {
  const Error error = error_after([](auto &tensors) {
    std::erase_if(tensors,
                  [](const RawTensor &tensor) { return tensor.name.starts_with("region."); });
  });
  EXPECT_TRUE(says(error, "14 missing (") && says(error, "and 10 more")) << error.what();
}

TEST(Checkpoint, UnknownTensorIsNamed) {
  const Error error = error_after([](auto &tensors) {
    tensors.push_back({"model.text.blocks.0.extra", "F32", {}, "1234"});
  });
  EXPECT_TRUE(says(error, "1 too many (\"text.blocks.0.extra\" is [] of Float")) << error.what();
  EXPECT_TRUE(says(error, "\"model.text.blocks.0.extra\" in model.safetensors")) << error.what();
}

TEST(Checkpoint, BlockTooManyIsNamed) {
  const Error error = error_after([](auto &tensors) {
    RawTensor extra = find(tensors, "text.blocks.1.ln.weight");
    extra.name = "text.blocks.2.ln.weight";
    tensors.push_back(extra);
  });
  EXPECT_TRUE(says(error, "too many (\"text.blocks.2.ln.weight\"")) << error.what();
}

TEST(Checkpoint, MisshapenTensorIsNamedWithBothShapes) {
  const Error error = error_after([](auto &tensors) {
    RawTensor &tensor = find(tensors, "text.blocks.1.mlp.fc1.weight");
    std::swap(tensor.shape[0], tensor.shape[1]);
  });
  EXPECT_TRUE(says(error, "\"text.blocks.1.mlp.fc1.weight\" is [32, 24] of Float")) << error.what();
  EXPECT_TRUE(says(error, "expected [24, 32]")) << error.what();
}

TEST(Checkpoint, TensorsOfWholeNumbersAreRefused) {
  for (const char *dtype : {"I32", "U32"}) {
    const Error error =
        error_after([dtype](auto &tensors) { find(tensors, "text.wte").dtype = dtype; });
    EXPECT_TRUE(says(error, "\"text.wte\"") && says(error, "floating-point")) << error.what();
  }
}

TEST(Checkpoint, ConfigurationOfOtherHeadsDoesNotFit) {
  const TempDir dir;
  std::string config = kSmallConfig;
  config.replace(config.find("\"n_kv_heads\": 2"), 15, "\"n_kv_heads\": 4");
  write_model(dir, raw_tensors(tensors_of(small_config())), config);
  const Error error = error_of([&] { load_checkpoint(dir.path()); });
  EXPECT_TRUE(says(error, "\"text.blocks.0.attn.qkv.weight\" is [64, 32]") &&
              says(error, "expected [96, 32]"))
      << error.what();
}

TEST(Checkpoint, TensorInBothLayoutsIsAmbiguous) {
  const Error error = error_after([](auto &tensors) {
    RawTensor twin = find(tensors, "text.wte");
    twin.name = "text_model.transformer.embd.wte.weight";
    tensors.push_back(twin);
  });
  EXPECT_TRUE(says(error, "\"text.wte\" is there twice")) << error.what();
}

TEST(Checkpoint, UndefinedTensorIsNamed) {
  Tensors tensors = tensors_of(small_config());
  tensors["text.wte"] = at::Tensor();
  EXPECT_TRUE(
      says(error_of([&] { Checkpoint(small_config(), tensors); }), "\"text.wte\" is undefined"));
}

TEST(Checkpoint, InvalidConfigurationIsRefused) {
  Config config = small_config();
  config.text.n_heads = 0;
  const Error error = error_of([&] { Checkpoint(config, tensors_of(small_config())); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  EXPECT_TRUE(says(error, "text.n_heads")) << error.what();
}

TEST(Checkpoint, BrokenConfigFileIsUnreadable) {
  const TempDir dir;
  write_model(dir, raw_tensors(tensors_of(small_config())), "{");
  const Error error = error_of([&] { load_checkpoint(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kRead);
  EXPECT_TRUE(says(error, "config.json")) << error.what();
}

// ---- Other models ----------------------------------------------------------------------------

TEST(Checkpoint, FP8OfTheOtherKindIsCalledByName) {
  const Error error = error_after([&](auto &tensors) {
    tensors.push_back({"model.text.blocks.0.extra", "F8_E5M2", {1}, "x"});
  });
  EXPECT_TRUE(says(error, "E5M2") && says(error, "not supported")) << error.what();
}

TEST(Checkpoint, ForeignModelIsNoMoondream) {
  const TempDir dir;
  write_model(dir, {{"layers.0.mlp.gate.weight", "F32", {1}, "1234"}});
  const Error error = error_of([&] { load_checkpoint(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  EXPECT_TRUE(says(error, "not a Moondream model") && says(error, "\"layers.0.mlp.gate.weight\""))
      << error.what();
}

TEST(Checkpoint, FileWithoutTensorsIsNoModel) {
  const TempDir dir;
  write_model(dir, {});
  EXPECT_TRUE(says(error_of([&] { load_checkpoint(dir.path()); }), "holds no tensors"));
}

// ---- Bad input -------------------------------------------------------------------------------

TEST(Checkpoint, MissingModelIsNotFound) {
  const TempDir dir;
  EXPECT_EQ(error_of([&] { load_checkpoint(dir / "gone"); }).kind(), ErrorKind::kNotFound);
  EXPECT_EQ(error_of([&] { load_checkpoint(dir.path()); }).kind(), ErrorKind::kNotFound);
  EXPECT_EQ(error_of([&] { load_checkpoint({}); }).kind(), ErrorKind::kNotFound);
}

TEST(Checkpoint, TextFileIsUnreadable) {
  const TempDir dir;
  const auto path = write_file(dir / "model.safetensors", "This is not a model, but a sentence.");
  EXPECT_EQ(error_of([&] { load_checkpoint(path); }).kind(), ErrorKind::kRead);
}

// Truncated anywhere: in the length, in the header, in the data.
TEST(Checkpoint, TruncatedModelIsUnreadable) {
  const TempDir dir;
  std::filesystem::copy_file(kTiny / "config.json", dir / "config.json");
  const auto path = dir / "model.safetensors";
  write_file(path, file_contents(kTiny / "model.safetensors"));
  std::mt19937 random(5);
  for (std::uintmax_t size = std::filesystem::file_size(path); size > 0;) {
    size = std::min<std::uintmax_t>(size - 1, size - random() % (size / 8 + 1));
    std::filesystem::resize_file(path, size);
    EXPECT_EQ(error_of([&] { load_checkpoint(dir.path()); }).kind(), ErrorKind::kRead) << size;
  }
}

// A damaged header of a whole model is refused or changes nothing that matters: only Error escapes.
TEST(Checkpoint, DamagedModelsAreRefusedOrComplete) {
  const TempDir dir;
  write_model(dir, raw_tensors(tensors_of(small_config())));
  const std::string good = file_contents(dir / "model.safetensors");
  const std::size_t header_end =
      8 + static_cast<unsigned char>(good[0]) + 256 * static_cast<unsigned char>(good[1]);
  ASSERT_EQ(good[header_end - 1], '}');
  std::mt19937 random(6);
  constexpr std::string_view kReplacements = "\"{}[]:,-0123456789.BF8IU\\ \xFFtext";
  int refused = 0;
  constexpr int kTrials = 3000;
  for (int i = 0; i < kTrials; ++i) {
    std::string damaged = good;
    damaged[random() % header_end] = kReplacements[random() % kReplacements.size()];
    write_file(dir / "model.safetensors", damaged);
    try {
      EXPECT_EQ(load_checkpoint(dir.path()).tensors().size(),
                expected_tensors(small_config()).size());
    } catch (const Error &error) {
      EXPECT_TRUE(error.kind() == ErrorKind::kRead || error.kind() == ErrorKind::kMismatch)
          << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, kTrials * 8 / 10);  // the rest hit the same byte again, or the metadata
}

}  // namespace
}  // namespace moondream
