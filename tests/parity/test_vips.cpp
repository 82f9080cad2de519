// Pictures as libvips scales them: strips of what `vips resize` of version 8.16.1 made of the
// golden pictures. A file is called PICTURE.WIDTHxHEIGHT.ROW.png, after the size of the whole and
// the strip's first row.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>

#include "resize_vips.h"

namespace moondream {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(MOONDREAM_TEST_DATA) / "golden";

Image read_picture(const std::filesystem::path &path) {
  const cv::Mat bgr = cv::imread(path.string(), cv::IMREAD_COLOR);
  if (bgr.empty()) throw std::runtime_error("cannot read " + path.string());
  Image image{bgr.cols, bgr.rows, {}};
  for (int y = 0; y < bgr.rows; ++y) {
    for (int x = 0; x < bgr.cols; ++x) {
      const auto &pixel = bgr.at<cv::Vec3b>(y, x);
      image.pixels.insert(image.pixels.end(), {pixel[2], pixel[1], pixel[0]});
    }
  }
  return image;
}

TEST(ResizeVips, IsWhatLibvipsMakes) {
  int strips = 0;
  for (const auto &entry : std::filesystem::directory_iterator(kGolden / "vips")) {
    char name[64] = {};
    int width = 0, height = 0, first = 0;
    const std::string file = entry.path().filename().string();
    ASSERT_EQ(std::sscanf(file.c_str(), "%63[^.].%dx%d.%d.png", name, &width, &height, &first), 4);
    const Image strip = read_picture(entry.path());
    const Image original = read_picture(kGolden / "pictures" / (std::string(name) + ".png"));
    const Image found = resize_vips(original.view(), width, height);
    ASSERT_EQ(strip.width, width);
    int largest = 0;
    for (std::size_t i = 0; i < strip.pixels.size(); ++i) {
      const int pixel = found.pixels[std::size_t{3} * width * first + i];
      largest = std::max(largest, std::abs(pixel - strip.pixels[i]));
    }
    std::printf("%s: largest difference %d of 255\n", file.c_str(), largest);
    // A position that falls between two 64ths of a pixel may be rounded to the other one where a
    // compiler sums in another order.
    EXPECT_LE(largest, 1) << file;
    ++strips;
  }
  EXPECT_EQ(strips, 4);
}

TEST(ResizeVips, KeepsSolidColoursAndSizes) {
  for (const auto &[width, height] : {std::pair{1, 1}, {7, 300}, {300, 7}, {64, 48}, {40, 30}}) {
    const Image solid{64, 48, std::vector<std::uint8_t>(std::size_t{3} * 64 * 48, 200)};
    const Image found = resize_vips(solid.view(), width, height);
    EXPECT_EQ(found.width, width);
    EXPECT_EQ(found.height, height);
    ASSERT_EQ(found.pixels.size(), std::size_t{3} * width * height);
    // Its coefficients are cut off to 12 bits and do not add up to one, in each of two passes.
    for (const std::uint8_t pixel : found.pixels) EXPECT_NEAR(pixel, 200, 4);
  }
  EXPECT_THROW(resize_vips({}, 1, 1), Error);
}

}  // namespace
}  // namespace moondream
