#include <gtest/gtest.h>

#include "redaction_score.h"

namespace scenes {
namespace {

const cv::Size kFrame{100, 50};

// A frame whose pixels in `region` are gone.
cv::Mat gone_in(const cv::Rect &region) {
  cv::Mat gone(kFrame, CV_8U, cv::Scalar(0));
  gone(region).setTo(255);
  return gone;
}

// Pixels 20 to 40 across, 10 to 20 down: 200 of them.
LabelledBox thing(const char *label, int id) { return {label, {0.2, 0.2, 0.4, 0.4}, id}; }

RedactionScore score_of(const cv::Rect &region) {
  RedactionScore score({"face"});
  score.add(gone_in(region), std::vector{thing("face", 1)});
  return score;
}

TEST(DemoRedactionScore, AThingWhoseBoxIsGoneIsHidden) {
  const RedactionScore score = score_of({20, 10, 20, 10});
  EXPECT_EQ(score.of("face").hidden, 1);
  EXPECT_EQ(score.of("face").open, 0);
  EXPECT_DOUBLE_EQ(score.of("face").gone(), 1);
  EXPECT_EQ(score.in_vain(), 0);
}

TEST(DemoRedactionScore, AThingBesideWhatIsGoneIsOpen) {
  const RedactionScore score = score_of({40, 10, 20, 10});
  EXPECT_EQ(score.of("face").hidden, 0);
  EXPECT_EQ(score.of("face").open, 1);
  EXPECT_EQ(score.of("face").gone(), 0);
  // 200 of the 4800 pixels that are not the face's.
  EXPECT_DOUBLE_EQ(score.in_vain(), 200.0 / 4800);
}

TEST(DemoRedactionScore, HalfOfAThingIsNeither) {
  const RedactionScore score = score_of({20, 10, 10, 10});
  EXPECT_EQ(score.of("face").hidden, 0);
  EXPECT_EQ(score.of("face").open, 0);
  EXPECT_DOUBLE_EQ(score.of("face").gone(), 0.5);
}

TEST(DemoRedactionScore, OneOpenFrameIsEnoughNotToBeAlwaysHidden) {
  RedactionScore score({"face"});
  const cv::Mat hidden = gone_in({20, 10, 20, 10}), open = gone_in({0, 0, 1, 1});
  for (int id : {1, 2}) score.add(hidden, std::vector{thing("face", id)});
  score.add(open, std::vector{thing("face", 2)});
  const Hiding faces = score.of("face");
  EXPECT_EQ(faces.things, 2);
  EXPECT_EQ(faces.always_hidden, 1);
  EXPECT_EQ(faces.appearances, 3);
  EXPECT_EQ(faces.hidden, 2);
  EXPECT_EQ(faces.open, 1);
}

TEST(DemoRedactionScore, WhatIsOfAnotherLabelIsTheRestOfThePicture) {
  RedactionScore score({"face"});
  score.add(gone_in({20, 10, 20, 10}), std::vector{thing("red star", 1)});
  EXPECT_EQ(score.of("face").things, 0);
  EXPECT_DOUBLE_EQ(score.in_vain(), 200.0 / 5000);
}

TEST(DemoRedactionScore, TheTableHasALineForEachLabelAndForAll) {
  RedactionScore score({"face", "license plate"});
  score.add(gone_in({20, 10, 20, 10}),
            std::vector{thing("face", 1), {"license plate", {0.6, 0.2, 0.8, 0.4}, 2}});
  const std::string table = score.table();
  EXPECT_NE(table.find("\nface "), std::string::npos);
  EXPECT_NE(table.find("\nlicense plate "), std::string::npos);
  EXPECT_NE(table.find("\nall                   2              1           2       1        0"
                       "       1       50.0 %\n"),
            std::string::npos)
      << table;
}

TEST(DemoRedactionScore, NothingAtAllGivesZeros) {
  const RedactionScore score({"face"});
  EXPECT_EQ(score.of("face").gone(), 0);
  EXPECT_EQ(score.in_vain(), 0);
}

}  // namespace
}  // namespace scenes
