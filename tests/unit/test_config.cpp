#include "config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <random>

#include "config_json.h"
#include "release.h"
#include "weights_support.h"

namespace moondream {
namespace {

using test::error_of;
using test::file_contents;
using test::says;
using test::TempDir;
using test::write_file;

const std::filesystem::path kTiny =
    std::filesystem::path(MOONDREAM_TEST_DATA) / "golden" / "moondream2-tiny" / "config.json";

Config parse(const std::string &json) { return parse_config(json, "config.json"); }

// ---- What it says ----------------------------------------------------------------------------

TEST(Config, DefaultsAreMoondream2AndValid) {
  const Config config;
  config.validate("defaults");
  EXPECT_EQ(config.text.head_dim(), 64);
  EXPECT_EQ(config.text.rotary_dim(), 32);
  EXPECT_EQ(config.text.qkv_dim(), 6144);
  EXPECT_EQ(config.vision.grid(), 27);
  EXPECT_EQ(config.vision.n_patches(), 729);
  EXPECT_EQ(config.vision.patch_dim(), 588);
  EXPECT_EQ(config.vision.head_dim(), 72);
  EXPECT_EQ(config.region.coord_bins(), 1024);
  EXPECT_EQ(config.region.size_bins(), 1024);
  EXPECT_FALSE(config.tokenizer.leading_space_in_query);
  EXPECT_TRUE(config.tokenizer.leading_space_in_object);
  EXPECT_TRUE(config.tokenizer.double_query_suffix);
}

TEST(Config, EveryFieldOfAFileIsRead) {
  const Config config = read_config(kTiny);
  config.validate("tiny");
  EXPECT_EQ(config.text.dim, 128);
  EXPECT_EQ(config.text.ff_dim, 256);
  EXPECT_EQ(config.text.n_layers, 3);
  EXPECT_EQ(config.text.vocab_size, 1024);
  EXPECT_EQ(config.text.max_context, 2048);
  EXPECT_EQ(config.text.n_heads, 2);
  EXPECT_EQ(config.text.n_kv_heads, 2);
  EXPECT_EQ(config.text.prefix_attn, 730);
  EXPECT_EQ(config.vision.enc_dim, 32);
  EXPECT_EQ(config.vision.enc_patch_size, 14);
  EXPECT_EQ(config.vision.enc_n_layers, 27);
  EXPECT_EQ(config.vision.enc_ff_dim, 80);
  EXPECT_EQ(config.vision.enc_n_heads, 2);
  EXPECT_EQ(config.vision.proj_out_dim, 128);
  EXPECT_EQ(config.vision.crop_size, 378);
  EXPECT_EQ(config.vision.in_channels, 3);
  EXPECT_EQ(config.vision.max_crops, 12);
  EXPECT_EQ(config.vision.overlap_margin, 4);
  EXPECT_EQ(config.vision.proj_inner_dim, 96);
  EXPECT_EQ(config.region.dim, 128);
  EXPECT_EQ(config.region.coord_feat_dim, 32);
  EXPECT_EQ(config.region.coord_out_dim, 1024);
  EXPECT_EQ(config.region.size_feat_dim, 64);
  EXPECT_EQ(config.region.size_out_dim, 2048);
  EXPECT_EQ(config.region.inner_dim, 96);
  const TokenizerConfig &tokenizer = config.tokenizer;
  EXPECT_EQ(tokenizer.bos_id, 0);
  EXPECT_EQ(tokenizer.eos_id, 0);
  EXPECT_EQ(tokenizer.answer_id, 3);
  EXPECT_EQ(tokenizer.thinking_id, 4);
  EXPECT_EQ(tokenizer.coord_id, 5);
  EXPECT_EQ(tokenizer.size_id, 6);
  EXPECT_EQ(tokenizer.start_ground_points_id, 7);
  EXPECT_EQ(tokenizer.end_ground_id, 9);
  EXPECT_EQ(tokenizer.templates.caption->short_form, (TokenIds{1, 327, 2, 124, 3}));
  EXPECT_EQ(tokenizer.templates.caption->normal, (TokenIds{1, 327, 2, 638, 3}));
  EXPECT_EQ(tokenizer.templates.caption->long_form, (TokenIds{1, 327, 2, 405, 3}));
  EXPECT_EQ(tokenizer.templates.query->prefix, (TokenIds{1, 153, 2}));
  EXPECT_EQ(tokenizer.templates.query->suffix, (TokenIds{3}));
  EXPECT_EQ(tokenizer.templates.detect->prefix, (TokenIds{1, 723, 476, 2}));
  EXPECT_EQ(tokenizer.templates.detect->suffix, (TokenIds{3}));
  EXPECT_EQ(tokenizer.templates.point->prefix, (TokenIds{1, 258, 2}));
  EXPECT_EQ(tokenizer.templates.point->suffix, (TokenIds{3}));
}

// The older generation of the model differs in nothing that its weights show.
TEST(Config, OlderGenerationIsASetting) {
  const Config config = parse(R"({
    "region": {"size_scale": "linear"},
    "tokenizer": {"leading_space_in_query": true, "leading_space_in_object": false,
                  "double_query_suffix": false,
                  "templates": {"detect": {"prefix": [198, 198, 47504, 25], "suffix": [628]}}}})");
  config.validate("old");
  EXPECT_EQ(config.region.size_scale, SizeScale::kLinear);
  EXPECT_EQ(parse(R"({"region": {"size_scale": "log2"}})").region.size_scale, SizeScale::kLog2);
  EXPECT_TRUE(config.tokenizer.leading_space_in_query);
  EXPECT_FALSE(config.tokenizer.leading_space_in_object);
  EXPECT_FALSE(config.tokenizer.double_query_suffix);
  EXPECT_EQ(config.tokenizer.templates.detect->suffix, (TokenIds{628}));
  // What the file does not say stays.
  EXPECT_EQ(config.tokenizer.templates.point->prefix, (TokenIds{1, 2581, 2}));
}

TEST(Config, PublishedEmptyConfigMeansTheDefaults) {
  const Config config = parse(
      R"({"architectures": ["HfMoondream"], "auto_map": {}, "config": {},
          "model_type": "moondream1", "torch_dtype": "bfloat16"})");
  config.validate("published");
  EXPECT_EQ(config.text.dim, 2048);
  EXPECT_EQ(parse("{}").vision.enc_dim, 1152);
  EXPECT_EQ(parse(R"({"config": null, "text": null})").text.dim, 2048);
}

TEST(Config, SectionsMayBeInsideConfig) {
  EXPECT_EQ(parse(R"({"config": {"text": {"dim": 1024, "n_heads": 16}}})").text.dim, 1024);
}

TEST(Config, GivenDefaultsStayWhereTheFileIsSilent) {
  Config defaults;
  defaults.text.dim = 256;
  defaults.text.ff_dim = 512;
  const Config config = parse_config(R"({"text": {"dim": 128}})", "config.json", defaults);
  EXPECT_EQ(config.text.dim, 128);
  EXPECT_EQ(config.text.ff_dim, 512);
}

// The 0.5B model's file gives n_heads 16 and no n_kv_heads.
TEST(Config, KeyHeadsFollowHeads) {
  EXPECT_EQ(parse(R"({"text": {"n_heads": 16}})").text.n_kv_heads, 16);
  EXPECT_EQ(parse(R"({"text": {"n_heads": 16, "n_kv_heads": null}})").text.n_kv_heads, 16);
  EXPECT_EQ(parse(R"({"text": {"n_heads": 16, "n_kv_heads": 4}})").text.n_kv_heads, 4);
  EXPECT_EQ(parse(R"({"text": {"n_kv_heads": 8}})").text.n_kv_heads, 8);
}

TEST(Config, PrefixFollowsThePictureSize) {
  EXPECT_EQ(parse(R"({"vision": {"crop_size": 196}})").text.prefix_attn, 197);
  EXPECT_EQ(parse(R"({"vision": {"crop_size": 196}, "text": {"prefix_attn": 5}})").text.prefix_attn,
            5);
}

TEST(Config, GroupedQueryAttentionNarrowsTheProjection) {
  const Config config = parse(R"({"text": {"dim": 256, "n_heads": 4, "n_kv_heads": 2}})");
  EXPECT_EQ(config.text.head_dim(), 64);
  EXPECT_EQ(config.text.qkv_dim(), 512);
}

TEST(Config, NullTemplateIsASkillTheModelLacks) {
  const Config config =
      parse(R"({"tokenizer": {"templates": {"caption": {"long": null}, "point": null}}})");
  config.validate("no points");
  EXPECT_FALSE(config.tokenizer.templates.point);
  EXPECT_TRUE(config.tokenizer.templates.detect);
  EXPECT_TRUE(config.tokenizer.templates.caption->long_form.empty());
  EXPECT_FALSE(config.tokenizer.templates.caption->normal.empty());
  EXPECT_FALSE(
      parse(R"({"tokenizer": {"templates": {"caption": null}}})").tokenizer.templates.caption);
}

TEST(Config, Moondream3sSettingsAreRead) {
  const Config config = parse(R"({
    "text": {"moe": {"num_experts": 8, "start_layer": 2, "experts_per_token": 3,
                     "expert_inner_dim": 48}, "tau_attn": true, "group_size": 128},
    "region": {"group_size": 128},
    "tokenizer": {"suffix_before_thinking": false, "coord_or_eos": true}})");
  EXPECT_EQ(config.text.moe, (MoeConfig{8, 2, 3, 48}));
  EXPECT_TRUE(config.text.has_experts(2));
  EXPECT_FALSE(config.text.has_experts(1));
  EXPECT_TRUE(config.text.tau_attn);
  EXPECT_EQ(config.text.group_size, 128);
  EXPECT_EQ(config.region.group_size, 128);
  EXPECT_FALSE(config.tokenizer.suffix_before_thinking);
  EXPECT_TRUE(config.tokenizer.coord_or_eos);
  config.validate("Moondream 3");
}

TEST(Config, WhatIsOffIsNotAskedFor) {
  const Config config = parse(
      R"({"text": {"moe": null, "tau_attn": false, "group_size": null, "rope_theta": 500000}})");
  EXPECT_EQ(config.text.rope_theta, 500000.0);
}

// ---- What it must not say --------------------------------------------------------------------

struct BadConfig {
  const char *claim;
  std::string json;
  ErrorKind kind;
  std::vector<std::string> words;  // in the message, beside the file's name
};

void PrintTo(const BadConfig &config, std::ostream *stream) { *stream << config.claim; }

class BadConfigs : public testing::TestWithParam<BadConfig> {};

TEST_P(BadConfigs, AreRefusedWithTheReason) {
  const Error error = error_of([] { parse(GetParam().json).validate("config.json"); });
  EXPECT_EQ(error.kind(), GetParam().kind);
  EXPECT_TRUE(says(error, "config.json")) << error.what();
  for (const std::string &word : GetParam().words) EXPECT_TRUE(says(error, word)) << error.what();
}

constexpr auto kRead = ErrorKind::kRead;
constexpr auto kMismatch = ErrorKind::kMismatch;

const BadConfig kBadConfigs[] = {
    {"Empty", "", kRead, {"not valid JSON"}},
    {"NotJson", "{text: 1}", kRead, {"not valid JSON", "byte"}},
    {"InvalidUtf8", "{\"\xC0\":1}", kRead, {"not valid JSON"}},
    {"KeyTwice", R"({"text": {"dim": 1, "dim": 2}})", kRead, {"\"dim\" twice"}},
    {"TooDeep", std::string(1'000'000, '['), kRead, {"too deeply"}},
    {"TooDeepObjects",
     [] {
       std::string text;
       for (int i = 0; i < 100'000; ++i) text += "{\"a\":";
       return text;
     }(),
     kRead,
     {"too deeply"}},
    {"HugeNumber", R"({"text": {"dim": 1e999}})", kRead, {"too large"}},
    {"Array", "[]", kMismatch, {"not a JSON object"}},
    {"Text", "\"text\"", kMismatch, {"not a JSON object"}},
    {"ConfigThatIsAList", R"({"config": []})", kMismatch, {"config is not an object"}},
    {"SectionsInsideAndBeside", R"({"config": {}, "vision": {}})", kMismatch, {"vision"}},
    {"SectionThatIsANumber", R"({"region": 1})", kMismatch, {"region is not an object"}},
    {"TemplatesThatAreAList",
     R"({"tokenizer": {"templates": []}})",
     kMismatch,
     {"tokenizer.templates is not an object"}},
    {"TemplateThatIsAList",
     R"({"tokenizer": {"templates": {"query": []}}})",
     kMismatch,
     {"tokenizer.templates.query is not an object"}},
    {"UnknownSetting", R"({"text": {"n_head": 16}})", kMismatch, {"text", "\"n_head\""}},
    {"UnknownTemplate",
     R"({"tokenizer": {"templates": {"smell": {}}}})",
     kMismatch,
     {"tokenizer.templates", "\"smell\""}},
    {"UnknownAffix",
     R"({"tokenizer": {"templates": {"point": {"infix": []}}}})",
     kMismatch,
     {"tokenizer.templates.point", "\"infix\""}},
    {"TextForANumber", R"({"text": {"dim": "2048"}})", kMismatch, {"text.dim", "whole number"}},
    {"Fraction", R"({"vision": {"crop_size": 378.5}})", kMismatch, {"vision.crop_size"}},
    {"OverInt64", R"({"text": {"dim": 18446744073709551615}})", kMismatch, {"text.dim"}},
    {"NumberForASwitch",
     R"({"tokenizer": {"double_query_suffix": 1}})",
     kMismatch,
     {"tokenizer.double_query_suffix"}},
    {"TextForTheta", R"({"text": {"rope_theta": "10000"}})", kMismatch, {"text.rope_theta"}},
    {"NumberForATemplate",
     R"({"tokenizer": {"templates": {"query": {"prefix": 1}}}})",
     kMismatch,
     {"tokenizer.templates.query.prefix", "not a list"}},
    {"TextInATemplate",
     R"({"tokenizer": {"templates": {"query": {"prefix": ["1"]}}}})",
     kMismatch,
     {"tokenizer.templates.query.prefix"}},
    {"UnknownResizer", R"({"vision": {"resizer": "gimp"}})", kMismatch, {"vision.resizer"}},
    {"UnknownCropping", R"({"vision": {"cropping": "none"}})", kMismatch, {"vision.cropping"}},
    {"UnknownScale", R"({"region": {"size_scale": "log10"}})", kMismatch, {"region.size_scale"}},
    {"FewExperts",
     R"({"text": {"moe": {"num_experts": 4, "experts_per_token": 5}}})",
     kMismatch,
     {"text.moe.experts_per_token is 5"}},
    {"LateExperts",
     R"({"text": {"moe": {"start_layer": 25}}})",
     kMismatch,
     {"text.moe.start_layer is 25"}},
    {"UnknownOfExperts", R"({"text": {"moe": {"top_k": 4}}})", kMismatch, {"text.moe", "top_k"}},
    {"TauWithSharedKeys",
     R"({"text": {"tau_attn": true, "n_heads": 32, "n_kv_heads": 8}})",
     kMismatch,
     {"text.n_kv_heads is 8"}},
    {"OtherGroups", R"({"text": {"group_size": 64}})", kMismatch, {"text.group_size is 64"}},
    {"OtherGroupsOfRegion",
     R"({"region": {"group_size": 32}})",
     kMismatch,
     {"region.group_size is 32"}},

    {"ZeroDim", R"({"text": {"dim": 0}})", kMismatch, {"text.dim is 0"}},
    {"NegativeLayers", R"({"text": {"n_layers": -1}})", kMismatch, {"text.n_layers is -1"}},
    {"HugeDim", R"({"text": {"dim": 9223372036854775807}})", kMismatch, {"text.dim"}},
    {"HugeLayers", R"({"text": {"n_layers": 1000000}})", kMismatch, {"text.n_layers"}},
    {"HugeVocabulary", R"({"text": {"vocab_size": 1000000000}})", kMismatch, {"text.vocab_size"}},
    {"HugeCrop",
     R"({"vision": {"crop_size": 4611686018427387904}})",
     kMismatch,
     {"vision.crop_size"}},
    {"SmallestCrop",
     R"({"vision": {"crop_size": -9223372036854775808}})",
     kMismatch,
     {"vision.crop_size"}},
    {"ZeroPatch", R"({"vision": {"enc_patch_size": 0}})", kMismatch, {"vision.enc_patch_size"}},
    {"PatchOverTheCrop",
     R"({"vision": {"enc_patch_size": 379}})",
     kMismatch,
     {"vision.enc_patch_size"}},
    {"ZeroHeads", R"({"text": {"n_heads": 0}})", kMismatch, {"text.n_heads is 0"}},
    {"HeadsThatDoNotDivide",
     R"({"text": {"n_heads": 30}})",
     kMismatch,
     {"text.dim is 2048", "text.n_heads (30)"}},
    {"MoreKeyHeadsThanHeads", R"({"text": {"n_kv_heads": 64}})", kMismatch, {"text.n_kv_heads"}},
    {"KeyHeadsThatDoNotDivide",
     R"({"text": {"n_kv_heads": 5}})",
     kMismatch,
     {"text.n_heads is 32", "text.n_kv_heads (5)"}},
    {"HeadsTooThinToRotate",
     R"({"text": {"n_heads": 1024}})",
     kMismatch,
     {"text.dim / text.n_heads is 2"}},
    {"VisionHeadsThatDoNotDivide",
     R"({"vision": {"enc_n_heads": 7}})",
     kMismatch,
     {"vision.enc_dim is 1152", "vision.enc_n_heads (7)"}},
    {"CropOfPartialPatches",
     R"({"vision": {"crop_size": 380}})",
     kMismatch,
     {"vision.crop_size is 380", "vision.enc_patch_size (14)"}},
    {"FourChannels", R"({"vision": {"in_channels": 4}})", kMismatch, {"vision.in_channels is 4"}},
    {"NoCrops", R"({"vision": {"max_crops": 0}})", kMismatch, {"vision.max_crops is 0"}},
    {"MarginsThatMeet",
     R"({"vision": {"overlap_margin": 14}})",
     kMismatch,
     {"vision.overlap_margin is 14", "13"}},
    {"PrefixOfAnotherPicture",
     R"({"text": {"prefix_attn": 577}})",
     kMismatch,
     {"text.prefix_attn is 577", "is 730"}},
    {"ContextShorterThanThePicture",
     R"({"text": {"max_context": 730}})",
     kMismatch,
     {"text.prefix_attn is 730", "729"}},
    {"ProjectionOfAnotherWidth",
     R"({"vision": {"proj_out_dim": 1024}})",
     kMismatch,
     {"vision.proj_out_dim is 1024", "text.dim is 2048"}},
    {"RegionOfAnotherWidth",
     R"({"region": {"dim": 1024}})",
     kMismatch,
     {"region.dim is 1024", "text.dim is 2048"}},
    {"OddFeatures",
     R"({"region": {"coord_feat_dim": 255}})",
     kMismatch,
     {"region.coord_feat_dim is 255"}},
    {"OddSizeFeatures",
     R"({"region": {"size_feat_dim": 511}})",
     kMismatch,
     {"region.size_feat_dim is 511"}},
    {"OddSizeBins",
     R"({"region": {"size_out_dim": 2047}})",
     kMismatch,
     {"region.size_out_dim is 2047"}},
    {"OneBin", R"({"region": {"coord_out_dim": 1}})", kMismatch, {"region.coord_out_dim is 1"}},
    {"ThetaBelowOne", R"({"text": {"rope_theta": 0}})", kMismatch, {"text.rope_theta"}},
    {"NegativeId", R"({"tokenizer": {"eos_id": -1}})", kMismatch, {"tokenizer.eos_id", "-1"}},
    {"IdBehindTheVocabulary",
     R"({"tokenizer": {"size_id": 51200}})",
     kMismatch,
     {"tokenizer.size_id", "51200"}},
    {"TemplateBehindTheVocabulary",
     R"({"text": {"vocab_size": 1024}})",
     kMismatch,
     {"tokenizer.templates.caption.short", "32708", "1024"}},
    {"AffixBehindTheVocabulary",
     R"({"tokenizer": {"templates": {"point": {"suffix": [60000]}}}})",
     kMismatch,
     {"tokenizer.templates.point.suffix", "60000"}},
    {"TemplateLongerThanTheContext",
     R"({"text": {"max_context": 734}})",
     kMismatch,
     {"tokenizer.templates.caption.short", "text.max_context"}},
};

INSTANTIATE_TEST_SUITE_P(Config, BadConfigs, testing::ValuesIn(kBadConfigs),
                         [](const auto &test) { return std::string(test.param.claim); });

TEST(Config, NonFiniteThetaIsRefused) {
  for (const double theta : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    Config config;
    config.text.rope_theta = theta;
    EXPECT_TRUE(says(error_of([&] { config.validate("x"); }), "text.rope_theta"));
  }
}

TEST(Config, FileErrorsNameTheFile) {
  const TempDir dir;
  const Error missing = error_of([&] { read_config(dir / "config.json"); });
  EXPECT_EQ(missing.kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(says(missing, (dir / "config.json").string())) << missing.what();

  std::filesystem::create_directory(dir / "folder");
  EXPECT_EQ(error_of([&] { read_config(dir / "folder"); }).kind(), kRead);

  write_file(dir / "broken.json", "{");
  const Error broken = error_of([&] { read_config(dir / "broken.json"); });
  EXPECT_EQ(broken.kind(), kRead);
  EXPECT_TRUE(says(broken, "broken.json")) << broken.what();

  const auto vast = write_file(dir / "vast.json", "");
  std::filesystem::resize_file(vast, 1 << 30);  // sparse
  const Error too_long = error_of([&] { read_config(vast); });
  EXPECT_EQ(too_long.kind(), kRead);
  EXPECT_TRUE(says(too_long, "1073741824")) << too_long.what();
}

// Whatever the file says, it is a valid configuration or an Error.
TEST(Config, DamagedFilesAreRefusedOrValid) {
  const std::string good = file_contents(kTiny);
  std::mt19937 random(4);
  int refused = 0;
  constexpr int kTrials = 4000;
  for (int i = 0; i < kTrials; ++i) {
    std::string damaged = good;
    constexpr std::string_view kReplacements = "\"{}[]:,-0123456789.eE\\ \n\xFFxn";
    for (int n = 1 + static_cast<int>(random() % 3); n > 0; --n) {
      damaged[random() % damaged.size()] = kReplacements[random() % kReplacements.size()];
    }
    if (random() % 4 == 0) damaged.resize(random() % damaged.size());
    try {
      const Config config = parse(damaged);
      config.validate("damaged");
      EXPECT_EQ(config.vision.n_patches() + 1, config.text.prefix_attn);
    } catch (const Error &error) {
      EXPECT_TRUE(error.kind() == kRead || error.kind() == kMismatch) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, kTrials / 3);  // most damage is to digits and spaces
}

// ---- What is written -------------------------------------------------------------------------

// No value is a default, so that a forgotten one is noticed.
constexpr char kEverySetting[] = R"({
  "text": {"dim": 64, "ff_dim": 96, "n_layers": 2, "vocab_size": 512, "max_context": 1024,
           "n_heads": 4, "n_kv_heads": 2, "prefix_attn": 197, "causal_prefix": true,
           "rope_theta": 2e4, "tau_attn": true, "group_size": 128,
           "moe": {"num_experts": 4, "start_layer": 1, "experts_per_token": 2,
                   "expert_inner_dim": 16}},
  "vision": {"enc_dim": 32, "enc_patch_size": 7, "enc_n_layers": 3, "enc_ff_dim": 48,
             "enc_n_heads": 2, "proj_out_dim": 64, "crop_size": 98, "in_channels": 3,
             "max_crops": 6, "overlap_margin": 2, "proj_inner_dim": 80, "cropping": "quarters",
             "exact_gelu": true, "resizer": "vips"},
  "region": {"dim": 64, "coord_feat_dim": 32, "coord_out_dim": 128, "size_feat_dim": 16,
             "size_out_dim": 256, "inner_dim": 72, "size_scale": "linear", "group_size": 128},
  "tokenizer": {"bos_id": 11, "eos_id": 12, "answer_id": 13, "thinking_id": 14, "coord_id": 15,
                "size_id": 16, "start_ground_points_id": 17, "end_ground_id": -1,
                "image_prefix": [21], "image_suffix": [22, 23], "stop_ids": [24],
                "strip_text": true, "leading_space_in_query": true,
                "leading_space_in_object": false, "double_query_suffix": false,
                "suffix_before_thinking": false, "coord_or_eos": true,
                "templates": {"caption": {"short": [31], "normal": [32, 33], "long": []},
                              "query": {"prefix": [34], "suffix": []},
                              "detect": null,
                              "point": {"prefix": [], "suffix": [35]},
                              "segment": {"prefix": [36], "suffix": [37]}}}})";

TEST(ConfigJson, IsWhatWasReadForEverySetting) {
  const auto settings = nlohmann::ordered_json::parse(kEverySetting);
  EXPECT_EQ(config_json(parse(kEverySetting)), settings);
  const auto defaults = config_json(Config{});
  for (const auto &[section, keys] : settings.items()) {
    EXPECT_EQ(defaults[section].size(), keys.size()) << section;
    for (const auto &[key, value] : keys.items()) {
      if (key == "in_channels") continue;  // always 3
      EXPECT_NE(defaults[section][key], value) << section << "." << key;
    }
  }
}

TEST(ConfigJson, OfEveryReleaseIsReadAsTheSame) {
  for (const char *name : {"moondream1", "2024-03-13", "2024-04-02", "2024-05-20", "2024-08-26",
                           "2025-01-09", "2025-03-27", "2025-06-21", "moondream3"}) {
    Config config;
    apply_release(*release_named(name), config);
    const auto json = config_json(config);
    EXPECT_EQ(config_json(parse(json.dump())), json) << name;
  }
}

}  // namespace
}  // namespace moondream
