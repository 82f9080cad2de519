// Boxes on drawn pictures: how well they stay on what they were on.
#include "flow_propagation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "moving_scene.h"

namespace moondream {
namespace {

cv::Mat picture(const MovingScene &scene) {
  const std::vector<std::uint8_t> pixels = scene.draw();
  return cv::Mat(scene.height, scene.width, CV_8U, const_cast<std::uint8_t *>(pixels.data()))
      .clone();
}

// Right about all patches of the scene.
std::shared_ptr<Sample> sample_of(const MovingScene &scene, guint64 serial) {
  auto sample = std::make_shared<Sample>();
  sample->serial = serial;
  for (std::size_t i = 0; i < scene.patches.size(); ++i) {
    sample->analysis.objects.push_back(
        {.label = "thing", .score = 1, .box = scene.box(i), .id = static_cast<guint>(i + 1)});
  }
  return sample;
}

const AnalysisObject *find(const FrameAnalysis &analysis, guint id) {
  for (const AnalysisObject &object : analysis.objects) {
    if (object.id == id) return &object;
  }
  return nullptr;
}

using Move = std::function<void(MovingScene &scene, int frame)>;

// Samples frame 0, learns of the result at frame `late` only, and says what it is at frame `last`.
FrameAnalysis follow(MovingScene &scene, int late, int last, const Move &move) {
  FlowPropagation flow;
  const auto sample = sample_of(scene, 1);
  flow.frame(picture(scene), sample.get());
  std::optional<FrameAnalysis> moved;
  for (int frame = 1; frame <= last; ++frame) {
    move(scene, frame);
    flow.frame(picture(scene), nullptr);
    if (frame >= late) moved = flow.moved(*sample, 0);
  }
  EXPECT_TRUE(moved);
  return moved.value_or(FrameAnalysis{});
}

void expect_on(const MovingScene &scene, const FrameAnalysis &analysis, std::size_t patch,
               double least) {
  const AnalysisObject *object = find(analysis, static_cast<guint>(patch + 1));
  ASSERT_TRUE(object) << patch;
  EXPECT_GE(iou(object->box, scene.box(patch)), least) << patch;
}

// One pixel off on each side of a 40 pixel box is an IoU of 0.9.
constexpr double kOnePixel = 0.9;

TEST(FlowPropagation, ALateResultIsWhereItsObjectsAreNow) {
  MovingScene scene;
  scene.patches = {{.x = 30, .y = 40, .width = 50, .height = 40, .seed = 2},
                   {.x = 220, .y = 90, .width = 40, .height = 50, .seed = 3}};
  const FrameAnalysis moved = follow(scene, 20, 20, [](MovingScene &s, int) {
    s.patches[0].x += 4;
    s.patches[1].x -= 2;
    s.patches[1].y -= 1.5;
  });
  expect_on(scene, moved, 0, kOnePixel);
  expect_on(scene, moved, 1, kOnePixel);
}

TEST(FlowPropagation, ObjectsMoveAgainstAMovingCamera) {
  MovingScene scene;
  scene.patches = {{.x = 60, .y = 60, .width = 50, .height = 40, .seed = 2}};
  const FrameAnalysis moved = follow(scene, 10, 25, [](MovingScene &s, int) {
    s.background.x -= 3;
    s.patches[0].x += 2;
  });
  expect_on(scene, moved, 0, kOnePixel);
}

TEST(FlowPropagation, BoxesGrowWithWhatComesNearer) {
  MovingScene scene;
  scene.patches = {{.x = 130, .y = 70, .width = 40, .height = 40, .seed = 2}};
  const FrameAnalysis moved = follow(scene, 5, 20, [](MovingScene &s, int frame) {
    Patch &patch = s.patches[0];
    patch.scale = 1 + 0.03 * frame;
    patch.width = patch.height = 40 * patch.scale;
    patch.x = 150 - patch.width / 2;
    patch.y = 90 - patch.height / 2;
  });
  // From 40 to 64 pixels: a box that only moved would be at 0.39.
  expect_on(scene, moved, 0, 0.85);
}

TEST(FlowPropagation, CrossingObjectsKeepTheirOwnBoxes) {
  MovingScene scene;
  scene.patches = {{.x = 40, .y = 60, .width = 60, .height = 60, .seed = 2},
                   {.x = 230, .y = 90, .width = 40, .height = 40, .seed = 3}};
  // The second one passes in front of the first.
  const FrameAnalysis moved = follow(scene, 1, 40, [](MovingScene &s, int) {
    s.patches[0].x += 2;
    s.patches[1].x -= 4;
  });
  expect_on(scene, moved, 0, 0.8);
  expect_on(scene, moved, 1, 0.8);
}

TEST(FlowPropagation, AStaticSceneStays) {
  MovingScene scene;
  scene.noise = 4;
  scene.patches = {{.x = 60, .y = 60, .width = 50, .height = 40, .seed = 2}};
  const FrameAnalysis moved = follow(scene, 10, 60, [](MovingScene &s, int frame) {
    s.noise_seed = static_cast<unsigned>(frame);
    s.gain = 1 + 0.2 * std::sin(frame / 10.0);
  });
  expect_on(scene, moved, 0, kOnePixel);
}

TEST(FlowPropagation, WhatHasNoTextureMovesWithTheBackground) {
  MovingScene scene;
  // As a reflection or a sign: nothing on it to follow, edges included.
  scene.patches = {{.x = 100, .y = 60, .width = 20, .height = 20, .contrast = 0}};
  FlowPropagation flow;
  auto sample = sample_of(scene, 1);
  scene.patches.clear();
  scene.background.contrast = 1;
  sample->analysis.objects[0].box = {0.3, 0.3, 0.31, 0.31};  // 3 x 2 pixels: at most one track
  flow.frame(picture(scene), sample.get());
  for (int i = 0; i < 10; ++i) {
    scene.background.x += 3;
    flow.frame(picture(scene), nullptr);
  }
  const FrameAnalysis moved = flow.moved(*sample, 0).value();
  ASSERT_EQ(moved.objects.size(), 1u);
  // 30 of 320 pixels; half a pixel off.
  EXPECT_NEAR(moved.objects[0].box.x_min, 0.3 + 30.0 / 320, 0.5 / 320);
  EXPECT_NEAR(moved.objects[0].box.y_min, 0.3, 0.5 / 180);
}

TEST(FlowPropagation, ABoxThatLeavesTheFrameIsGone) {
  MovingScene scene;
  scene.patches = {{.x = 250, .y = 60, .width = 40, .height = 40, .seed = 2},
                   {.x = 50, .y = 60, .width = 40, .height = 40, .seed = 3}};
  const FrameAnalysis moved =
      follow(scene, 1, 20, [](MovingScene &s, int) { s.patches[0].x += 5; });
  EXPECT_FALSE(find(moved, 1));
  expect_on(scene, moved, 1, kOnePixel);
}

TEST(FlowPropagation, ABoxWhoseObjectVanishesIsGone) {
  MovingScene scene;
  scene.patches = {{.x = 100, .y = 60, .width = 60, .height = 60, .seed = 2},
                   {.x = 220, .y = 60, .width = 40, .height = 40, .seed = 3}};
  const FrameAnalysis moved = follow(scene, 1, 3, [](MovingScene &s, int frame) {
    if (frame == 3) s.patches[0].seed = 77;  // another thing in its place
  });
  EXPECT_FALSE(find(moved, 1));
  expect_on(scene, moved, 1, kOnePixel);
}

TEST(FlowPropagation, NothingOlderThanACutIsKnown) {
  MovingScene scene;
  scene.patches = {{.x = 100, .y = 60, .width = 60, .height = 60, .seed = 2}};
  FlowPropagation flow;
  const auto shown = sample_of(scene, 1), in_flight = sample_of(scene, 2);
  flow.frame(picture(scene), shown.get());
  flow.moved(*shown, 0);
  flow.frame(picture(scene), in_flight.get());
  EXPECT_FALSE(flow.is_cut_off(*shown));
  MovingScene other;
  other.background.seed = 50;
  const auto after = sample_of(scene, 3);
  flow.frame(picture(other), after.get());
  EXPECT_TRUE(flow.is_cut_off(*shown));
  EXPECT_TRUE(flow.is_cut_off(*in_flight));
  EXPECT_FALSE(flow.is_cut_off(*after));
  EXPECT_TRUE(flow.moved(*after, 0));
}

TEST(FlowPropagation, BoxesGrowWithAgeAndStayInTheFrame) {
  MovingScene scene;
  scene.patches = {{.x = 0, .y = 90, .width = 64, .height = 36, .seed = 2}};
  FlowPropagation flow;
  const auto sample = sample_of(scene, 1);
  flow.frame(picture(scene), sample.get());
  const Box box = flow.moved(*sample, 2 * GST_SECOND).value().objects[0].box;
  const double grown = 2 * FlowRegions::kGrowth;
  EXPECT_EQ(box.x_min, 0);
  // Boxes are kept in float, fractions to some 1e-7.
  EXPECT_NEAR(box.x_max, 0.2 + 0.2 * grown, 1e-6);
  EXPECT_NEAR(box.y_min, 0.5 - 0.2 * grown, 1e-6);
  EXPECT_NEAR(box.y_max, 0.7 + 0.2 * grown, 1e-6);
}

TEST(FlowPropagation, PointsAndGazesMoveWithWhatTheyAreOn) {
  MovingScene scene;
  scene.patches = {{.x = 40, .y = 60, .width = 60, .height = 60, .seed = 2},
                   {.x = 220, .y = 60, .width = 60, .height = 60, .seed = 3}};
  FlowPropagation flow;
  const auto sample = sample_of(scene, 1);
  const Point a{70.0 / 320, 0.5}, b{250.0 / 320, 0.5};
  sample->analysis.points = {{"knob", 1, a, 9}, {"far", 1, {10.0 / 320, 10.0 / 180}, 10}};
  sample->analysis.gaze = {{a, b}};
  flow.frame(picture(scene), sample.get());
  for (int i = 0; i < 15; ++i) {
    scene.patches[0].x += 2;
    scene.patches[1].y += 1;
    flow.frame(picture(scene), nullptr);
  }
  const FrameAnalysis moved = flow.moved(*sample, 0).value();
  const double pixel = 1.0 / 180;
  ASSERT_EQ(moved.points.size(), 2u);
  EXPECT_NEAR(moved.points[0].point.x, a.x + 30.0 / 320, pixel);
  EXPECT_NEAR(moved.points[0].point.y, a.y, pixel);
  EXPECT_EQ(moved.points[0].id, 9u);
  EXPECT_NEAR(moved.points[1].point.x, 10.0 / 320, pixel);
  ASSERT_EQ(moved.gaze.size(), 1u);
  EXPECT_NEAR(moved.gaze[0].from.x, a.x + 30.0 / 320, pixel);
  EXPECT_NEAR(moved.gaze[0].to.y, b.y + 15.0 / 180, pixel);
}

TEST(FlowPropagation, SamplesThatItNeverSawAreNotMoved) {
  MovingScene scene;
  FlowPropagation flow;
  flow.frame(picture(scene), nullptr);
  EXPECT_FALSE(flow.moved(*sample_of(scene, 1), 0));
}

TEST(MedianMotion, HalfOfTheTracksMayGoAnywhere) {
  std::vector<TrackMotion> tracks;
  for (int i = 0; i < 11; ++i) {
    const cv::Point2f from(static_cast<float>(i * 13 % 40), static_cast<float>(i * 7 % 30));
    cv::Point2f to = from * 1.5f + cv::Point2f(4, -3);
    if (i % 5 == 4) to += cv::Point2f(30, 50);
    tracks.push_back({from, to});
  }
  const Similarity motion = median_motion(tracks);
  EXPECT_NEAR(motion.scale, 1.5, 0.05);
  const cv::Point2f moved = motion({10, 10});
  EXPECT_NEAR(moved.x, 19, 2.5);
  EXPECT_NEAR(moved.y, 12, 2.5);
}

}  // namespace
}  // namespace moondream
