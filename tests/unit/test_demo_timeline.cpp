#include <gtest/gtest.h>

#include "timeline.h"

namespace scenes {
namespace {

std::vector<bool> frames(const std::string &text) {
  std::vector<bool> held;
  for (const char c : text) held.push_back(c == '#');
  return held;
}

TEST(DemoTimeline, SpansAreFramesInARow) {
  EXPECT_EQ(spans_of(frames("..##.#")), (std::vector<Span>{{2, 4}, {5, 6}}));
  EXPECT_EQ(spans_of(frames("###")), (std::vector<Span>{{0, 3}}));
  EXPECT_TRUE(spans_of(frames("...")).empty());
  EXPECT_TRUE(spans_of({}).empty());
}

TEST(DemoTimeline, ABarOfAsManyPartsIsTheFrames) {
  EXPECT_EQ(bar_of(frames("..##.#"), 6), "..##.#");
}

TEST(DemoTimeline, APartWithBothIsNeither) {
  EXPECT_EQ(bar_of(frames("...###"), 2), ".#");
  EXPECT_EQ(bar_of(frames("....##"), 2), ".+");
}

TEST(DemoTimeline, ABarMayBeLongerThanTheFrames) {
  EXPECT_EQ(bar_of(frames(".#"), 4), "..##");
  EXPECT_EQ(bar_of({}, 4), "");
}

}  // namespace
}  // namespace scenes
