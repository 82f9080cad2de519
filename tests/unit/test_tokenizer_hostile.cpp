// Files that are damaged, contradictory, hostile or not for this library: each is one Error that
// names the file and the part, and nothing else happens.
#include <filesystem>

#include "tokenizer_fixture.h"

namespace moondream::test {
namespace {

using Json = nlohmann::json;

// A small file in which everything is right.
Json good() {
  return Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 4, "content": "<s>", "single_word": false, "lstrip": false,
                      "rstrip": false, "normalized": true, "special": true}],
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "x+"}, "content": "a"}]},
    "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed",
                      "invert": false},
    "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false,
                       "use_regex": true},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"},
      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "dropout": null, "unk_token": "a", "continuing_subword_prefix": "",
              "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
              "vocab": {"a": 0, "b": 1, "ab": 2, "c": 3}, "merges": ["a b"]}})");
}

struct BadFile {
  const char *name;
  const char *pointer;  // what is replaced in the good file (RFC 6901)
  const char *value;    // by this JSON, or removed if empty
  ErrorKind kind;
  const char *part;  // of the error's text
};

std::ostream &operator<<(std::ostream &out, const BadFile &file) { return out << file.name; }

constexpr auto kRead = ErrorKind::kRead;
constexpr auto kMismatch = ErrorKind::kMismatch;

constexpr BadFile kBadFiles[] = {
    // The whole
    {"Number", "", "1", kRead, "expected an object"},
    {"Null", "", "null", kRead, "expected an object"},
    {"ModelMissing", "/model", "", kRead, "\"model\" is missing"},
    {"ModelArray", "/model", "[]", kRead, "model: expected an object"},
    {"UnknownSection", "/surprise", "{}", kMismatch, "surprise"},
    {"FutureVersion", "/version", "\"2.0\"", kMismatch, "version"},
    {"Truncation", "/truncation", "{\"max_length\": 3}", kMismatch, "truncation"},
    {"Padding", "/padding", "{}", kMismatch, "padding"},
    {"PostProcessor", "/post_processor", "{\"type\": \"BertProcessing\"}", kMismatch,
     "BertProcessing"},
    // Components
    {"NormalizerType", "/normalizer/normalizers/0/type", "\"Nmt\"", kMismatch,
     "normalizers[0]: type \"Nmt\""},
    {"NormalizerNoType", "/normalizer/normalizers/0/type", "", kRead, "\"type\" is missing"},
    {"NormalizerNotList", "/normalizer/normalizers", "3", kRead, "expected an array"},
    {"NormalizerSetting", "/normalizer/normalizers/0/loud", "true", kMismatch, "loud"},
    {"ReplaceContent", "/normalizer/normalizers/1/content", "7", kRead, "expected a string"},
    {"RegexSyntax", "/normalizer/normalizers/1/pattern/Regex", "\"(\"", kMismatch, "\"(\""},
    {"RegexHex", "/normalizer/normalizers/1/pattern/Regex", "\"a\\\\h\"", kMismatch, "\\h"},
    {"RegexPossessive", "/normalizer/normalizers/1/pattern/Regex", "\"\\\\p{L}a{1,3}+\"", kMismatch,
     "{1,3}+"},
    {"RegexFlag", "/normalizer/normalizers/1/pattern/Regex", "\"(?im:a)\"", kMismatch, "(?im"},
    {"RegexEmpty", "/normalizer/normalizers/1/pattern/Regex", "\"\"", kMismatch, "empty pattern"},
    {"PatternBoth", "/normalizer/normalizers/1/pattern/String", "\"x\"", kRead, "either"},
    {"PreTokenizerType", "/pre_tokenizer", "{\"type\": \"Metaspace\"}", kMismatch, "Metaspace"},
    {"SplitBehavior", "/pre_tokenizer/behavior", "\"Shredded\"", kMismatch, "Shredded"},
    {"SplitInvert", "/pre_tokenizer/invert", "\"no\"", kRead, "invert: expected true or false"},
    {"SplitNoInvert", "/pre_tokenizer/invert", "", kRead, "\"invert\" is missing"},
    {"DecoderType", "/decoder/decoders/0/type", "\"WordPiece\"", kMismatch, "WordPiece"},
    {"StripTwoCharacters", "/decoder/decoders/1/content", "\"ab\"", kRead, "one character"},
    {"StripNegative", "/decoder/decoders/1/start", "-1", kRead, "-1"},
    // The model
    {"ModelType", "/model/type", "\"Unigram\"", kMismatch, "Unigram"},
    {"ModelSetting", "/model/sparkle", "1", kMismatch, "sparkle"},
    {"Dropout", "/model/dropout", "0.1", kMismatch, "dropout"},
    {"Prefix", "/model/continuing_subword_prefix", "\"##\"", kMismatch, "##"},
    {"Suffix", "/model/end_of_word_suffix", "\"</w>\"", kMismatch, "</w>"},
    {"FuseUnk", "/model/fuse_unk", "1", kRead, "fuse_unk"},
    {"UnkTokenUnknown", "/model/unk_token", "\"<unk>\"", kRead, "<unk>"},
    {"VocabMissing", "/model/vocab", "", kRead, "vocab"},
    {"VocabList", "/model/vocab", "[\"a\"]", kRead, "vocab"},
    {"IdNegative", "/model/vocab/b", "-1", kRead, "\"b\": -1"},
    {"IdEnormous", "/model/vocab/b", "2000000000", kRead, "2000000000"},
    {"IdOver64Bits", "/model/vocab/b", "18446744073709551615", kRead, "18446744073709551615"},
    {"IdFloat", "/model/vocab/b", "1.0", kRead, "expected an integer"},
    {"IdString", "/model/vocab/b", "\"1\"", kRead, "expected an integer"},
    {"IdDuplicate", "/model/vocab/b", "0", kRead, "same id 0"},
    {"MergesMissing", "/model/merges", "", kRead, "merges"},
    {"MergesObject", "/model/merges", "{}", kRead, "merges: expected an array"},
    {"MergeNumber", "/model/merges/0", "5", kRead, "merges[0]"},
    {"MergeOneToken", "/model/merges/0", "\"ab\"", kRead, "merges[0]"},
    {"MergeThreeTokens", "/model/merges/0", "\"a b c\"", kRead, "merges[0]"},
    {"MergeOneOfPair", "/model/merges/0", "[\"a\"]", kRead, "merges[0]"},
    {"MergePairOfNumbers", "/model/merges/0", "[\"a\", 2]", kRead, "merges[0][1]"},
    {"MergeUnknownLeft", "/model/merges/0", "\"q b\"", kRead, "\"q\""},
    {"MergeUnknownResult", "/model/merges/0", "[\"b\", \"a\"]", kRead, "\"ba\""},
    // Added tokens
    {"AddedNotList", "/added_tokens", "{}", kRead, "added_tokens: expected an array"},
    {"AddedNoFlag", "/added_tokens/0/lstrip", "", kRead, "\"lstrip\" is missing"},
    {"AddedNegative", "/added_tokens/0/id", "-4", kRead, "-4"},
    {"AddedEnormous", "/added_tokens/0/id", "99999999", kRead, "99999999"},
    {"AddedTakenId", "/added_tokens/0/id", "1", kRead, "which is that of \"b\""},
    {"AddedOtherId", "/added_tokens/0/content", "\"b\"", kRead, "has id 4 here and 1"},
    {"AddedEmpty", "/added_tokens/0/content", "\"\"", kRead, "no text"},
    {"AddedSetting", "/added_tokens/0/bold", "true", kMismatch, "bold"},
};

class BadTokenizerJson : public testing::TestWithParam<BadFile> {};

TEST_P(BadTokenizerJson, IsAnErrorThatNamesFileAndPart) {
  const BadFile &bad = GetParam();
  Json json = good();
  const Json::json_pointer pointer(bad.pointer);
  if (*bad.value) {
    json[pointer] = Json::parse(bad.value);
  } else {
    json[pointer.parent_pointer()].erase(pointer.back());
  }
  const Error error = error_of([&] { load_json(json.dump()); });
  EXPECT_EQ(error.kind(), bad.kind);
  EXPECT_TRUE(says(error, bad.part)) << error.what();
  EXPECT_TRUE(says(error, "tokenizer.json")) << error.what();
}

INSTANTIATE_TEST_SUITE_P(Files, BadTokenizerJson, testing::ValuesIn(kBadFiles),
                         [](const auto &test) { return std::string(test.param.name); });

TEST(TokenizerJson, OfTheTestsAboveIsGoodWithoutTheirDamage) {
  const auto tokenizer = load_json(good().dump());
  EXPECT_EQ(tokenizer->encode("ab xxc<s>"), (std::vector{2, 0, 3, 4}));
}

void expect_read_error(const std::string &contents, const char *part) {
  const Error error = error_of([&] { load_json(contents); });
  EXPECT_EQ(error.kind(), ErrorKind::kRead);
  EXPECT_TRUE(says(error, part)) << error.what();
  EXPECT_TRUE(says(error, "tokenizer.json")) << error.what();
}

TEST(TokenizerJson, TruncatedAnywhereIsAnError) {
  const std::string whole = good().dump();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    expect_read_error(whole.substr(0, size), "not valid JSON");
  }
}

TEST(TokenizerJson, WithAKeyTwiceIsAnError) {
  std::string json = good().dump();
  json.replace(json.find("\"a\":0"), 5, "\"a\":0,\"a\":9");
  expect_read_error(json, "\"a\"");
}

TEST(TokenizerJson, NestedAMillionDeepIsAnErrorAndNoStackOverflow) {
  expect_read_error(std::string(1'000'000, '['), "deep");
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += "{\"a\":";
  expect_read_error(objects, "deep");
}

TEST(TokenizerJson, WithIllFormedUtf8IsAnError) {
  std::string json = good().dump();
  json.replace(json.find("\"<s>\""), 5, "\"\xFF\"");
  expect_read_error(json, "not valid JSON");
}

// Flipped bits either leave a file that is as good as another, or are an Error.
TEST(TokenizerJson, WithAFlippedBitIsAnErrorOrWorks) {
  const std::string whole = good().dump();
  std::size_t errors = 0;
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string json = whole;
    json[bit / 8] = static_cast<char>(json[bit / 8] ^ (1 << bit % 8));
    try {
      const auto tokenizer = load_json(json);
      tokenizer->decode(tokenizer->encode("ab xxc <s> \u00E9"));
    } catch (const Error &) {
      ++errors;
    }  // any other exception fails the test
  }
  EXPECT_GT(errors, whole.size()) << "hardly anything was noticed";
}

// A pattern that backtracks for ever must not hang the caller.
TEST(TokenizerJson, WithARegexOfExponentialTimeFailsInBoundedTime) {
  Json json = good();
  json["pre_tokenizer"]["pattern"] = {{"Regex", "(c+)+(c+)+b"}};
  const auto tokenizer = load_json(json.dump());
  EXPECT_NO_THROW(tokenizer->encode("cc cccb"));
  const Error error = error_of([&] { tokenizer->encode(std::string(64, 'c')); });
  EXPECT_EQ(error.kind(), ErrorKind::kFailed);
  EXPECT_TRUE(says(error, "(c+)+(c+)+b")) << error.what();
}

// Thirty rules that each double a text would make a gigabyte of one letter.
TEST(TokenizerJson, WhoseRulesMakeTextGrowForEverFailsBeforeMemoryEnds) {
  Json twice = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  Json steps = Json::array();
  for (int i = 0; i < 30; ++i) steps.push_back(twice);

  Json normalizing = good();
  normalizing["normalizer"]["normalizers"] = steps;
  const auto tokenizer = load_json(normalizing.dump());
  const Error encoding = error_of([&] { tokenizer->encode("a"); });
  EXPECT_EQ(encoding.kind(), ErrorKind::kFailed);
  EXPECT_TRUE(says(encoding, "grow")) << encoding.what();

  Json decoding = good();
  decoding["decoder"]["decoders"] = steps;
  const Error error = error_of([&] { load_json(decoding.dump())->decode(std::vector{0}); });
  EXPECT_EQ(error.kind(), ErrorKind::kFailed);

  // Each byte of what is not printable becomes two, again and again.
  Json cutting = good();
  Json levels = Json::array();
  for (int i = 0; i < 30; ++i) {
    levels.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
  }
  cutting["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", levels}};
  const auto cutter = load_json(cutting.dump());
  EXPECT_EQ(error_of([&] { cutter->encode("\u00E9"); }).kind(), ErrorKind::kFailed);
}

TEST(TokenizerJson, WhoseOwnTokensGrowForEverIsAReadError) {
  Json json = good();
  Json &steps = json["normalizer"]["normalizers"] = Json::array();
  for (int i = 0; i < 30; ++i) {
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", "s"}}}, {"content", "ss"}});
  }
  expect_read_error(json.dump(), "grow");
}

// What rules in use make of the longest text is far from the limit: a space becomes three bytes.
TEST(TokenizerJson, OfUsefulRulesTakesTheLongestText) {
  Json json = good();
  json["added_tokens"] = Json::array();
  json["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
  json["pre_tokenizer"] = nullptr;
  const auto tokenizer = load_json(json.dump());
  EXPECT_NO_THROW(tokenizer->encode(std::string(kMaxTextBytes, ' ')));
}

// ICU takes two kilobytes for each of these; the good file has "x+" already.
TEST(TokenizerJson, WithALongRegularExpressionIsRefused) {
  std::string expression;
  for (int i = 0; i < 2000; ++i) expression += "\\p{L}";
  Json json = good();
  json["pre_tokenizer"]["pattern"] = {{"Regex", expression}};
  const Error error = error_of([&] { load_json(json.dump()); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  EXPECT_TRUE(says(error, "regular expressions of 10002 bytes")) << error.what();
}

// Each of these took hours where a step looked at all of the rest of a long stretch anew: half a
// million steps over half a megabyte.
TEST(TokenizerJson, OfLongStretchesOfWhiteSpaceIsReadInOnePass) {
  Json stripping = good();
  stripping["added_tokens"] = Json::parse(
      R"([{"id": 4, "content": " ", "single_word": false, "lstrip": true, "rstrip": true,
           "normalized": false, "special": false}])");
  const std::string spaces(kMaxTextBytes, ' ');
  EXPECT_NO_THROW(load_json(stripping.dump())->encode(spaces));

  Json decoding = good();
  decoding["model"]["vocab"][spaces] = 5;
  decoding["decoder"]["decoders"][1]["start"] = 2'000'000'000;
  const auto tokenizer = load_json(decoding.dump());
  EXPECT_EQ(tokenizer->decode(std::vector{5}), "");
}

// ---- Paths -------------------------------------------------------------------------------------

TEST(LoadTokenizer, OfADirectoryPrefersTokenizerJson) {
  const TempDir dir;
  write_file(dir / "tokenizer.json", good().dump());
  write_file(dir / "tokenizer.model", "garbage");
  EXPECT_EQ(load_tokenizer(dir.path())->encode("ab"), std::vector{2});
}

TEST(LoadTokenizer, OfADirectoryWithoutOneIsNotFound) {
  const TempDir dir;
  write_file(dir / "config.json", "{}");
  const Error error = error_of([&] { load_tokenizer(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(says(error, dir.path().string())) << error.what();
  EXPECT_TRUE(says(error, "tokenizer.json")) << error.what();
}

TEST(LoadTokenizer, OfAMissingPathIsNotFound) {
  const TempDir dir;
  for (const auto &path :
       {dir / "none.json", dir / "none" / "tokenizer.json",
        write_file(dir / "file", "") / "tokenizer.json", std::filesystem::path()}) {
    const Error error = error_of([&] { load_tokenizer(path); });
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound) << path;
    EXPECT_TRUE(says(error, path.string())) << error.what();
  }
}

TEST(LoadTokenizer, OfAnotherKindOfFileSaysWhichKindsThereAre) {
  const TempDir dir;
  const Error error = error_of([&] { load_tokenizer(write_file(dir / "vocab.txt", "a")); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  EXPECT_TRUE(says(error, "vocab.txt")) << error.what();
  EXPECT_TRUE(says(error, ".model")) << error.what();
}

TEST(LoadTokenizer, OfAnEmptyFileIsAReadError) {
  const TempDir dir;
  for (const char *name : {"tokenizer.json", "tokenizer.model"}) {
    const Error error = error_of([&] { load_tokenizer(write_file(dir / name, "")); });
    EXPECT_EQ(error.kind(), ErrorKind::kRead) << name;
    EXPECT_TRUE(says(error, name)) << error.what();
  }
}

// /dev/zero never ends.
TEST(LoadTokenizer, OfADeviceIsAReadError) {
  const TempDir dir;
  std::filesystem::create_symlink("/dev/zero", dir / "tokenizer.json");
  const Error error = error_of([&] { load_tokenizer(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kRead);
  EXPECT_TRUE(says(error, "not a regular file")) << error.what();
}

}  // namespace
}  // namespace moondream::test
