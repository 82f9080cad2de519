// Runs the target that it is linked with over its corpus, and over damaged copies of that.
//
// Environment: MOONDREAM_FUZZ_CORPUS, the folder; MOONDREAM_FUZZ_MUTATIONS, how many copies (3000);
// MOONDREAM_FUZZ_SEED, which ones (1).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "mutation.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace moondream::fuzz {
namespace {

namespace fs = std::filesystem;

unsigned number_of(const char *variable, unsigned otherwise) {
  const char *text = std::getenv(variable);
  return text ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : otherwise;
}

struct Input {
  std::string name, contents;
};

// In order of their names.
std::vector<Input> corpus() {
  const char *folder = std::getenv("MOONDREAM_FUZZ_CORPUS");
  if (!folder) throw std::runtime_error("MOONDREAM_FUZZ_CORPUS is not set");
  std::vector<Input> inputs;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    inputs.push_back(
        {entry.path().filename().string(), std::string(std::istreambuf_iterator<char>(file), {})});
  }
  std::sort(inputs.begin(), inputs.end(),
            [](const Input &a, const Input &b) { return a.name < b.name; });
  return inputs;
}

void run(const std::string &contents) {
  // In memory of just its size, so that a sanitizer sees what is read beyond it.
  const std::vector<std::uint8_t> data(contents.begin(), contents.end());
  LLVMFuzzerTestOneInput(data.data(), data.size());
}

// Where the input is kept that a claim does not hold for.
std::string kept(const std::string &contents) {
  const fs::path path = fs::temp_directory_path() / "moondream-fuzz-failure";
  std::ofstream(path, std::ios::binary).write(contents.data(), std::ssize(contents));
  return path.string();
}

TEST(FuzzTarget, EveryFileOfTheCorpusIsReadOrRefused) {
  const std::vector<Input> inputs = corpus();
  ASSERT_GE(inputs.size(), 5u) << "the corpus is missing";
  for (const Input &input : inputs) EXPECT_NO_THROW(run(input.contents)) << input.name;
}

TEST(FuzzTarget, DamagedFilesAreReadOrRefused) {
  const std::vector<Input> inputs = corpus();
  ASSERT_FALSE(inputs.empty());
  const unsigned mutations = number_of("MOONDREAM_FUZZ_MUTATIONS", 3000);
  std::mt19937 random(number_of("MOONDREAM_FUZZ_SEED", 1));
  for (unsigned i = 0; i < mutations; ++i) {
    const Input &input = inputs[random() % inputs.size()];
    const Input &other = inputs[random() % inputs.size()];
    const std::string damaged = mutate(input.contents, other.contents, random);
    ASSERT_NO_THROW(run(damaged)) << "mutation " << i << ", of " << input.name << ", kept as "
                                  << kept(damaged);
  }
}

}  // namespace
}  // namespace moondream::fuzz
