#include <gtest/gtest.h>

#include <memory>
#include <opencv2/imgproc.hpp>
#include <set>
#include <stdexcept>

#include "matching.h"
#include "scene.h"

namespace scenes {
namespace {

std::unique_ptr<Sprite> red_square(int side) {
  return std::make_unique<ShapeSprite>(Shape::kSquare, Color::kRed, side);
}

cv::Mat plain(int width, int height) { return {height, width, CV_8UC3, cv::Scalar(90, 200, 150)}; }

// The smallest box around the pixels that differ clearly from the background.
cv::Rect drawn_extent(const Sprite &sprite, cv::Point corner) {
  const cv::Mat background = plain(400, 300);
  cv::Mat frame = background.clone(), difference, clear;
  sprite.draw(frame, corner);
  cv::absdiff(frame, background, difference);
  cv::transform(difference, difference, cv::Matx13f(1, 1, 1));
  cv::compare(difference, 60, clear, cv::CMP_GT);
  return cv::boundingRect(clear);
}

void expect_extent_is_its_size(const Sprite &sprite) {
  const cv::Point corner(53, 41);
  const cv::Rect drawn = drawn_extent(sprite, corner);
  // A pixel for the tips of stars and ellipses, which anti-aliasing makes fainter than "clearly".
  EXPECT_NEAR(drawn.x, corner.x, 1) << sprite.label();
  EXPECT_NEAR(drawn.y, corner.y, 1) << sprite.label();
  EXPECT_NEAR(drawn.br().x, corner.x + sprite.size().width, 1) << sprite.label();
  EXPECT_NEAR(drawn.br().y, corner.y + sprite.size().height, 1) << sprite.label();
}

// Otherwise the truth would be about other boxes than those in the picture.
TEST(DemoSprite, DrawsExactlyItsBox) {
  for (int shape = 0; shape < kShapeCount; ++shape) {
    expect_extent_is_its_size(ShapeSprite(static_cast<Shape>(shape), Color::kRed, 80));
    expect_extent_is_its_size(ShapeSprite(static_cast<Shape>(shape), Color::kBlack, 33));
  }
  expect_extent_is_its_size(FaceSprite({{140, 180, 235}, {30, 40, 60}, 1, {0.5, 0}}, 120));
  expect_extent_is_its_size(FaceSprite({{70, 100, 155}, {60, 60, 60}, -1, {-1, 1}}, 31));
  for (const auto hat :
       {FaceSprite::Hat::kTopHat, FaceSprite::Hat::kCap, FaceSprite::Hat::kBeanie}) {
    FaceSprite::Look look{{140, 180, 235}, {30, 40, 60}, 1, {1, 0}, {1, -1}};
    look.hat = hat;
    look.hat_color = {40, 40, 220};
    look.beard = look.bald = true;
    look.glasses = FaceSprite::Glasses::kDark;
    expect_extent_is_its_size(FaceSprite(look, 120));
    expect_extent_is_its_size(FaceSprite(look, 12));
  }
  expect_extent_is_its_size(PlateSprite("00-AAA-0", true, 28, true));
  expect_extent_is_its_size(PlateSprite("AB-123C", false, 210));
  expect_extent_is_its_size(PlateSprite("W", true, 49));
}

TEST(DemoSprite, EveryShapeOfEveryColorHasItsOwnLabel) {
  std::set<std::string> labels;
  for (int shape = 0; shape < kShapeCount; ++shape) {
    for (int color = 0; color < kColorCount; ++color) {
      labels.insert(ShapeSprite(static_cast<Shape>(shape), static_cast<Color>(color), 20).label());
    }
  }
  EXPECT_EQ(labels.size(), 60u);
  EXPECT_TRUE(labels.contains("purple star"));
}

TEST(DemoScene, TruthIsInFractionsOfTheFrame) {
  Scene scene(plain(200, 100));
  scene.add(red_square(40), {50, 10});
  const auto objects = scene.truth(0);
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_EQ(objects[0].label, "red square");
  EXPECT_DOUBLE_EQ(objects[0].box.x_min, 0.25);
  EXPECT_DOUBLE_EQ(objects[0].box.y_min, 0.1);
  EXPECT_DOUBLE_EQ(objects[0].box.x_max, 0.45);
  EXPECT_DOUBLE_EQ(objects[0].box.y_max, 0.5);
}

TEST(DemoScene, TruthFollowsTheMotion) {
  Scene scene(plain(200, 100));
  scene.add(red_square(20), {0, 80}, {50, -100});
  const auto objects = scene.truth(0.5);
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_DOUBLE_EQ(objects[0].box.x_min, 0.125);
  EXPECT_DOUBLE_EQ(objects[0].box.y_min, 0.3);
}

TEST(DemoScene, TruthEndsAtTheFramesEdge) {
  Scene scene(plain(100, 100));
  scene.add(red_square(40), {-20, 80});
  const auto objects = scene.truth(0);
  ASSERT_EQ(objects.size(), 1u);
  EXPECT_DOUBLE_EQ(objects[0].box.x_min, 0);
  EXPECT_DOUBLE_EQ(objects[0].box.x_max, 0.2);
  EXPECT_DOUBLE_EQ(objects[0].box.y_min, 0.8);
  EXPECT_DOUBLE_EQ(objects[0].box.y_max, 1);
}

// 10 of 40 columns are a quarter, 9 are less.
TEST(DemoScene, TruthLeavesOutWhatIsLessThanAQuarterInside) {
  Scene scene(plain(100, 100));
  scene.add(red_square(40), {-30, 10});
  EXPECT_EQ(scene.truth(0).size(), 1u);
  scene.add(red_square(40), {-31, 10});
  EXPECT_EQ(scene.truth(0).size(), 1u);
  scene.add(red_square(40), {500, 500});
  EXPECT_EQ(scene.truth(0).size(), 1u);
  cv::Mat frame;
  EXPECT_NO_THROW(scene.draw(frame, 0));
}

TEST(DemoScene, LaterSpritesAreOnTop) {
  Scene scene(plain(100, 100));
  scene.add(red_square(40), {10, 10});
  scene.add(std::make_unique<ShapeSprite>(Shape::kSquare, Color::kBlue, 40), {30, 30});
  cv::Mat frame;
  scene.draw(frame, 0);
  const auto color_at = [&](int x, int y) { return cv::Scalar(frame.at<cv::Vec3b>(y, x)); };
  EXPECT_EQ(color_at(20, 20), bgr(Color::kRed));
  EXPECT_EQ(color_at(40, 40), bgr(Color::kBlue));
}

TEST(DemoScene, EqualSeedsGiveEqualPictures) {
  cv::Mat first, second, other;
  Scene::random(5).draw(first, 1);
  Scene::random(5).draw(second, 1);
  Scene::random(6).draw(other, 1);
  EXPECT_EQ(cv::norm(first, second, cv::NORM_INF), 0);
  EXPECT_GT(cv::norm(first, other, cv::NORM_INF), 0);
}

// What the demo's figures rest on: everything that the truth names can be seen whole.
TEST(DemoScene, RandomScenesKeepThingsApartAndInside) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Scene scene = Scene::random(seed);
    const auto start = scene.truth(0);
    const std::size_t count = start.size();
    EXPECT_GE(count, 2u);
    EXPECT_LE(count, 4u);
    EXPECT_TRUE(start[0].label == "face" || start[0].label == "license plate");
    for (int frame = 0; frame <= 50; ++frame) {
      const auto objects = scene.truth(frame / 25.0);
      ASSERT_EQ(objects.size(), count);
      for (std::size_t i = 0; i < count; ++i) {
        const moondream::Box &box = objects[i].box;
        // Leaving the frame would make a box smaller; 1e-12 is for rounding fractions.
        EXPECT_NEAR(box.x_max - box.x_min, start[i].box.x_max - start[i].box.x_min, 1e-12);
        EXPECT_NEAR(box.y_max - box.y_min, start[i].box.y_max - start[i].box.y_min, 1e-12);
        for (std::size_t j = 0; j < i; ++j) {
          EXPECT_EQ(intersection_over_union(box, objects[j].box), 0) << "seed " << seed;
        }
      }
    }
  }
}

// Another thing has another id, and keeps it when one before it is not seen.
TEST(DemoScene, AThingKeepsItsId) {
  Scene scene(plain(200, 100));
  scene.add(red_square(20), {0, 0}, {-100, 0});
  scene.add(red_square(20), {50, 50});
  const auto both = scene.truth(0), second = scene.truth(1);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_NE(both[0].id, both[1].id);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].id, both[1].id);
}

TEST(DemoScene, PlatesCanBeLeftOut) {
  int plates = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    for (const auto &object : Scene::random(seed, {.plates = false}).truth(0)) {
      EXPECT_NE(object.label, "license plate") << seed;
    }
    for (const auto &object : Scene::random(seed).truth(0))
      plates += object.label == "license plate";
  }
  EXPECT_GT(plates, 0);
}

TEST(DemoScene, ThrowsWhereTheFrameHasNoRoom) {
  EXPECT_THROW(Scene::random(1, {.min_objects = 60, .max_objects = 60}), std::invalid_argument);
}

}  // namespace
}  // namespace scenes
