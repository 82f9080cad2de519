#include "moderation_rules.h"

#include <gtest/gtest.h>

namespace moondream::moderation {
namespace {

FrameAnalysis seen() {
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kFresh;
  analysis.age = 0;
  analysis.serial = 4;
  return analysis;
}

FrameAnalysis seen_object(const char *label, double score) {
  FrameAnalysis analysis = seen();
  analysis.objects = {{label, score, {0, 0, 1, 1}, 0, 0}};
  return analysis;
}

FrameAnalysis answered(const char *question, const char *answer) {
  FrameAnalysis analysis = seen();
  analysis.answers = {{question, answer}};
  return analysis;
}

using Kind = Verdict::Kind;

// ---- Objects and points ----------------------------------------------------------------------

TEST(ModerationRules, AnObjectOrPointOfAStoppedLabelIsStopped) {
  const Rules rules{.labels = {"knife", "gun"}};
  const Verdict verdict = judge(seen_object("gun", 0.75), rules);
  EXPECT_EQ(verdict.kind, Kind::kStop);
  EXPECT_EQ(verdict.serial, 4u);
  ASSERT_EQ(verdict.triggers.size(), 1u);
  EXPECT_EQ(verdict.triggers[0].kind, Trigger::Kind::kObject);
  EXPECT_EQ(verdict.triggers[0].subject, "gun");
  EXPECT_EQ(verdict.triggers[0].score, 0.75);

  FrameAnalysis pointed = seen();
  pointed.points = {{"knife", 0.5, {0, 0}}};
  EXPECT_EQ(judge(pointed, rules).kind, Kind::kStop);
  EXPECT_EQ(judge(pointed, rules).triggers.at(0).kind, Trigger::Kind::kPoint);
  EXPECT_EQ(judge(seen_object("dog", 1), rules).kind, Kind::kClean);
  EXPECT_EQ(judge(seen(), rules).kind, Kind::kClean);
}

TEST(ModerationRules, LabelsAreComparedWithoutCaseAndOuterSpace) {
  EXPECT_EQ(judge(seen_object("Straße", 1), {.labels = {" STRASSE "}}).kind, Kind::kStop);
  EXPECT_EQ(judge(seen_object("gun", 1), {.labels = {"gu"}}).kind, Kind::kClean);
}

TEST(ModerationRules, AScoreBelowTheMinimumIsNoObject) {
  const Rules rules{.labels = {"gun"}, .min_score = 0.5};
  EXPECT_EQ(judge(seen_object("gun", 0.49), rules).kind, Kind::kClean);
  EXPECT_EQ(judge(seen_object("gun", 0.5), rules).kind, Kind::kStop);
}

TEST(ModerationRules, SeveralObjectsOfALabelAreOneTriggerWithTheHighestScore) {
  FrameAnalysis analysis = seen_object("gun", 0.25);
  analysis.objects.push_back({"gun", 0.75, {0, 0, 1, 1}, 1, 0});
  const Verdict verdict = judge(analysis, {.labels = {"gun"}});
  ASSERT_EQ(verdict.triggers.size(), 1u);
  EXPECT_EQ(verdict.triggers[0].score, 0.75);
}

// ---- Answers ---------------------------------------------------------------------------------

TEST(ModerationRules, AnAnswerBeginsWithWholeWords) {
  EXPECT_TRUE(answer_begins_with("Yes", "yes"));
  EXPECT_TRUE(answer_begins_with(" \"YES!\" there is.", "yes"));
  EXPECT_TRUE(answer_begins_with("Yes, a knife.", "yes a knife"));
  EXPECT_TRUE(answer_begins_with("It's a gun", "its a gun"));
  EXPECT_FALSE(answer_begins_with("Yesterday", "yes"));
  EXPECT_FALSE(answer_begins_with("Nothing, yes", "yes"));
  EXPECT_FALSE(answer_begins_with("Not sure", "no"));
  EXPECT_FALSE(answer_begins_with("", "yes"));
  EXPECT_FALSE(answer_begins_with("anything", "")) << "no rule stops everything by accident";
  EXPECT_FALSE(answer_begins_with("anything", "?!"));
  EXPECT_TRUE(answer_begins_with("\xd0\x94\xd0\xb0.", "\xd0\xb4\xd0\xb0")) << "Cyrillic yes";
  EXPECT_TRUE(answer_begins_with("Oui, caf\xc3\xa9", "oui cafe\xcc\x81")) << "composed or not";
  EXPECT_FALSE(answer_begins_with("\xff\xfe", "yes"));
}

TEST(ModerationRules, AnAnswerThatMeansStopIsStoppedWithItsText) {
  const Rules rules{.answers = {{"Is there blood?", {"yes", "maybe"}}}};
  const Verdict verdict = judge(answered("is there blood? ", "Maybe a little."), rules);
  EXPECT_EQ(verdict.kind, Kind::kStop);
  ASSERT_EQ(verdict.triggers.size(), 1u);
  EXPECT_EQ(verdict.triggers[0].kind, Trigger::Kind::kAnswer);
  EXPECT_EQ(verdict.triggers[0].answer, "Maybe a little.");
  EXPECT_EQ(judge(answered("Is there blood?", "No."), rules).kind, Kind::kClean);
}

TEST(ModerationRules, ARuleWithoutQuestionIsForAllAnswers) {
  const Rules rules{.answers = {{"", {"yes"}}}};
  EXPECT_EQ(judge(answered("Is there blood?", "Yes."), rules).kind, Kind::kStop);
  EXPECT_EQ(judge(answered("Is it dark?", "No."), rules).kind, Kind::kClean);
}

// A question that nobody asked is not one whose answer is no.
TEST(ModerationRules, AQuestionThatWasNotAskedIsUnknown) {
  const Rules rules{.labels = {"gun"}, .answers = {{"Is there blood?", {"yes"}}}};
  const Verdict verdict = judge(answered("Is it dark?", "No."), rules);
  EXPECT_EQ(verdict.kind, Kind::kUnknown);
  EXPECT_EQ(verdict.reason, "unanswered");
  EXPECT_EQ(judge(seen(), {.answers = {{"", {"yes"}}}}).kind, Kind::kUnknown);
  EXPECT_EQ(judge(seen_object("gun", 1), rules).kind, Kind::kStop) << "another rule is enough";
}

// ---- What is not known -----------------------------------------------------------------------

TEST(ModerationRules, WhatIsNotKnownIsNeverClean) {
  const Rules rules{.labels = {"gun"}};
  EXPECT_EQ(judge(std::nullopt, rules).kind, Kind::kUnknown);
  EXPECT_EQ(judge(std::nullopt, rules).reason, "no-result");
  FrameAnalysis analysis = seen_object("gun", 1);
  analysis.status = AnalysisStatus::kPending;
  EXPECT_EQ(judge(analysis, rules).reason, "pending");
  analysis.status = AnalysisStatus::kFailed;
  EXPECT_EQ(judge(analysis, rules).reason, "failed");
  EXPECT_TRUE(judge(analysis, rules).triggers.empty());
}

TEST(ModerationRules, AResultThatIsTooOldIsNotKnown) {
  const Rules rules{.labels = {"gun"}, .max_age = GST_SECOND};
  FrameAnalysis analysis = seen();
  analysis.status = AnalysisStatus::kHeld;
  analysis.age = GST_SECOND;
  EXPECT_EQ(judge(analysis, rules).kind, Kind::kClean);
  analysis.age = GST_SECOND + 1;
  EXPECT_EQ(judge(analysis, rules).reason, "too-old");
  analysis.age = GST_CLOCK_TIME_NONE;
  EXPECT_EQ(judge(analysis, rules).reason, "too-old") << "of unknown age";
  EXPECT_EQ(judge(analysis, {.labels = {"gun"}}).kind, Kind::kClean) << "no limit";
  analysis.status = AnalysisStatus::kFresh;
  EXPECT_EQ(judge(analysis, rules).kind, Kind::kClean) << "of this very frame";
}

TEST(ModerationRules, ListsAreSplitAtCommas) {
  EXPECT_EQ(split_list(" license plate, face ,,knife,"),
            (std::vector<std::string>{"license plate", "face", "knife"}));
  EXPECT_TRUE(split_list("").empty());
  EXPECT_TRUE(split_list(" , ").empty());
}

// ---- Typed rules -----------------------------------------------------------------------------

class StopRules : public testing::Test {
 protected:
  ~StopRules() override {
    if (G_IS_VALUE(&array_)) g_value_unset(&array_);
  }
  std::vector<AnswerRule> parse(const char *text) {
    if (G_IS_VALUE(&array_)) g_value_unset(&array_);
    g_value_init(&array_, GST_TYPE_ARRAY);
    // Knows from the property, as launch lines do, that structures are meant.
    GParamSpec *rule = g_param_spec_boxed("rule", "", "", GST_TYPE_STRUCTURE, G_PARAM_READWRITE);
    GParamSpec *rules =
        g_param_spec_ref_sink(gst_param_spec_array("stop-rules", "", "", rule, G_PARAM_READWRITE));
    EXPECT_TRUE(gst_value_deserialize_with_pspec(&array_, text, rules)) << text;
    g_param_spec_unref(rules);
    return parse_answer_rules(&array_);
  }

  GValue array_ = G_VALUE_INIT;
};

// As it is written in a launch line, where a yes without quotes is a boolean.
TEST_F(StopRules, AreStructuresOfAQuestionAndAnswers) {
  const std::vector<AnswerRule> rules =
      parse(R"(<"rule, question=(string)\"Is there blood?\", answers=<yes, maybe>",)"
            R"("rule, answers=(string)\"a gun\"">)");
  EXPECT_EQ(rules, (std::vector<AnswerRule>{{"Is there blood?", {"yes", "true", "maybe"}},
                                            {"", {"a gun"}}}));
  GValue written = G_VALUE_INIT;
  g_value_init(&written, GST_TYPE_ARRAY);
  write_answer_rules(rules, &written);
  EXPECT_EQ(parse_answer_rules(&written), rules);
  g_value_unset(&written);
  EXPECT_TRUE(parse("<>").empty());
}

TEST_F(StopRules, AnythingElseIsRefused) {
  for (const char *text :
       {"<yes>", R"(<"rule, question=(string)why">)", R"(<"rule, answers=<>">)",
        R"(<"rule, answers=(int)1">)", R"(<"rule, answers=(string)\" \"">)",
        R"(<"rule, question=(int)1, answers=(string)yes">)", R"(<"rule, answers=<1>">)"}) {
    try {
      parse(text);
      ADD_FAILURE() << text;
    } catch (const Error &error) {
      EXPECT_EQ(error.kind(), ErrorKind::kSettings) << text;
    }
  }
}

}  // namespace
}  // namespace moondream::moderation
