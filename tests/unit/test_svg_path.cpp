// Outlines from the texts of tokens.
#include "svg_path.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace moondream {
namespace {

using Tokens = std::vector<std::string>;

std::optional<std::string> path_of(const Tokens &tokens) { return svg_path_of_tokens(tokens); }

TEST(SvgPath, NumbersAreFractionsOfABoxOf960) {
  EXPECT_EQ(path_of({"M", "0", "960", "L", "480", "240", "Z"}), "M 0 1 L 0.5 0.25 Z");
  EXPECT_EQ(path_of({"m", "96", "1920", "z"}), "m 0.1 2 z");
}

TEST(SvgPath, UpToThreeDecimalsAreKept) {
  // 1/960 = 0.00104..., 959/960 = 0.99895..., 100/960 = 0.10416..., 12/960 = 0.0125.
  EXPECT_EQ(path_of({"M", "1", "959", "L", "100", "0"}), "M 0.001 0.999 L 0.104 0");
}

TEST(SvgPath, AMinusIsATokenOfItsOwn) {
  EXPECT_EQ(path_of({"l", "-", "480", "96", "l", "96", "-", "96"}), "l -0.5 0.1 l 0.1 -0.1");
  EXPECT_EQ(path_of({"l", "-480", "-", "-96"}), "l -0.5 0.1");
}

TEST(SvgPath, ACommandMayHaveAnyNumberOfPairs) {
  EXPECT_EQ(path_of({"C", "0", "0", "96", "96", "480", "480", "960", "0"}),
            "C 0 0 0.1 0.1 0.5 0.5 1 0");
  EXPECT_EQ(path_of({"M", "L", "96", "96"}), "M L 0.1 0.1");
}

TEST(SvgPath, HorizontalsAndVerticalsHaveSingleNumbers) {
  EXPECT_EQ(path_of({"M", "0", "0", "H", "960", "v", "-", "480", "h", "96", "96", "96"}),
            "M 0 0 H 1 v -0.5 h 0.1 0.1 0.1");
}

TEST(SvgPath, ArcsHaveSevenOfWhichTheDegreesAndFlagsStayAsTheyAre) {
  EXPECT_EQ(path_of({"M", "0", "480", "A", "480", "240", "-", "30", "0", "1", "960", "480"}),
            "M 0 0.5 A 0.5 0.25 -30 0 1 1 0.5");
  EXPECT_EQ(path_of({"a", "96", "96", "90", "1", "0", "-", "96", "0", "480", "480", "0", "0", "0",
                     "96", "960"}),
            "a 0.1 0.1 90 1 0 -0.1 0 0.5 0.5 0 0 0 0.1 1");
  // Cut off.
  EXPECT_EQ(path_of({"M", "0", "0", "A", "96", "96", "0", "1", "0", "96", "0", "96", "96"}),
            "M 0 0 A 0.1 0.1 0 1 0 0.1 0");
  EXPECT_EQ(path_of({"M", "0", "0", "A", "96", "96", "0", "1", "0", "96"}), "M 0 0 A");
}

// A text that was cut off by max_tokens.
TEST(SvgPath, HalfAPairIsDropped) {
  EXPECT_EQ(path_of({"M", "96", "96", "L", "960"}), "M 0.1 0.1 L");
  EXPECT_EQ(path_of({"M", "96", "96", "L", "960", "480", "960"}), "M 0.1 0.1 L 1 0.5");
  EXPECT_EQ(path_of({"M", "96", "96", "L", "960", "-"}), "M 0.1 0.1 L");
  EXPECT_EQ(path_of({"M", "96", "96", "-"}), "M 0.1 0.1");
}

TEST(SvgPath, NothingIsAnEmptyPath) { EXPECT_EQ(path_of({}), ""); }

TEST(SvgPath, WhatIsNoPathIsNone) {
  for (const Tokens &tokens : {Tokens{"96", "96"},
                               {"the", "cat"},
                               {"M", "96", "cat"},
                               {"M", "9.6", "0"},
                               {"MM"},
                               {"M", "96", "-", "L"},
                               {"M", ""},
                               {"B", "1", "2"},
                               {"M", "1e3", "0"},
                               {"M", " 96", "0"},
                               {"M", "99999999999999999999", "0"},
                               {"M", "-", "-9223372036854775808", "0"}}) {
    EXPECT_EQ(path_of(tokens), std::nullopt) << testing::PrintToString(tokens);
  }
}

}  // namespace
}  // namespace moondream
