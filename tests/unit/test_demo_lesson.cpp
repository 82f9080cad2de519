#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <set>

#include "lesson.h"
#include "picture.h"

namespace scenes {
namespace {

constexpr int kPictures = 300;

Picture picture_of(int seed) {
  return random_picture(static_cast<std::uint64_t>(seed), {.size = {320, 180}});
}

Thing thing(const char *kind, std::optional<Color> color, moondream::Box box) {
  return {.kind = kind, .color = color, .box = box};
}

TEST(DemoPicture, EqualSeedsGiveEqualPictures) {
  for (int seed = 0; seed < 20; ++seed) {
    const Picture a = picture_of(seed), b = picture_of(seed);
    ASSERT_EQ(a.pixels.size(), b.pixels.size());
    EXPECT_EQ(cv::norm(a.pixels, b.pixels, cv::NORM_INF), 0) << seed;
    ASSERT_EQ(a.things.size(), b.things.size());
    for (std::size_t i = 0; i < a.things.size(); ++i) {
      EXPECT_EQ(a.things[i].box, b.things[i].box);
      EXPECT_EQ(a.things[i].label(), b.things[i].label());
    }
  }
}

TEST(DemoPicture, BoxesAreInsideTheFrameAndNotEmpty) {
  for (int seed = 0; seed < kPictures; ++seed) {
    for (const Thing &one : picture_of(seed).things) {
      EXPECT_GE(one.box.x_min, 0);
      EXPECT_GE(one.box.y_min, 0);
      EXPECT_LE(one.box.x_max, 1);
      EXPECT_LE(one.box.y_max, 1);
      EXPECT_LT(one.box.x_min, one.box.x_max);
      EXPECT_LT(one.box.y_min, one.box.y_max);
    }
  }
}

TEST(DemoPicture, ThereIsEveryKindInEveryColorAndNothingAtAll) {
  std::set<std::string> labels;
  int empty = 0;
  for (int seed = 0; seed < 1000; ++seed) {
    const Picture picture = random_picture(static_cast<std::uint64_t>(seed), {.size = {160, 90}});
    empty += picture.things.empty();
    for (const Thing &one : picture.things) labels.insert(one.label());
  }
  EXPECT_EQ(labels.size(), std::size_t{kShapeCount * kColorCount + 2});
  EXPECT_GT(empty, 0);
}

// Where a face looks is the middle of another thing of the picture.
TEST(DemoPicture, FacesLookAtSomethingThatIsThere) {
  int looking = 0;
  for (int seed = 0; seed < kPictures; ++seed) {
    const Picture picture = picture_of(seed);
    for (const Thing &one : picture.things) {
      if (!one.gaze) continue;
      ++looking;
      EXPECT_EQ(one.kind, "face");
      EXPECT_TRUE(std::any_of(picture.things.begin(), picture.things.end(), [&](const Thing &t) {
        return std::abs(t.center().x - one.gaze->x) < 1e-9 &&
               std::abs(t.center().y - one.gaze->y) < 1e-9;
      }));
    }
  }
  EXPECT_GT(looking, 0);
}

class OfThreeThings : public testing::Test {
 protected:
  OfThreeThings() {
    picture_.things = {thing("star", Color::kRed, {0.7, 0.7, 0.9, 0.9}),
                       thing("star", Color::kBlue, {0.1, 0.1, 0.2, 0.2}),
                       thing("face", {}, {0.4, 0.1, 0.6, 0.3})};
  }

  // Of the first lesson of that skill and prompt in any of many draws.
  const Lesson *find(Skill skill, const std::string &prompt) {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
      lessons_ = make_lessons(picture_, seed);
      for (const Lesson &lesson : lessons_) {
        if (lesson.skill == skill && lesson.prompt == prompt) return &lesson;
      }
    }
    ADD_FAILURE() << "no lesson asks for " << prompt;
    return nullptr;
  }

  std::string answer(const std::string &question) {
    const Lesson *lesson = find(Skill::kQuery, question);
    return lesson ? lesson->answer : "";
  }

  Picture picture_;
  std::vector<Lesson> lessons_;
};

TEST_F(OfThreeThings, ThingsAreFoundFromLeftToRight) {
  const Lesson *lesson = find(Skill::kDetect, "star");
  ASSERT_TRUE(lesson);
  ASSERT_EQ(lesson->boxes.size(), 2u);
  EXPECT_EQ(lesson->boxes[0], picture_.things[1].box);
  EXPECT_EQ(lesson->boxes[1], picture_.things[0].box);
}

TEST_F(OfThreeThings, AColorSelects) {
  const Lesson *red = find(Skill::kDetect, "red star");
  ASSERT_TRUE(red);
  EXPECT_EQ(red->boxes, std::vector{picture_.things[0].box});
  const Lesson *green = find(Skill::kDetect, "green star");
  ASSERT_TRUE(green);
  EXPECT_TRUE(green->boxes.empty());
}

TEST_F(OfThreeThings, QuestionsHaveTheRightAnswers) {
  EXPECT_EQ(answer("How many stars are there?"), "2");
  EXPECT_EQ(answer("How many faces are there?"), "1");
  EXPECT_EQ(answer("Is there a face?"), "Yes");
  EXPECT_EQ(answer("Is there a license plate?"), "No");
  EXPECT_EQ(answer("Where is the red star?"), "Bottom right");
  EXPECT_EQ(answer("Where is the blue star?"), "Top left");
  EXPECT_EQ(answer("Where is the face?"), "Top");
}

TEST_F(OfThreeThings, TheColorIsAskedOnlyWhereThereIsOne) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    for (const Lesson &lesson : make_lessons(picture_, seed)) {
      EXPECT_NE(lesson.topic, Topic::kColor) << lesson.prompt;  // two stars, and a face has none
    }
  }
}

TEST_F(OfThreeThings, CaptionsNameThemFromLeftToRight) {
  const Lesson *shortest = find(Skill::kCaption, "short");
  ASSERT_TRUE(shortest);
  EXPECT_EQ(shortest->answer, "Two stars and a face.");
  const Lesson *normal = find(Skill::kCaption, "normal");
  ASSERT_TRUE(normal);
  EXPECT_EQ(normal->answer, "A blue star, a face and a red star.");
  const Lesson *longest = find(Skill::kCaption, "long");
  ASSERT_TRUE(longest);
  EXPECT_EQ(longest->answer,
            "A blue star at the top left, a face at the top and a red star at the bottom right.");
}

TEST(DemoLesson, OfAnEmptyPictureNothingIsThere) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    for (const Lesson &lesson : make_lessons({}, seed)) {
      EXPECT_TRUE(lesson.boxes.empty()) << lesson.prompt;
      const char *const expected = lesson.topic == Topic::kCount       ? "0"
                                   : lesson.topic == Topic::kExistence ? "No"
                                   : lesson.skill == Skill::kCaption   ? "An empty picture."
                                                                       : "";
      EXPECT_EQ(lesson.answer, expected) << lesson.prompt;
    }
  }
}

TEST(DemoLesson, IsWrittenAsJson) {
  const Lesson lesson{.skill = Skill::kDetect, .prompt = "star", .boxes = {{0, 0.25, 0.5, 1}}};
  EXPECT_EQ(to_json(lesson).dump(),
            R"({"boxes":[[0.0,0.25,0.5,1.0]],"prompt":"star","skill":"detect"})");
}

}  // namespace
}  // namespace scenes
