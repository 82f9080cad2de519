#include "utf8.h"

#include <gtest/gtest.h>

#include <vector>

namespace moondream {
namespace {

std::vector<char32_t> forwards(std::string_view text) {
  std::vector<char32_t> code_points;
  for (std::size_t pos = 0; pos < text.size();) code_points.push_back(next_code_point(text, pos));
  return code_points;
}

std::vector<char32_t> backwards(std::string_view text) {
  std::vector<char32_t> code_points;
  for (std::size_t pos = text.size(); pos > 0;) {
    code_points.insert(code_points.begin(), previous_code_point(text, pos));
  }
  return code_points;
}

TEST(Utf8, ReadsCodePointsOfEveryLengthInBothDirections) {
  const std::vector<char32_t> expected = {U'a', U'\u00E9', U'\u4E2D', U'\U0001F600', U'\0'};
  std::string text;
  for (const char32_t code_point : expected) append_code_point(text, code_point);
  EXPECT_EQ(text, std::string("a\u00E9\u4E2D\U0001F600\0", 11));
  EXPECT_EQ(forwards(text), expected);
  EXPECT_EQ(backwards(text), expected);
}

// The example of the Unicode Standard 15, table 3-11, and other ill-formed stretches.
TEST(Utf8, ReplacesEachMaximalIllFormedStretchOnce) {
  EXPECT_EQ(to_valid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  EXPECT_EQ(to_valid_utf8("\xC0\xAF"), "\uFFFD\uFFFD") << "overlong";
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD") << "surrogate";
  EXPECT_EQ(to_valid_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD") << "over U+10FFFF";
  EXPECT_EQ(to_valid_utf8("\xFF"), "\uFFFD");
  EXPECT_EQ(to_valid_utf8("\xE4\xB8"), "\uFFFD") << "truncated";
}

TEST(Utf8, LeavesValidTextAsItIs) {
  const std::string text("a\0\u00E9\uFFFD\U0010FFFF", 11);
  EXPECT_EQ(to_valid_utf8(text), text);
  EXPECT_EQ(to_valid_utf8(""), "");
}

}  // namespace
}  // namespace moondream
