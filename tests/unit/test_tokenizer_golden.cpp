// Ids and texts equal those of Hugging Face tokenizers 0.23: see tests/data/tokenizers/README.md.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tokenizer_fixture.h"

namespace moondream::test {
namespace {

class GoldenTokenizer : public testing::TestWithParam<std::string> {};

// If this fails, prompts reach the model as other tokens than it was trained on.
TEST_P(GoldenTokenizer, EncodesAndDecodesLikeTheReference) {
  const auto tokenizer = load_tokenizer(kTokenizerData / (GetParam() + ".json"));
  const auto expected = read_json(kTokenizerData / (GetParam() + ".expected.json"));
  EXPECT_EQ(tokenizer->vocab_size(), expected.at("vocab_size"));
  expect_cases(*tokenizer, expected.at("cases"));
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, GoldenTokenizer,
                         testing::Values("gpt2-codegen", "superword"), [](const auto &test) {
                           return test.param == "superword" ? "Superword" : "Gpt2";
                         });

// Newer files write a merge as a pair of tokens, older ones as a string with a space.
TEST(GoldenTokenizerForms, MergesAsPairsMeanTheSameAsMergesAsStrings) {
  auto json = read_json(kTokenizerData / "gpt2-codegen.json");
  for (auto &merge : json["model"]["merges"]) {
    ASSERT_TRUE(merge.is_string());
    const std::string line = merge;
    const auto space = line.find(' ');
    merge = {line.substr(0, space), line.substr(space + 1)};
  }
  const auto tokenizer = load_json(json.dump());
  expect_cases(*tokenizer, read_json(kTokenizerData / "gpt2-codegen.expected.json").at("cases"));
}

// Each component on its own: the superword vocabulary with other sections. One test for all, as
// what is tested is in the file.
TEST(TokenizerComponents, WorkLikeTheReference) {
  const auto superword = read_json(kTokenizerData / "superword.json");
  for (const auto &variant : read_json(kTokenizerData / "variants.json")) {
    SCOPED_TRACE(variant.at("name"));
    auto json = superword;
    json.update(variant.at("sections"));
    expect_cases(*load_json(json.dump()), variant.at("cases"));
  }
}

// Any folder of NAME.json and NAME.expected.json, for vectors that the project does not ship.
TEST(GoldenTokenizerFolder, OfTheEnvironmentIsMatched) {
  const char *folder = std::getenv("MOONDREAM_TOKENIZER_GOLDEN");
  if (!folder) GTEST_SKIP() << "MOONDREAM_TOKENIZER_GOLDEN names no folder";
  int files = 0;
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    const auto expected = std::filesystem::path(entry.path()).replace_extension(".expected.json");
    if (entry.path().extension() != ".json" || !std::filesystem::exists(expected)) continue;
    SCOPED_TRACE(entry.path());
    const auto json = read_json(expected);
    const auto tokenizer = load_tokenizer(entry.path());
    EXPECT_EQ(tokenizer->vocab_size(), json.at("vocab_size"));
    expect_cases(*tokenizer, json.at("cases"));
    ++files;
  }
  EXPECT_GT(files, 0) << "no NAME.json with NAME.expected.json in " << folder;
}

}  // namespace
}  // namespace moondream::test
