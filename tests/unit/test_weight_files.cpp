#include "weight_files.h"

#include <gtest/gtest.h>

#include <ostream>
#include <random>

#include "weights_support.h"

namespace moondream {
namespace {

using test::error_of;
using test::safetensors_of;
using test::says;
using test::TempDir;
using test::write_file;

// A file with one byte-sized tensor.
std::string holding(const std::string &name) { return safetensors_of({{name, "U8", {1}, "x"}}); }

constexpr const char *kIndex = "model.safetensors.index.json";

// Two shards, "a" in the first and "b" in the second, and an index of the given text.
void write_shards(const TempDir &dir, const std::string &index) {
  write_file(dir / "one.safetensors", holding("a"));
  write_file(dir / "two.safetensors", holding("b"));
  write_file(dir / kIndex, index);
}

constexpr const char *kGoodIndex =
    R"({"metadata":{"total_size":2},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})";

TEST(WeightFiles, FileStandsForItself) {
  const TempDir dir;
  const auto files = open_weights(write_file(dir / "any.name", holding("a")));
  ASSERT_EQ(files.size(), 1u);
  EXPECT_TRUE(files[0].tensors().contains("a"));
}

TEST(WeightFiles, DirectoryPrefersItsModelFile) {
  const TempDir dir;
  write_shards(dir, kGoodIndex);
  write_file(dir / "model.safetensors", holding("c"));
  const auto files = open_weights(dir.path());
  ASSERT_EQ(files.size(), 1u);
  EXPECT_TRUE(files[0].tensors().contains("c"));
}

TEST(WeightFiles, DirectoryAndIndexStandForTheShards) {
  const TempDir dir;
  write_shards(dir, kGoodIndex);
  for (const auto &path : {dir.path(), dir / kIndex}) {
    const auto files = open_weights(path);
    ASSERT_EQ(files.size(), 2u);
    EXPECT_TRUE(files[0].tensors().contains("a"));
    EXPECT_TRUE(files[1].tensors().contains("b"));
  }
}

TEST(WeightFiles, DirectoryWithOneFileStandsForIt) {
  const TempDir dir;
  write_file(dir / "demo.safetensors", holding("a"));
  write_file(dir / "notes.txt", "x");
  EXPECT_EQ(open_weights(dir.path()).size(), 1u);
}

TEST(WeightFiles, DirectoryWithTwoFilesLeavesAChoice) {
  const TempDir dir;
  write_file(dir / "one.safetensors", holding("a"));
  write_file(dir / "two.safetensors", holding("b"));
  const Error error = error_of([&] { open_weights(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kRead);
  EXPECT_TRUE(says(error, "2 *.safetensors files")) << error.what();
}

TEST(WeightFiles, EmptyDirectoryHasNoWeights) {
  const TempDir dir;
  const Error error = error_of([&] { open_weights(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(says(error, dir.path().string()) && says(error, "holds no weights")) << error.what();
}

// What to take instead is said for each format that other programs have.
TEST(WeightFiles, ModelsForOtherProgramsAreExplained) {
  const std::pair<const char *, const char *> files[] = {
      {"moondream-0_5b-int4.mf", "MOON\x01"},
      {"moondream-2b-int8.mf.gz", "\x1F\x8B\x08"},
      {"moondream2-text-model-f16.gguf", "GGUF\x03"}};
  for (const auto &[name, begin] : files) {
    const TempDir dir;
    write_file(dir / name, std::string(begin) + std::string(100, 'x'));
    for (const auto &path : {dir.path(), dir / name}) {
      const Error error = error_of([&] { open_weights(path); });
      EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
      EXPECT_TRUE(says(error, name) && says(error, "vikhyatk/moondream2")) << error.what();
    }
  }
}

TEST(WeightFiles, MissingPathIsNotFound) {
  const TempDir dir;
  EXPECT_EQ(error_of([&] { open_weights(dir / "gone"); }).kind(), ErrorKind::kNotFound);
  EXPECT_EQ(error_of([&] { open_weights(dir / "gone.index.json"); }).kind(), ErrorKind::kNotFound);
}

TEST(WeightFiles, ModelFileThatIsADirectoryIsUnreadable) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "model.safetensors");
  EXPECT_EQ(error_of([&] { open_weights(dir.path()); }).kind(), ErrorKind::kRead);
}

TEST(WeightFiles, MissingShardIsNotFoundByName) {
  const TempDir dir;
  write_shards(dir, kGoodIndex);
  std::filesystem::remove(dir / "two.safetensors");
  const Error error = error_of([&] { open_weights(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(says(error, "two.safetensors")) << error.what();
}

struct BadIndex {
  const char *claim;
  std::string text;
  std::vector<std::string> words;
};

void PrintTo(const BadIndex &index, std::ostream *stream) { *stream << index.claim; }

class BadIndices : public testing::TestWithParam<BadIndex> {};

TEST_P(BadIndices, AreRefusedWithTheReason) {
  const TempDir dir;
  write_shards(dir, GetParam().text);
  const Error error = error_of([&] { open_weights(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kRead);
  EXPECT_TRUE(says(error, kIndex)) << error.what();
  for (const std::string &word : GetParam().words) EXPECT_TRUE(says(error, word)) << error.what();
}

const BadIndex kBadIndices[] = {
    {"Empty", "", {"not valid JSON"}},
    {"NotJson", "weight_map", {"not valid JSON"}},
    {"Array", "[]", {"no weight_map"}},
    {"NoMap", "{}", {"no weight_map"}},
    {"MapThatIsAList", R"({"weight_map":["a"]})", {"not an object"}},
    {"EmptyMap", R"({"weight_map":{}})", {"empty"}},
    {"FileThatIsANumber", R"({"weight_map":{"a":1}})", {"\"a\"", "no file name"}},
    {"TensorTwice",
     R"({"weight_map":{"a":"one.safetensors","a":"two.safetensors"}})",
     {"\"a\" twice"}},
    {"TensorInTheOtherShard",
     R"({"weight_map":{"a":"two.safetensors","b":"two.safetensors"}})",
     {"\"a\"", "\"two.safetensors\""}},
    {"TensorOfNoShard", R"({"weight_map":{"c":"one.safetensors"}})", {"\"c\"", "one.safetensors"}},
    {"AbsoluteName",
     R"({"weight_map":{"a":"/etc/passwd"}})",
     {"\"/etc/passwd\"", "beside the index"}},
    {"NameThatClimbs", R"({"weight_map":{"a":"../one.safetensors"}})", {"beside the index"}},
    {"NameBelow", R"({"weight_map":{"a":"sub/one.safetensors"}})", {"beside the index"}},
    {"Parent", R"({"weight_map":{"a":".."}})", {"beside the index"}},
    {"Self", R"({"weight_map":{"a":"."}})", {"beside the index"}},
    {"EmptyName", R"({"weight_map":{"a":""}})", {"beside the index"}},
    {"NameWithANul", R"({"weight_map":{"a":"one.safetensors\u0000"}})", {"beside the index"}},
    {"TooDeep", std::string(1'000'000, '['), {"too deeply"}},
    {"TooLargeANumber", R"({"weight_map":1e999})", {"too large"}},
};

INSTANTIATE_TEST_SUITE_P(WeightFiles, BadIndices, testing::ValuesIn(kBadIndices),
                         [](const auto &test) { return std::string(test.param.claim); });

TEST(WeightFiles, TensorInTwoShardsIsRefused) {
  const TempDir dir;
  write_shards(dir, kGoodIndex);
  write_file(dir / "two.safetensors",
             safetensors_of({{"a", "U8", {1}, "x"}, {"b", "U8", {1}, "x"}}));
  const Error error = error_of([&] { open_weights(dir.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kRead);
  EXPECT_TRUE(says(error, "\"a\"") && says(error, "one.safetensors") &&
              says(error, "two.safetensors"))
      << error.what();
}

TEST(WeightFiles, DamagedIndicesAreRefusedOrConsistent) {
  const TempDir dir;
  std::mt19937 random(3);
  for (std::size_t at = 0; kGoodIndex[at]; ++at) {
    for (const char value : {'\0', '"', '{', '}', '/', '.', static_cast<char>(random())}) {
      std::string damaged = kGoodIndex;
      damaged[at] = value;
      write_shards(dir, damaged);
      try {
        EXPECT_LE(open_weights(dir.path()).size(), 2u);
      } catch (const Error &error) {
        EXPECT_TRUE(error.kind() == ErrorKind::kRead || error.kind() == ErrorKind::kNotFound);
      }
    }
  }
}

}  // namespace
}  // namespace moondream
