#include <gtest/gtest.h>

#include "matching.h"

namespace scenes {
namespace {

using moondream::Box;

constexpr Box kUnit{0, 0, 1, 1};
constexpr Box kLeftHalf{0, 0, 0.5, 1};

TEST(DemoMatching, IouOfABoxWithItselfIsOne) {
  EXPECT_DOUBLE_EQ(intersection_over_union(kLeftHalf, kLeftHalf), 1);
}

TEST(DemoMatching, IouIsSharedOverCoveredArea) {
  EXPECT_DOUBLE_EQ(intersection_over_union(kUnit, kLeftHalf), 0.5);
  // Two of three columns each, one of them shared.
  EXPECT_DOUBLE_EQ(intersection_over_union({0, 0, 2, 1}, {1, 0, 3, 1}), 1.0 / 3);
  EXPECT_DOUBLE_EQ(intersection_over_union({1, 0, 3, 1}, {0, 0, 2, 1}), 1.0 / 3);
}

TEST(DemoMatching, IouOfBoxesThatOnlyTouchIsZero) {
  EXPECT_EQ(intersection_over_union({0, 0, 1, 1}, {1, 0, 2, 1}), 0);
  EXPECT_EQ(intersection_over_union({0, 0, 1, 1}, {2, 2, 3, 3}), 0);
}

TEST(DemoMatching, IouOfEmptyAndInvertedBoxesIsZero) {
  EXPECT_EQ(intersection_over_union({1, 1, 1, 1}, {1, 1, 1, 1}), 0);
  EXPECT_EQ(intersection_over_union({1, 1, 0, 0}, kUnit), 0);
}

TEST(DemoMatching, ABoxIsInOnePairOnly) {
  const Agreement agreement = match(std::vector{kUnit, kUnit}, std::vector{kUnit});
  EXPECT_EQ(agreement.found, 2);
  EXPECT_EQ(agreement.existing, 1);
  EXPECT_EQ(agreement.matched, 1);
  EXPECT_DOUBLE_EQ(agreement.precision(), 0.5);
  EXPECT_DOUBLE_EQ(agreement.recall(), 1);
  EXPECT_DOUBLE_EQ(agreement.mean_iou(), 1);
}

// The first found box would do for the only existing one (IoU 0.5), but the second fits it better.
TEST(DemoMatching, TheBetterPairGoesFirst) {
  const Agreement agreement = match(std::vector{kLeftHalf, kUnit}, std::vector{kUnit});
  EXPECT_EQ(agreement.matched, 1);
  EXPECT_DOUBLE_EQ(agreement.mean_iou(), 1);
}

TEST(DemoMatching, PairsBelowTheThresholdDoNotCount) {
  const std::vector found{Box{0, 0, 0.49, 1}};
  EXPECT_EQ(match(found, std::vector{kUnit}).matched, 0);
  EXPECT_EQ(match(found, std::vector{kUnit}, 0.4).matched, 1);
  EXPECT_EQ(match(std::vector{kLeftHalf}, std::vector{kUnit}).matched, 1);  // exactly 0.5
}

TEST(DemoMatching, NothingFoundOrNothingThereGivesZeros) {
  const Agreement nothing = match({}, {});
  EXPECT_EQ(nothing.precision(), 0);
  EXPECT_EQ(nothing.recall(), 0);
  EXPECT_EQ(nothing.mean_iou(), 0);
  EXPECT_EQ(match({}, std::vector{kUnit}).existing, 1);
  EXPECT_EQ(match(std::vector{kUnit}, {}).found, 1);
}

TEST(DemoMatching, FramesAddUp) {
  Agreement sum = match(std::vector{kUnit}, std::vector{kUnit});
  sum += match(std::vector{kLeftHalf}, std::vector{kUnit, Box{5, 5, 6, 6}});
  EXPECT_EQ(sum.found, 2);
  EXPECT_EQ(sum.existing, 3);
  EXPECT_EQ(sum.matched, 2);
  EXPECT_DOUBLE_EQ(sum.mean_iou(), 0.75);
}

TEST(DemoMatching, BoxesOfALabelAreThoseOnly) {
  const std::vector<LabelledBox> objects{
      {"face", kUnit}, {"license plate", kUnit}, {"face", kLeftHalf}};
  const auto faces = boxes_of(objects, "face");
  ASSERT_EQ(faces.size(), 2u);
  EXPECT_EQ(faces[1].x_max, 0.5);
  EXPECT_TRUE(boxes_of(objects, "plate").empty());
}

}  // namespace
}  // namespace scenes
