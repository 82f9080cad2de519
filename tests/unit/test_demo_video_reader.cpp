#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "video_reader.h"

namespace scenes {
namespace {

std::string error_of(const std::string &file) {
  try {
    VideoReader::of_file(file).next();
  } catch (const std::runtime_error &error) {
    return error.what();
  }
  return "no error";
}

TEST(DemoVideoReader, GivesEachFrameOnceWithItsTimeAndItsPixels) {
  // Rows of 33 pixels have gaps between them.
  VideoReader reader = VideoReader::of_launch(
      "videotestsrc num-buffers=3 pattern=solid-color foreground-color=0xff102030"
      " ! video/x-raw,format=RGB,width=33,height=17,framerate=10/1");
  std::vector<std::uint64_t> times;
  while (const auto frame = reader.next()) {
    times.push_back(frame->pts);
    ASSERT_EQ(frame->picture.size(), cv::Size(33, 17));
    const auto last = frame->picture.at<cv::Vec3b>(16, 32);
    // Through Y'CbCr of 8 bits and back: each step rounds by a half.
    constexpr int kRounding = 3;
    EXPECT_NEAR(last[0], 0x30, kRounding);
    EXPECT_NEAR(last[1], 0x20, kRounding);
    EXPECT_NEAR(last[2], 0x10, kRounding);
  }
  EXPECT_EQ(times, (std::vector<std::uint64_t>{0, 100'000'000, 200'000'000}));
  EXPECT_FALSE(reader.next()) << "behind the last frame";
}

TEST(DemoVideoReader, AFrameOutlivesItsReader) {
  std::optional<VideoFrame> frame;
  {
    VideoReader reader = VideoReader::of_launch(
        "videotestsrc num-buffers=1 pattern=white ! video/x-raw,width=16,height=16");
    frame = reader.next();
  }
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->picture.at<cv::Vec3b>(8, 8), cv::Vec3b(255, 255, 255));
}

TEST(DemoVideoReader, ErrorsNameTheFile) {
  const std::filesystem::path file =
      std::filesystem::path(testing::TempDir()) / "moondream-demo-no-video.webm";
  std::filesystem::remove(file);
  EXPECT_NE(error_of(file.string()).find(file.string()), std::string::npos) << "that is missing";
  std::ofstream(file) << "no video at all, and long enough to find that out";
  EXPECT_NE(error_of(file.string()).find(file.string()), std::string::npos);
  std::filesystem::remove(file);
}

TEST(DemoVideoReader, ALaunchLineWithAnUnknownElementIsAnError) {
  EXPECT_THROW(VideoReader::of_launch("no-such-element"), std::runtime_error);
}

}  // namespace
}  // namespace scenes
