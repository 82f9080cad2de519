// What a stream remembers, without a model.
#include "crop_memory.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <thread>

namespace moondream {
namespace {

using Pixels = std::vector<std::uint8_t>;

TEST(LooksAlike, WithoutAThresholdOneValueMakesTheDifference) {
  const Pixels encoded(10000, 7);
  Pixels now = encoded;
  EXPECT_TRUE(looks_alike(encoded, now, 0));
  now[9999] = 8;
  EXPECT_FALSE(looks_alike(encoded, now, 0));
  EXPECT_FALSE(looks_alike(encoded, Pixels(9999, 7), 1));
}

TEST(LooksAlike, TheThresholdIsTheMeanDifferenceOver255) {
  // 10000 is not a multiple of any power of two that a loop may go in.
  const Pixels encoded(10000, 100);
  Pixels now(10000, 100);
  for (std::size_t i = 0; i < now.size(); ++i) now[i] = i % 2 == 0 ? 110 : 98;  // mean: 6
  EXPECT_TRUE(looks_alike(encoded, now, 6.001 / 255));
  EXPECT_FALSE(looks_alike(encoded, now, 5.999 / 255));
  EXPECT_TRUE(looks_alike(Pixels(5000, 0), Pixels(5000, 255), 1));
  EXPECT_FALSE(looks_alike(Pixels(5000, 0), Pixels(5000, 255), 0.999));
}

Sight sight_of(float value) {
  const auto crop = std::make_shared<const KnownCrop>(
      KnownCrop{Pixels(100, static_cast<std::uint8_t>(value)), at::full({4, 8}, value)});
  return {{KnownPicture{{0, 0, 1, 1}, {1, 2}, {crop, crop, crop}}}, {}};
}

TEST(CropMemory, TellsHowManyBytesItKeeps) {
  CropMemory memory;
  EXPECT_EQ(memory.bytes(), 0u);
  EXPECT_EQ(memory.last(), nullptr);
  memory.keep(sight_of(1));
  EXPECT_EQ(memory.bytes(), 3u * (100 + 4 * 8 * sizeof(float)));
}

TEST(CropMemory, AViewStaysWholeWhileAnotherTakesItsPlace) {
  CropMemory memory;
  memory.keep(sight_of(0));
  const auto first = memory.last();
  {
    std::vector<std::jthread> threads;
    for (int t = 1; t <= 4; ++t) {
      threads.emplace_back([&memory, t] {
        for (int i = 0; i < 200; ++i) {
          memory.keep(sight_of(static_cast<float>(t)));
          const auto seen = memory.last();
          for (const auto &crop : seen->pictures[0].crops) {
            EXPECT_EQ(crop->features[3][7].item<float>(), static_cast<float>(crop->pixels[99]));
          }
        }
      });
    }
  }
  EXPECT_EQ(first->pictures[0].crops[0]->pixels[0], 0);
  EXPECT_GE(memory.last()->pictures[0].crops[0]->pixels[0], 1);
}

}  // namespace
}  // namespace moondream
