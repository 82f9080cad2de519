#include "gaze.h"

#include <gtest/gtest.h>

namespace moondream {
namespace {

TEST(Gaze, EyesAreInTheFaceAndFollowTheSeed) {
  const Box face{0.2, 0.4, 0.3, 0.8};
  const std::vector<Point> eyes = gaze_eyes(face, 7);
  ASSERT_EQ(eyes.size(), 2u * kGazeLooks);
  for (std::size_t i = 0; i < eyes.size(); ++i) {
    const Point eye = i < kGazeLooks ? eyes[i] : mirrored(eyes[i]);
    EXPECT_GE(eye.x, 0.2);
    EXPECT_LE(eye.x, 0.3);
    EXPECT_GE(eye.y, 0.4);
    EXPECT_LE(eye.y, 0.8);
  }
  EXPECT_EQ(eyes, gaze_eyes(face, 7));
  EXPECT_NE(eyes, gaze_eyes(face, 8));
}

TEST(Gaze, EyesOfAFaceAtTheEdgeStayInThePicture) {
  for (const Point &eye : gaze_eyes({-0.5, 0.9, 0.1, 1.5}, 1)) {
    EXPECT_GE(eye.x, 0);
    EXPECT_LE(eye.x, 1);
    EXPECT_LE(eye.y, 1);
  }
}

// Ten points in a row, 0.01 apart, and one far away: its nearest neighbour is 0.41 away, and the
// median point's 0.01.
TEST(Gaze, OutliersDoNotMoveTheMean) {
  std::vector<Point> found;
  for (int i = 0; i < 10; ++i) found.push_back({0.5 + 0.01 * i, 0.25});
  found.push_back({0.09, 0.25});
  EXPECT_EQ(remove_outlier_points(found).size(), 10u);
  const auto mean = mean_gaze(found);
  ASSERT_TRUE(mean);
  EXPECT_NEAR(mean->x, 0.545, 1e-12);
  EXPECT_NEAR(mean->y, 0.25, 1e-12);
}

TEST(Gaze, PointsNotMuchFurtherThanTheOthersStay) {
  std::vector<Point> found;
  for (int i = 0; i < 11; ++i) found.push_back({0.1, 0.02 * i});
  found.push_back({0.1, 0.2 + 0.039});
  EXPECT_EQ(remove_outlier_points(found).size(), 12u);
  found.push_back({0.1, 0.9});
  EXPECT_EQ(remove_outlier_points(found).size(), 12u);
}

TEST(Gaze, EqualPointsAreTheirMean) {
  const std::vector<Point> found(20, Point{0.3, 0.7});
  EXPECT_NEAR(mean_gaze(found)->x, 0.3, 1e-12);
}

TEST(Gaze, FewFindsMeanThatItLeavesThePicture) {
  EXPECT_FALSE(mean_gaze(std::vector<Point>(kGazeLooks - 1, Point{0.3, 0.7})));
  EXPECT_FALSE(mean_gaze({}));
}

TEST(Gaze, MirroredPicturesAreReadFromTheRight) {
  const std::uint8_t pixels[] = {1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12, 0};  // 7 bytes a row
  const Image found = mirrored(ImageView{pixels, 2, 2, 7});
  EXPECT_EQ(found.pixels, (std::vector<std::uint8_t>{4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9}));
}

}  // namespace
}  // namespace moondream
