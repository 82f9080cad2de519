#include "prompts.h"

#include <gtest/gtest.h>

#include <limits>

namespace moondream {
namespace {

TEST(MakePrompts, DetectThenPointThenQueryThenCaptionThenGaze) {
  const PromptList list = make_prompts({.detect = "a,b",
                                        .point = "c",
                                        .query = "d?",
                                        .reasoning = true,
                                        .caption = CaptionLength::kLong,
                                        .gaze = true});
  ASSERT_EQ(list.prompts.size(), 6u);
  EXPECT_EQ(std::get<DetectPrompt>(list.prompts[0]).object, "a");
  EXPECT_EQ(std::get<DetectPrompt>(list.prompts[1]).object, "b");
  EXPECT_EQ(std::get<PointPrompt>(list.prompts[2]).object, "c");
  EXPECT_EQ(std::get<QueryPrompt>(list.prompts[3]).question, "d?");
  EXPECT_TRUE(std::get<QueryPrompt>(list.prompts[3]).reasoning);
  EXPECT_TRUE(std::holds_alternative<FaceGazePrompt>(list.prompts[5]));
  EXPECT_EQ(std::get<CaptionPrompt>(list.prompts[4]).length, CaptionLength::kLong);
}

TEST(MakePrompts, SpaceEmptyAndRepeatedDescriptionsAreDropped) {
  const PromptList list = make_prompts({.detect = " red car ,, \t,face,red car,", .query = "  "});
  ASSERT_EQ(list.prompts.size(), 2u);
  EXPECT_EQ(list.texts, (std::vector<std::string>{"red car", "face"}));
  EXPECT_EQ(list.positions, (std::vector<int>{0, 1}));
}

TEST(MakePrompts, NothingAskedIsEmpty) {
  EXPECT_TRUE(make_prompts({}).empty());
  EXPECT_TRUE(make_prompts({.detect = " , ", .point = ",", .query = "\n"}).empty());
}

TEST(MakePrompts, TextIsMadeValidUtf8) {
  const PromptList list = make_prompts({.detect = "caf\xe9"});
  EXPECT_TRUE(g_utf8_validate(list.texts.at(0).c_str(), -1, nullptr));
}

FrameAnalysis detected(const Box &box, double score = 0.5) {
  const PromptList asked = make_prompts({.detect = "face"});
  return assemble(asked, {DetectResult{{{box, score}}}}).analysis;
}

TEST(Assemble, BoxesAreClampedToTheFrame) {
  const FrameAnalysis analysis = detected({-0.5, 0.25, 0.5, 7}, 3);
  ASSERT_EQ(analysis.objects.size(), 1u);
  EXPECT_EQ(analysis.objects[0].box.x_min, 0);
  EXPECT_EQ(analysis.objects[0].box.y_min, 0.25);
  EXPECT_EQ(analysis.objects[0].box.x_max, 0.5);
  EXPECT_EQ(analysis.objects[0].box.y_max, 1);
  EXPECT_EQ(analysis.objects[0].score, 1);
}

TEST(Assemble, WhatIsNoBoxIsDiscardedAndCounted) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const Box &box : {Box{kNan, 0, 1, 1}, Box{0, 0, 1, kNan}, Box{0.75, 0, 0.25, 1},
                         Box{0.5, 0.5, 0.5, 0.5}, Box{7, 0, 8, 1}, Box{-8, 0, -7, 1}}) {
    EXPECT_TRUE(detected(box).objects.empty());
  }
  const PromptList asked = make_prompts({.detect = "face", .point = "eye"});
  const Assembled both = assemble(asked, {DetectResult{{{{1, 0, 0, 1}, 0.5}, {{0, 0, 1, 1}, kNan}}},
                                          PointResult{{{{kNan, 0}, 0.5}, {{2, -1}, 0.5}}}});
  EXPECT_EQ(both.discarded, 2u);
  ASSERT_EQ(both.analysis.objects.size(), 1u);
  EXPECT_EQ(both.analysis.objects[0].score, 0);
  ASSERT_EQ(both.analysis.points.size(), 1u);
  EXPECT_EQ(both.analysis.points[0].point.x, 1);
  EXPECT_EQ(both.analysis.points[0].point.y, 0);
}

TEST(Assemble, ResultsThatDoNotFitThePromptsAreFailures) {
  const PromptList asked = make_prompts({.detect = "face"});
  EXPECT_THROW(assemble(asked, {}), Error);
  EXPECT_THROW(assemble(asked, {CaptionResult{"hello"}}), Error);
  EXPECT_THROW(assemble(asked, {DetectResult{}, DetectResult{}}), Error);
}

}  // namespace
}  // namespace moondream
