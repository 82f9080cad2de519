#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "truth.h"

namespace scenes {
namespace {

class DemoTruth : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(file_); }

  const std::filesystem::path file_ =
      std::filesystem::path(testing::TempDir()) / "moondream-demo-truth.json";
};

TEST_F(DemoTruth, IsReadAsItWasWritten) {
  const Truth written{.width = 640,
                      .height = 360,
                      .duration = 80'000'000,
                      .frames = {{0, {{"face", {0.1, 1.0 / 3, 0.7, 1}, 7}}}, {40'000'000, {}}}};
  write_truth(file_, written);
  const Truth read = read_truth(file_);
  EXPECT_EQ(read.width, 640);
  EXPECT_EQ(read.height, 360);
  EXPECT_EQ(read.duration, 80'000'000u);
  ASSERT_EQ(read.frames.size(), 2u);
  ASSERT_EQ(read.frames[0].objects.size(), 1u);
  EXPECT_EQ(read.frames[0].objects[0].label, "face");
  EXPECT_EQ(read.frames[0].objects[0].box.y_min, 1.0 / 3);
  EXPECT_EQ(read.frames[0].objects[0].id, 7);
  EXPECT_EQ(read.frames[1].pts, 40'000'000u);
  EXPECT_TRUE(read.frames[1].objects.empty());
}

TEST_F(DemoTruth, AFrameIsFoundThroughTheMillisecondsOfAContainer) {
  const Truth truth{.frames = {{0, {}}, {33'366'667, {}}, {66'733'333, {}}}};
  EXPECT_EQ(truth.at(0), &truth.frames[0]);
  EXPECT_EQ(truth.at(33'000'000), &truth.frames[1]);
  EXPECT_EQ(truth.at(67'000'000), &truth.frames[2]);
  EXPECT_EQ(truth.at(20'000'000), nullptr);
  EXPECT_EQ(truth.at(80'000'000), nullptr);
  EXPECT_EQ(Truth{}.at(0), nullptr);
}

std::string error_of(const std::filesystem::path &file) {
  try {
    read_truth(file);
  } catch (const std::runtime_error &error) {
    return error.what();
  }
  return "no error";
}

TEST_F(DemoTruth, ErrorsNameTheFile) {
  EXPECT_NE(error_of(file_).find(file_.string()), std::string::npos);
  std::ofstream(file_) << R"({"width": 640})";
  EXPECT_NE(error_of(file_).find(file_.string()), std::string::npos);
  EXPECT_THROW(write_truth("/nowhere/truth.json", {}), std::runtime_error);
}

}  // namespace
}  // namespace scenes
