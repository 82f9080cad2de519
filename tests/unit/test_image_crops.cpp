#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "image_crops.h"
#include "resize.h"
#include "resize_vips.h"

namespace moondream {
namespace {

// The published model's windows: 378 pixel crops whose inner 266 do not overlap.
constexpr int kWindow = 266;
constexpr int kMargins = 112;

TEST(SelectTiling, PicturesNoLargerThanAWindowAreOneTile) {
  for (const auto &[height, width] :
       {std::pair{1 - kMargins, 1 - kMargins}, {266, 266}, {266, 8080}, {8080, 266}, {1, 5000}}) {
    const Tiling tiling = select_tiling(height, width, kWindow, 12);
    EXPECT_EQ(tiling.rows * tiling.columns, 1) << height << "x" << width;
  }
}

TEST(SelectTiling, NeverExceedsMaxCropsOnCommonSizes) {
  for (int height = 267; height < 3000; height += 61) {
    for (int width = 267; width < 3000; width += 67) {
      const Tiling tiling = select_tiling(height, width, kWindow, 12);
      EXPECT_LE(tiling.rows * tiling.columns, 12) << height << "x" << width;
      EXPECT_GE(tiling.rows, 1);
      EXPECT_GE(tiling.columns, 1);
    }
  }
}

// Worked out by hand from the reference's formula.
TEST(SelectTiling, FollowsTheShapeOfThePicture) {
  const auto tiles = [](int height, int width) {
    const Tiling tiling = select_tiling(height - kMargins, width - kMargins, kWindow, 12);
    return std::pair{tiling.rows, tiling.columns};
  };
  EXPECT_EQ(tiles(720, 1280), (std::pair{2, 4}));   // floor(sqrt(12 * 608 / 1168)) = 2, 4.8 -> 4
  EXPECT_EQ(tiles(480, 640), (std::pair{2, 4}));    // 368 x 528: rows 2.8, columns 4.1
  EXPECT_EQ(tiles(1080, 1920), (std::pair{2, 4}));  // 4 x 7 windows > 12: shrunk by sqrt(12 / 28)
  EXPECT_EQ(tiles(2000, 2000), (std::pair{3, 3}));
}

VisionConfig small_config() {
  VisionConfig config;
  config.enc_patch_size = 2;
  config.crop_size = 12;  // 6 patches, 2 of which are margins
  config.overlap_margin = 1;
  config.max_crops = 6;
  return config;
}

Image solid_image(int width, int height) {
  return {width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height, 7)};
}

// Red counts columns, green counts rows.
Image counting_image(int width, int height) {
  Image image{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::uint8_t *pixel = &image.pixels[std::size_t{3} * (y * width + x)];
      pixel[0] = static_cast<std::uint8_t>(x);
      pixel[1] = static_cast<std::uint8_t>(y);
      pixel[2] = 200;
    }
  }
  return image;
}

TEST(OverlapCropImage, CutsOverlappingWindowsAfterTheGlobalCrop) {
  // 20 x 28 pixels are exactly 2 x 3 windows of 8 and two margins of 2: nothing is resized.
  const Image image = counting_image(28, 20);
  const Crops crops = overlap_crop_image(image.view(), small_config());
  ASSERT_EQ(crops.tiling.rows, 2);
  ASSERT_EQ(crops.tiling.columns, 3);
  ASSERT_EQ(crops.count, 7);
  ASSERT_EQ(crops.pixels.size(), 7u * 12 * 12 * 3);
  const auto pixel = [&](int crop, int x, int y) {
    return &crops.pixels[((crop * 12 + y) * 12 + x) * 3];
  };
  // Crop 1 + row * 3 + column begins at (8 * column, 8 * row).
  EXPECT_EQ(pixel(1, 0, 0)[0], 0);
  EXPECT_EQ(pixel(3, 0, 0)[0], 16);
  EXPECT_EQ(pixel(3, 11, 0)[0], 27);
  EXPECT_EQ(pixel(6, 11, 11)[0], 27);
  EXPECT_EQ(pixel(6, 11, 11)[1], 19);
  EXPECT_EQ(pixel(5, 3, 4)[0], 11);
  EXPECT_EQ(pixel(5, 3, 4)[1], 12);
  const Image global = resize_lanczos(image.view(), 12, 12);
  EXPECT_TRUE(std::equal(global.pixels.begin(), global.pixels.end(), crops.pixels.begin()));
}

TEST(OverlapCropImage, OneTileIsTheGlobalCropAlone) {
  const Image image = counting_image(5, 4);
  const Crops crops = overlap_crop_image(image.view(), small_config());
  EXPECT_EQ(crops.count, 1);
  EXPECT_EQ(crops.pixels, resize_lanczos(image.view(), 12, 12).pixels);
}

TEST(OverlapCropImage, TakesPicturesOfAnyShape) {
  for (const auto &[width, height] : {std::pair{1, 1}, {3, 5}, {8192, 16}, {16, 8192}}) {
    const Crops crops = overlap_crop_image(counting_image(width, height).view(), VisionConfig{});
    EXPECT_EQ(crops.pixels.size(), std::size_t(crops.count) * 378 * 378 * 3);
  }
}

// Features that say where they are must come back as one seamless picture.
TEST(ReconstructFromCrops, PutsEveryFeatureWhereItWasCutFrom) {
  const int grid = 6, margin = 1, inner = grid - 2 * margin;
  for (const Tiling tiling : {Tiling{1, 1}, Tiling{2, 3}, Tiling{1, 4}, Tiling{3, 1}}) {
    const int height = tiling.rows * inner + 2 * margin;
    const int width = tiling.columns * inner + 2 * margin;
    const at::Tensor whole = at::arange(height * width).view({height, width, 1});
    std::vector<at::Tensor> crops;
    for (int row = 0; row < tiling.rows; ++row) {
      for (int column = 0; column < tiling.columns; ++column) {
        crops.push_back(whole.narrow(0, row * inner, grid).narrow(1, column * inner, grid));
      }
    }
    EXPECT_TRUE(at::equal(reconstruct_from_crops(at::stack(crops), tiling, margin), whole));
  }
}

// Worked out by hand from the reference's rule: the closest shape, then the closest size, whose
// height it compares with the picture's width.
TEST(QuarterCrops, FollowTheShapeOfThePicture) {
  VisionConfig config;
  config.cropping = Cropping::kQuarters;
  const auto tiles = [&](int width, int height) {
    const Crops crops = crop_image(solid_image(width, height).view(), config);
    EXPECT_EQ(crops.pixels.size(), std::size_t{3} * 378 * 378 * crops.count);
    const auto [rows, columns] = crops.tiling;
    EXPECT_EQ(crops.count, rows * columns == 1 ? 1 : 1 + rows * columns);
    return std::pair{rows, columns};
  };
  EXPECT_EQ(tiles(511, 300), (std::pair{1, 1}));   // small
  EXPECT_EQ(tiles(1280, 720), (std::pair{1, 2}));  // 1.78 is closest to 2
  EXPECT_EQ(tiles(720, 1280), (std::pair{2, 1}));  // 0.56 to 0.5
  EXPECT_EQ(tiles(640, 480), (std::pair{1, 1}));   // 1.33 to 1; 262 + 102 is less than 116 + 276
  EXPECT_EQ(tiles(700, 560), (std::pair{2, 2}));   // 56 + 196 is less than 322 + 182
  EXPECT_EQ(tiles(2000, 2000), (std::pair{2, 2}));
}

// The parts are the picture without overlaps, and the global crop is the mean of their pixels.
TEST(QuarterCrops, PartsAndWholeAreOnePicture) {
  VisionConfig config;
  config.cropping = Cropping::kQuarters;
  const Image image = counting_image(756, 378);
  const Crops crops = crop_image(image.view(), config);
  ASSERT_EQ(crops.tiling, (Tiling{1, 2}));
  const auto pixel = [&](int crop, int x, int y, int c) {
    return crops.pixels[((std::size_t{378} * crop + y) * 378 + x) * 3 + c];
  };
  for (const int y : {0, 17, 377}) {
    for (const int x : {0, 1, 200, 377}) {
      for (int c = 0; c < 3; ++c) {
        const auto original = [&](int column) {
          return image.pixels[(std::size_t{756} * y + column) * 3 + c];
        };
        EXPECT_EQ(pixel(1, x, y, c), original(x));
        EXPECT_EQ(pixel(2, x, y, c), original(378 + x));
        EXPECT_EQ(pixel(0, x, y, c), (original(2 * x) + original(2 * x + 1) + 1) / 2);
      }
    }
  }
}

TEST(WholeCrop, IsThePictureWithTheBicubicFilter) {
  VisionConfig config;
  config.cropping = Cropping::kWhole;
  const Image image = counting_image(1000, 300);
  const Crops crops = crop_image(image.view(), config);
  EXPECT_EQ(crops.count, 1);
  EXPECT_EQ(crops.tiling, (Tiling{1, 1}));
  EXPECT_EQ(crops.pixels, resize_bicubic(image.view(), 378, 378).pixels);
}

TEST(OverlapCrops, AreScaledByTheProgramThatIsAskedFor) {
  VisionConfig config = small_config();
  const Image image = counting_image(40, 30);
  config.resizer = Resizer::kVips;
  const Crops crops = overlap_crop_image(image.view(), config);
  const Image global = resize_vips(image.view(), 12, 12);
  EXPECT_TRUE(std::equal(global.pixels.begin(), global.pixels.end(), crops.pixels.begin()));
  EXPECT_NE(global.pixels, resize_lanczos(image.view(), 12, 12).pixels);
}

}  // namespace
}  // namespace moondream
