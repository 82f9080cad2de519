// Pillow's resize. The Lanczos filter's exactness against Pillow itself is in the parity suite (the
// crops of the golden vectors are Pillow's bytes); here is what must hold for any size.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

#include "resize.h"

namespace moondream {
namespace {

Image random_image(int width, int height, unsigned seed) {
  std::mt19937 random(seed);
  Image image{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
  for (std::uint8_t &byte : image.pixels) byte = static_cast<std::uint8_t>(random());
  return image;
}

Image solid(int width, int height, std::uint8_t red, std::uint8_t green, std::uint8_t blue) {
  Image image{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    image.pixels[i] = red;
    image.pixels[i + 1] = green;
    image.pixels[i + 2] = blue;
  }
  return image;
}

// One output sample of one axis, straight from the definition, in double.
double sample(const std::vector<double> &in, int out_size, int out, bool bicubic = false) {
  const double scale = static_cast<double>(in.size()) / out_size, wide = std::max(scale, 1.0);
  const double center = (out + 0.5) * scale;
  double sum = 0, weights = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const double x = (static_cast<double>(i) + 0.5 - center) / wide;
    const double d = std::abs(x), px = std::numbers::pi * x;
    if (d >= (bicubic ? 2 : 3)) continue;
    const double cubic =
        d < 1 ? 1.5 * d * d * d - 2.5 * d * d + 1 : -0.5 * d * d * d + 2.5 * d * d - 4 * d + 2;
    const double lanczos = x == 0 ? 1 : std::sin(px) / px * std::sin(px / 3) / (px / 3);
    const double weight = bicubic ? cubic : lanczos;
    sum += weight * in[i];
    weights += weight;
  }
  return sum / weights;
}

class ResizeFilters : public testing::TestWithParam<bool> {};

TEST_P(ResizeFilters, AgreeWithThePlainDefinitionOnRandomPictures) {
  const bool bicubic = GetParam();
  const struct {
    int width, height, out_width, out_height;
  } sizes[] = {{17, 9, 5, 23}, {8, 8, 16, 16}, {40, 3, 7, 7}, {31, 33, 30, 34}};
  for (const auto &size : sizes) {
    const Image in = random_image(size.width, size.height, 7);
    const Image out =
        (bicubic ? resize_bicubic : resize_lanczos)(in.view(), size.out_width, size.out_height);
    ASSERT_EQ(out.width, size.out_width);
    ASSERT_EQ(out.height, size.out_height);
    for (int c = 0; c < 3; ++c) {
      std::vector<std::vector<double>> columns(size.out_width, std::vector<double>(size.height));
      for (int y = 0; y < size.height; ++y) {
        std::vector<double> row(size.width);
        for (int x = 0; x < size.width; ++x) row[x] = in.pixels[3 * (y * size.width + x) + c];
        for (int x = 0; x < size.out_width; ++x) {
          columns[x][y] =
              std::clamp(std::round(sample(row, size.out_width, x, bicubic)), 0.0, 255.0);
        }
      }
      for (int x = 0; x < size.out_width; ++x) {
        for (int y = 0; y < size.out_height; ++y) {
          const double expected =
              std::clamp(sample(columns[x], size.out_height, y, bicubic), 0.0, 255.0);
          // One for the rounding of each pass: fixed-point may round a tie the other way.
          EXPECT_NEAR(out.pixels[3 * (y * size.out_width + x) + c], expected, 1.6)
              << size.width << "x" << size.height << " at " << x << "," << y;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Resize, ResizeFilters, testing::Bool(), [](const auto &test) {
  return std::string(test.param ? "Bicubic" : "Lanczos");
});

TEST(ResizeLanczos, KeepsASolidColourAtEverySize) {
  const Image in = solid(5, 3, 255, 17, 0);
  for (const auto &[width, height] : {std::pair{1, 1}, {378, 378}, {3, 500}, {1000, 2}}) {
    const Image out = resize_lanczos(in.view(), width, height);
    EXPECT_EQ(out.pixels, solid(width, height, 255, 17, 0).pixels) << width << "x" << height;
  }
}

TEST(ResizeLanczos, CopiesAPictureThatHasTheSizeAlready) {
  const Image in = random_image(13, 11, 3);
  EXPECT_EQ(resize_lanczos(in.view(), 13, 11).pixels, in.pixels);
}

TEST(ResizeLanczos, ReadsRowsByTheirStrideAndNothingBetweenThem) {
  const Image in = random_image(6, 4, 5);
  std::vector<std::uint8_t> padded(4 * 40, 0xEE);
  for (int y = 0; y < 4; ++y) std::copy_n(&in.pixels[18 * y], 18, &padded[40 * y]);
  const ImageView view{padded.data(), 6, 4, 40};
  for (const auto &[width, height] : {std::pair{6, 4}, {6, 9}, {3, 4}, {9, 9}}) {
    EXPECT_EQ(resize_lanczos(view, width, height).pixels,
              resize_lanczos(in.view(), width, height).pixels);
  }
}

TEST(ResizeLanczos, RefusesPicturesWithoutPixels) {
  const Image in = solid(2, 2, 1, 2, 3);
  EXPECT_THROW(resize_lanczos({nullptr, 2, 2, 6}, 1, 1), Error);
  EXPECT_THROW(resize_lanczos({in.pixels.data(), 0, 2, 6}, 1, 1), Error);
  EXPECT_THROW(resize_lanczos(in.view(), 0, 1), Error);
}

}  // namespace
}  // namespace moondream
