#include "interpolation.h"

#include <gtest/gtest.h>

namespace moondream {
namespace {

FrameAnalysis at(std::vector<AnalysisObject> objects) {
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kFresh;
  analysis.objects = std::move(objects);
  return analysis;
}

TEST(Interpolation, ABoxOfBothMovesAndGrowsInAStraightLine) {
  const FrameAnalysis before = at({{"face", 0.5, {0, 0.25, 0.125, 0.5}, 7, 0}});
  const FrameAnalysis after = at({{"face", 0.75, {0.5, 0.25, 0.875, 1}, 7, 0}});
  const FrameAnalysis frame = interpolated(before, after, 0.25);
  EXPECT_EQ(frame.status, AnalysisStatus::kPredicted);
  ASSERT_EQ(frame.objects.size(), 1u);
  // All of these are sums of powers of two, so exact.
  EXPECT_EQ(frame.objects[0].box.x_min, 0.125);
  EXPECT_EQ(frame.objects[0].box.y_min, 0.25);
  EXPECT_EQ(frame.objects[0].box.x_max, 0.3125);
  EXPECT_EQ(frame.objects[0].box.y_max, 0.625);
  EXPECT_EQ(frame.objects[0].id, 7u);
  EXPECT_EQ(frame.objects[0].score, 0.5);
  EXPECT_EQ(interpolated(before, after, 0).objects[0].box.x_max, 0.125);
  EXPECT_EQ(interpolated(before, after, 1).objects[0].box.x_max, 0.875);
}

TEST(Interpolation, WhatOnlyOneResultShowsIsThereAllTheTime) {
  const FrameAnalysis before =
      at({{"a", 1, {0, 0, 0.1, 0.1}, 1, 0}, {"b", 1, {0.5, 0, 1, 1}, 2, 0}});
  const FrameAnalysis after =
      at({{"c", 1, {0.2, 0, 0.3, 1}, 3, 0}, {"a", 1, {0, 0, 0.2, 0.2}, 1, 0}});
  for (const double fraction : {0.0, 0.5, 1.0}) {
    const FrameAnalysis frame = interpolated(before, after, fraction);
    ASSERT_EQ(frame.objects.size(), 3u);
    EXPECT_EQ(frame.objects[1].box.x_min, 0.5);
    EXPECT_EQ(frame.objects[2].label, "c");
    EXPECT_EQ(frame.objects[2].box.x_min, 0.2);
  }
}

TEST(Interpolation, PointsGoByIdsAndGazesByWhereTheyBegin) {
  FrameAnalysis before = at({}), after = at({});
  before.points = {{"eye", 1, {0, 0}, 4}};
  after.points = {{"eye", 1, {0.5, 1}, 5}, {"eye", 1, {0.25, 0.5}, 4}};
  before.gaze = {{{0.25, 0.25}, {0, 0}}, {{0.75, 0.75}, {1, 1}}};
  after.gaze = {{{0.75, 0.6875}, {0.5, 0.5}}, {{0.5, 0.25}, {0, 0}}};
  const FrameAnalysis frame = interpolated(before, after, 0.5);
  ASSERT_EQ(frame.points.size(), 2u);
  EXPECT_EQ(frame.points[0].point.x, 0.125);
  EXPECT_EQ(frame.points[0].point.y, 0.25);
  EXPECT_EQ(frame.points[1].id, 5u);
  ASSERT_EQ(frame.gaze.size(), 3u);
  EXPECT_EQ(frame.gaze[0].from.x, 0.25);  // 0.25 away from the nearest: another person's
  EXPECT_EQ(frame.gaze[1].from.y, 0.71875);
  EXPECT_EQ(frame.gaze[1].to.x, 0.75);
  EXPECT_EQ(frame.gaze[2].from.x, 0.5);
}

TEST(Interpolation, TextsAndTimesAreOfTheResultBefore) {
  FrameAnalysis before = at({}), after = at({});
  before.caption = "before";
  before.serial = 3;
  before.sample_pts = 10;
  after.caption = "after";
  after.serial = 4;
  const FrameAnalysis frame = interpolated(before, after, 0.9);
  EXPECT_EQ(frame.caption, "before");
  EXPECT_EQ(frame.serial, 3u);
  EXPECT_EQ(frame.sample_pts, 10u);
}

}  // namespace
}  // namespace moondream
