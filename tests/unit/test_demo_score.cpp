#include <gtest/gtest.h>

#include <variant>

#include "score.h"

namespace scenes {
namespace {

using moondream::Box;
using moondream::DetectResult;
using moondream::PointResult;
using moondream::QueryResult;

constexpr Box kLeft{0, 0, 0.2, 0.2};
constexpr Box kRight{0.5, 0.5, 0.9, 0.9};

Lesson objects(Skill skill, std::vector<Box> boxes) {
  return {.skill = skill, .prompt = "star", .boxes = std::move(boxes)};
}

Lesson question(Topic topic, std::string answer) {
  return {.skill = Skill::kQuery, .topic = topic, .prompt = "?", .answer = std::move(answer)};
}

TEST(DemoScore, BoxesOfAllPromptsAreCountedTogether) {
  Score score;
  score.add(objects(Skill::kDetect, {kLeft, kRight}), DetectResult{{{kLeft, 1}}});
  score.add(objects(Skill::kDetect, {kRight}), DetectResult{{{kRight, 1}, {kLeft, 1}}});
  EXPECT_EQ(score.boxes.existing, 3);
  EXPECT_EQ(score.boxes.found, 3);
  EXPECT_EQ(score.boxes.matched, 2);
  EXPECT_EQ(score.absent.asked, 0);
}

TEST(DemoScore, WhatIsFoundOfAnAbsentThingIsAFalsePositiveAndCostsPrecision) {
  Score score;
  score.add(objects(Skill::kDetect, {}), DetectResult{});
  score.add(objects(Skill::kDetect, {}), DetectResult{{{kLeft, 1}, {kRight, 1}}});
  score.add(objects(Skill::kPoint, {}), PointResult{{{{0.1, 0.1}, 1}}});
  EXPECT_EQ(score.absent.asked, 3);
  EXPECT_EQ(score.absent.right, 1);
  EXPECT_EQ(score.boxes.found, 2);
  EXPECT_EQ(score.boxes.precision(), 0);
  EXPECT_EQ(score.point_precision(), 0);
}

TEST(DemoScore, APointHitsOneBoxAtMost) {
  Score score;
  const Box within{0.05, 0.05, 0.15, 0.15};  // inside the other
  score.add(objects(Skill::kPoint, {kLeft, within}), PointResult{{{{0.1, 0.1}, 1}}});
  EXPECT_EQ(score.hits.asked, 2);
  EXPECT_EQ(score.hits.right, 1);
  score.add(objects(Skill::kPoint, {kLeft, kRight}),
            PointResult{{{{0.1, 0.1}, 1}, {{0.6, 0.6}, 1}, {{0.1, 0.9}, 1}}});
  EXPECT_EQ(score.hits.right, 3);
  EXPECT_EQ(score.points, 4);
  EXPECT_DOUBLE_EQ(score.point_precision(), 0.75);
}

TEST(DemoScore, ASecondPointInTheSameBoxHitsNothing) {
  Score score;
  score.add(objects(Skill::kPoint, {kLeft, kRight}),
            PointResult{{{{0.1, 0.1}, 1}, {{0.11, 0.1}, 1}}});
  EXPECT_EQ(score.hits.right, 1);
}

TEST(DemoScore, AnswersAreComparedWordForWordByTopic) {
  Score score;
  score.add(question(Topic::kCount, "3"), QueryResult{"3", {}});
  score.add(question(Topic::kCount, "3"), QueryResult{"2", {}});
  score.add(question(Topic::kExistence, "Yes"), QueryResult{"Yes", {}});
  score.add(question(Topic::kColor, "Red"), QueryResult{"red", {}});
  score.add(question(Topic::kPlace, "Top left"), QueryResult{"Top left", {}});
  EXPECT_EQ(score.counts.asked, 2);
  EXPECT_EQ(score.counts.right, 1);
  EXPECT_EQ(score.existence.value(), 1);
  EXPECT_EQ(score.colors.value(), 0);
  EXPECT_EQ(score.places.value(), 1);
}

TEST(DemoScore, AGazeIsRightIfNearOrRightlyNone) {
  Score score;
  Lesson lesson{.skill = Skill::kGaze, .gaze = {{0.5, 0.5}}};
  score.add(lesson, moondream::GazeResult{{{0.55, 0.45}}});
  score.add(lesson, moondream::GazeResult{{{0.65, 0.5}}});
  score.add(lesson, moondream::GazeResult{});
  lesson.gaze.clear();
  score.add(lesson, moondream::GazeResult{});
  score.add(lesson, moondream::GazeResult{{{0.5, 0.5}}});
  EXPECT_EQ(score.gazes.asked, 5);
  EXPECT_EQ(score.gazes.right, 2);
}

TEST(DemoScore, AnAnswerOfAnotherKindIsRefused) {
  Score score;
  EXPECT_THROW(score.add(objects(Skill::kDetect, {}), PointResult{}), std::bad_variant_access);
}

TEST(DemoScore, EveryFigureIsInTheTable) {
  Score score;
  score.add(objects(Skill::kDetect, {kLeft, kRight}), DetectResult{{{kLeft, 1}}});
  const std::string table = score.table();
  EXPECT_NE(table.find("precision at IoU 0.5                  1.000  of 1\n"), std::string::npos)
      << table;
  EXPECT_NE(table.find("recall at IoU 0.5                     0.500  of 2\n"), std::string::npos)
      << table;
}

}  // namespace
}  // namespace scenes
