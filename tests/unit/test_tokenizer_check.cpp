#include "tokenizer_check.h"

#include <gtest/gtest.h>

#include "release.h"
#include "test_support.h"

namespace moondream {
namespace {

using test::error_of;
using test::says;
using test::TempDir;
using test::write_file;

const std::filesystem::path kTokenizers = std::filesystem::path(MOONDREAM_TEST_DATA) / "tokenizers";

TokenizerConfig of(Release release) {
  Config config;
  apply_release(release, config);
  return config.tokenizer;
}

// What tells starmie's vocabulary from others: a token for what begins a prompt.
std::unique_ptr<const Tokenizer> starmie_like(int id) {
  const TempDir dir;
  return load_tokenizer(write_file(
      dir / "tokenizer.json",
      R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 3}, "merges": []}, "added_tokens": [)"
      R"({"id": )" +
          std::to_string(id) +
          R"(, "content": "<|md_reserved_0|>", "special": true, "single_word": false,)"
          R"( "lstrip": false, "rstrip": false, "normalized": false}]})"));
}

// The snapshot of 2025-06-21 as it can be downloaded.
TEST(TokenizerCheck, OutdatedTokenizerIsExplained) {
  const auto gpt2 = load_tokenizer(kTokenizers / "gpt2-codegen.json");
  for (const Release release : {Release::k20250621, Release::kMoondream3}) {
    const Error error = error_of([&] { check_tokenizer(of(release), *gpt2, "/models/md"); });
    EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
    for (const char *words : {"/models/md", "moondream/starmie-v1", "2025-04-14", "older models"}) {
      EXPECT_TRUE(says(error, words)) << error.what();
    }
  }
}

TEST(TokenizerCheck, RightOnesPass) {
  check_tokenizer(of(Release::k20250621), *starmie_like(1), "m");
  for (const char *file : {"gpt2-codegen.json"}) {
    const auto gpt2 = load_tokenizer(kTokenizers / file);
    for (const Release release : {Release::kMoondream1, Release::k20240520, Release::k20250327}) {
      check_tokenizer(of(release), *gpt2, "m");
    }
  }
}

TEST(TokenizerCheck, LaterTokenizerIsNoneOfOlderModels) {
  const Error error =
      error_of([] { check_tokenizer(of(Release::k20250109), *starmie_like(1), "m"); });
  EXPECT_TRUE(says(error, "later ones")) << error.what();
}

TEST(TokenizerCheck, OtherPlacesOfTheTokenAreOtherVocabularies) {
  const Error error =
      error_of([] { check_tokenizer(of(Release::k20250621), *starmie_like(2), "m"); });
  EXPECT_TRUE(says(error, "<|md_reserved_0|>")) << error.what();
}

// A model with prompts of its own may have any vocabulary.
TEST(TokenizerCheck, TemplatesThatAreNotPublishedAreNotChecked) {
  TokenizerConfig config = of(Release::k20250621);
  config.templates.query->prefix = {1, 2, 3};
  check_tokenizer(config, *load_tokenizer(kTokenizers / "superword.json"), "m");
  config.templates.query.reset();
  check_tokenizer(config, *load_tokenizer(kTokenizers / "superword.json"), "m");
}

}  // namespace
}  // namespace moondream
