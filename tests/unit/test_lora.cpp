#include "lora.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "checkpoint_support.h"
#include "layers.h"
#include "text.h"
#include "torch_support.h"

namespace moondream {
namespace {

using test::error_of;
using test::pickle_of;
using test::pickled;
using test::pickled_dict;
using test::RawTensor;
using test::safetensors_of;
using test::says;
using test::TempDir;
using test::write_file;

const std::filesystem::path kTiny =
    std::filesystem::path(MOONDREAM_TEST_DATA) / "golden" / "moondream2-tiny";

const std::filesystem::path kThree =
    std::filesystem::path(MOONDREAM_TEST_DATA) / "golden" / "moondream3-tiny";

Config tiny_config() { return read_config(kTiny / "config.json"); }

RawTensor numbers(const std::string &name, std::vector<std::int64_t> shape,
                  const std::string &dtype = "F32") {
  std::size_t bytes = dtype == "F32" ? 4 : 1;
  for (const std::int64_t size : shape) bytes *= static_cast<std::size_t>(size);
  return {name, dtype, std::move(shape), std::string(bytes, '\0')};
}

constexpr const char *kQkv = "text_model.transformer.h.0.mixer.Wqkv.parametrizations.weight.0.";

// What loading a variant with just these tensors throws.
Error error_with(const std::vector<RawTensor> &tensors) {
  const TempDir dir;
  const auto path = write_file(dir / "final.safetensors", safetensors_of(tensors));
  const Error error = error_of([&] { load_lora(path, tiny_config()); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch) << error.what();
  EXPECT_TRUE(says(error, path.string())) << error.what();
  return error;
}

TEST(Lora, ReferencesFormatLoadsUnderOurNames) {
  for (const char *file : {"lora-demo.pt", "lora-demo.safetensors"}) {
    const LoraTensors tensors = load_lora(kTiny / file, tiny_config());
    ASSERT_EQ(tensors.size(), 3u * 4 * 2);
    EXPECT_EQ(tensors.at("text.blocks.2.attn.qkv.A").sizes(), (at::IntArrayRef{8, 128}));
    EXPECT_EQ(tensors.at("text.blocks.2.attn.qkv.B").sizes(), (at::IntArrayRef{384, 8}));
    EXPECT_EQ(tensors.at("text.blocks.0.mlp.fc2.A").sizes(), (at::IntArrayRef{8, 256}));
  }
}

TEST(Lora, DirectoryWithOneFileStandsForIt) {
  const TempDir dir;
  std::filesystem::copy_file(kTiny / "lora-demo.pt", dir / "final.pt");
  EXPECT_EQ(load_lora(dir.path(), tiny_config()).size(), 24u);
}

// The reference asks for additions to the MLP of every block, and Moondream 3's blocks of experts
// do nothing with theirs.
TEST(Lora, ReferencesFormatOfMoondream3AddsNothingToExperts) {
  const Config config = load_checkpoint(kThree).config();
  std::vector<RawTensor> tensors;
  for (int block = 0; block < 4; ++block) {
    struct {
      const char *layer;
      std::int64_t out, in;
    } const layers[] = {{"mixer.Wqkv", 384, 128},
                        {"mixer.out_proj", 128, 128},
                        {"mlp.fc1", 256, 128},
                        {"mlp.fc2", 128, 256}};
    for (const auto &[layer, out, in] : layers) {
      std::string key = "text_model.transformer.h.";
      key += std::to_string(block) + "." + layer;
      tensors.push_back(numbers(key + ".parametrizations.weight.0.A", {2, in}));
      tensors.push_back(numbers(key + ".parametrizations.weight.0.B", {out, 2}));
    }
  }
  const TempDir dir;
  const LoraTensors found =
      load_lora(write_file(dir / "1000.pt", test::torch_file_of(tensors)), config);
  EXPECT_EQ(found.size(), 4u * 2 * 2 + 2 * 2 * 2);  // attention of all blocks, MLPs of two
  EXPECT_TRUE(found.contains("text.blocks.1.mlp.fc2.B"));
  EXPECT_TRUE(found.contains("text.blocks.3.attn.proj.A"));
  EXPECT_FALSE(found.contains("text.blocks.2.mlp.fc1.A"));
}

// The service's training code stores its module, which has its parts under two names.
TEST(Lora, FineTunesOfTheServiceLoadUnderOurNames) {
  const TempDir dir;
  const auto tensor = [](const std::string &record, std::int64_t rows, std::int64_t columns) {
    return test::pickled_tensor(test::pickled_storage("FloatStorage", record, rows * columns), 0,
                                {rows, columns}, {columns, 1});
  };
  std::vector<std::pair<std::string, std::string>> items;
  for (const char *module : {"_text", "text_lora"}) {
    const std::string prefix = std::string(module) + ".";
    items.emplace_back(prefix + "dense.1.up_a", tensor("0", 2, 128));
    items.emplace_back(prefix + "dense.1.up_b", tensor("1", 256, 2));
    items.emplace_back(prefix + "dense.1.down_a", tensor("1", 2, 256));
    items.emplace_back(prefix + "dense.1.down_b", tensor("0", 128, 2));
  }
  items.emplace_back("vision_lora.proj_fc2.down", tensor("2", 4, 96));
  items.emplace_back("vision_lora.proj_fc2.up", tensor("3", 128, 4));
  const std::string pickle =
      pickle_of(pickled_dict({{"lora_state_dict", pickled_dict(items)}, {"step", pickled(1000)}}));
  const auto path =
      write_file(dir / "any@1000.pt", test::zip_of({{"x/data.pkl", pickle},
                                                    {"x/data/0", std::string(4 * 2 * 128, 'a')},
                                                    {"x/data/1", std::string(4 * 2 * 256, 'b')},
                                                    {"x/data/2", std::string(4 * 4 * 96, 'c')},
                                                    {"x/data/3", std::string(4 * 4 * 128, 'd')}}));
  const LoraTensors tensors = load_lora(path, tiny_config());
  std::vector<std::string> names;
  for (const auto &[name, loaded] : tensors) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"text.blocks.1.mlp.fc1.A", "text.blocks.1.mlp.fc1.B",
                                             "text.blocks.1.mlp.fc2.A", "text.blocks.1.mlp.fc2.B",
                                             "vision.proj_mlp.fc2.A", "vision.proj_mlp.fc2.B"}));
  EXPECT_EQ(tensors.at("text.blocks.1.mlp.fc2.A").sizes(), (at::IntArrayRef{2, 256}));
  EXPECT_EQ(tensors.at("vision.proj_mlp.fc2.B").sizes(), (at::IntArrayRef{128, 4}));
}

// Fine-tunes of Moondream 3, whose blocks of experts are counted for themselves. What a variant
// adds is as if it were in the weights.
TEST(Lora, FineTunesOfExpertsComputeAsIfTheWeightsHadThem) {
  at::manual_seed(1);
  const Checkpoint plain = load_checkpoint(kThree);
  const std::int64_t experts = 8, inner = 48, dim = 128, rank = 3;
  std::map<std::string, at::Tensor> additions;
  std::vector<RawTensor> file;
  const auto add = [&](const std::string &key, const std::string &name, at::Tensor tensor) {
    file.push_back(test::raw("text_lora." + key, tensor));
    additions.emplace(name, tensor);
  };
  for (const std::string block : {"0", "1"}) {
    const std::string ours = "text.blocks." + std::to_string(2 + std::stoi(block)) + ".mlp.";
    const auto random = [](at::IntArrayRef shape) { return at::randn(shape) * 0.1; };
    add("moe." + block + ".up_a", ours + "fc1.A", random({experts, rank, dim}));
    add("moe." + block + ".up_b", ours + "fc1.B", random({experts, 2 * inner, rank}));
    add("moe." + block + ".down_a", ours + "fc2.A", random({experts, rank, inner}));
    add("moe." + block + ".down_b", ours + "fc2.B", random({experts, dim, rank}));
  }
  const TempDir dir;
  const auto path = write_file(dir / "tune@100.safetensors", safetensors_of(file));
  const LoraTensors variant = load_lora(path, plain.config());
  EXPECT_EQ(variant.size(), 8u);
  EXPECT_EQ(variant.at("text.blocks.3.mlp.experts.fc1.B").sizes(),
            (at::IntArrayRef{experts, 2 * inner, rank}));

  std::map<std::string, at::Tensor> merged = plain.tensors();
  for (auto &[name, tensor] : merged) {
    const std::string layer = name.substr(0, name.rfind('.'));
    if (!name.ends_with(".weight") || !additions.contains(layer + ".A")) continue;
    at::Tensor sum = tensor.to(at::kFloat).clone();
    for (std::int64_t e = 0; e < experts; ++e) {
      sum[e] += at::matmul(additions.at(layer + ".B")[e], additions.at(layer + ".A")[e]);
    }
    tensor = sum;
  }
  const Checkpoint other(plain.config(), merged);
  const auto output = [](const Checkpoint &checkpoint, const LoraTensors *tensors) {
    const WeightSource weights(checkpoint, c10::Device(c10::kCPU), c10::kFloat, std::nullopt,
                               tensors);
    const TextModel text(weights);
    KvCache cache(static_cast<std::size_t>(text.config().n_layers));
    const std::vector<std::int64_t> ids = {1, 327, 2, 638, 3, 500, 600};
    const TextSegment segment{nullptr, &cache, std::ssize(ids)};
    return text.lm_head(text.forward(text.embed(ids), {&segment, 1}));
  };
  const at::Tensor found = output(plain, &variant), expected = output(other, nullptr);
  // The same sums of float32 products in another order, through four blocks.
  EXPECT_TRUE(at::allclose(found, expected, 1e-4, 1e-4)) << (found - expected).abs().max();
  EXPECT_FALSE(at::allclose(output(plain, nullptr), expected, 1e-2, 1e-2));
}

TEST(Lora, ExpertsThatDoNotFitAreNamed) {
  const TempDir dir;
  const auto error = [&](const std::vector<RawTensor> &tensors, const Config &config) {
    const auto path = write_file(dir / "tune.safetensors", safetensors_of(tensors));
    return error_of([&] { load_lora(path, config); });
  };
  const Config three = load_checkpoint(kThree).config();
  const RawTensor b = numbers("moe.1.up_b", {8, 96, 2});
  EXPECT_TRUE(says(error({numbers("moe.1.up_a", {8, 2, 128})}, three), "experts.fc1.B"));
  EXPECT_TRUE(says(error({numbers("moe.1.up_a", {7, 2, 128}), b}, three), "[7, 2, 128]"));
  EXPECT_TRUE(says(error({numbers("moe.1.up_a", {8, 3, 128}), b}, three), "[8, 3, 128]"));
  EXPECT_TRUE(says(error({numbers("moe.2.up_a", {8, 2, 128})}, three), "text.blocks.4"));
  EXPECT_TRUE(says(error({numbers("moe.0.up_a", {8, 2, 128})}, tiny_config()), "moe.0.up_a"));
}

TEST(Lora, WhatDoesNotFitIsNamed) {
  const std::string a = std::string(kQkv) + "A", b = std::string(kQkv) + "B";
  EXPECT_TRUE(says(error_with({numbers(a, {8, 128})}), "qkv.B"));
  EXPECT_TRUE(says(error_with({numbers(a, {8, 127}), numbers(b, {384, 8})}), "[8, 127]"));
  EXPECT_TRUE(says(error_with({numbers(a, {8, 128}), numbers(b, {384, 4})}), "[384, 4]"));
  EXPECT_TRUE(says(error_with({numbers(a, {0, 128}), numbers(b, {384, 0})}), "rank"));
  EXPECT_TRUE(says(error_with({numbers(a, {8, 128}, "U8"), numbers(b, {384, 8})}), "Byte"));
  EXPECT_TRUE(says(error_with({numbers(a, {8}), numbers(b, {384, 8})}), "[8]"));
  EXPECT_TRUE(says(error_with({numbers("text_model.transformer.h.9.mlp.fc1.A", {8, 128})}),
                   "text.blocks.9.mlp.fc1.A"));
  EXPECT_TRUE(says(error_with({numbers("vision.blocks.0.mlp.fc1.A", {8, 32})}), "vision.blocks.0"));
  EXPECT_TRUE(says(error_with({numbers("dense.1.other", {8, 32})}), "dense.1.other"));
  EXPECT_TRUE(says(error_with({}), "no tensors"));
}

TEST(Lora, LowRankAdditionIsTheProductOfBothHalves) {
  at::manual_seed(1);
  const at::Tensor weight = at::randn({5, 4});
  const Linear linear{weight, at::randn({5}), {at::randn({2, 4}), at::randn({5, 2})}};
  const at::Tensor x = at::randn({3, 4}), other = at::randn({3, 4});
  const at::Tensor plain = at::matmul(x, weight.t()) + linear.bias;
  const at::Tensor merged = at::matmul(linear.more.b, linear.more.a);
  // Sums of few float32 products of numbers around 1.
  EXPECT_TRUE(at::allclose(linear(x), plain + at::matmul(x, merged.t()), 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(linear(x, other), plain + at::matmul(other, merged.t()), 1e-5, 1e-5));
}

}  // namespace
}  // namespace moondream
