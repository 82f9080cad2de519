#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "json_lines.h"

namespace scenes {
namespace {

class DemoJsonLines : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(file_); }

  std::string error() const {
    try {
      read_json_lines(file_);
    } catch (const std::runtime_error &error) {
      return error.what();
    }
    return "no error";
  }

  const std::string file_ =
      (std::filesystem::path(testing::TempDir()) / "moondream-demo.jsonl").string();
};

TEST_F(DemoJsonLines, EachLineIsOneObject) {
  std::ofstream(file_) << "{\"pts\": 1}\n{\"pts\": 2}\n";
  const auto lines = read_json_lines(file_);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].at("pts"), 2);
}

TEST_F(DemoJsonLines, AnEmptyFileHasNone) {
  std::ofstream(file_) << "";
  EXPECT_TRUE(read_json_lines(file_).empty());
}

TEST_F(DemoJsonLines, ErrorsNameTheFileAndTheLine) {
  EXPECT_EQ(error(), "cannot read " + file_);
  std::ofstream(file_) << "{}\n{\"pts\": \n";
  EXPECT_NE(error().find(file_ + ", line 2"), std::string::npos) << error();
}

}  // namespace
}  // namespace scenes
