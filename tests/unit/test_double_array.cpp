#include "double_array.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace moondream {
namespace {

// What the bits of a unit mean is in double_array.cpp.
constexpr std::uint32_t kHasValue = 1u << 8, kStepsOf256 = 1u << 9, kIsValue = 1u << 31;

DoubleArray array_of(const std::vector<std::uint32_t> &units) {
  std::string bytes;
  for (const std::uint32_t unit : units) {
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(unit >> (8 * i));
  }
  return DoubleArray(bytes);
}

// The keys "a" (value 5) and "ab" (value 7), with the root's children from 256 on.
std::vector<std::uint32_t> two_keys(std::uint32_t root) {
  std::vector<std::uint32_t> units(1024);
  units[0] = root;
  units[256 + 'a'] = ((256u + 'a') ^ 512u) << 10 | kHasValue | 'a';  // goes on at 512
  units[512] = kIsValue | 5;
  units[512 + 'b'] = ((512u + 'b') ^ 768u) << 10 | kHasValue | 'b';  // at 768
  units[768] = kIsValue | 7;
  return units;
}

void expect_two_keys(const DoubleArray &array) {
  EXPECT_EQ(array.value_bound(), 8u);
  EXPECT_FALSE(array.longest_prefix(""));
  EXPECT_FALSE(array.longest_prefix("ba"));
  const auto a = array.longest_prefix("ac");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->size, 1u);
  EXPECT_EQ(a->value, 5u);
  const auto ab = array.longest_prefix("abc");
  ASSERT_TRUE(ab);
  EXPECT_EQ(ab->size, 2u);
  EXPECT_EQ(ab->value, 7u);
}

TEST(DoubleArray, FindsTheLongestKey) { expect_two_keys(array_of(two_keys(256u << 10))); }

TEST(DoubleArray, ReadsOffsetsInStepsOf256) {
  expect_two_keys(array_of(two_keys(1u << 10 | kStepsOf256)));
}

TEST(DoubleArray, OfNoUnitsHasNoKeys) {
  EXPECT_FALSE(DoubleArray().longest_prefix("a"));
  EXPECT_EQ(DoubleArray(std::string_view("abc")).value_bound(), 0u) << "not even one unit";
}

// A damaged array may lead out of itself, or back.
TEST(DoubleArray, EndsWhereItLeadsOutOfItselfOrInCircles) {
  std::vector<std::uint32_t> units = two_keys(256u << 10);
  units[256 + 'a'] = 0x3FFFFFu << 10 | kHasValue | 'a';
  EXPECT_FALSE(array_of(units).longest_prefix("abc"));
  EXPECT_EQ(array_of(units).value_bound(), 0u);

  // After "a" comes what comes after the root.
  units[256 + 'a'] = ('a' ^ 0u) << 10 | 'a';
  EXPECT_EQ(array_of(units).value_bound(), 0u);
  EXPECT_FALSE(array_of(units).longest_prefix(std::string(1000, 'a')));
}

}  // namespace
}  // namespace moondream
