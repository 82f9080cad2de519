#include "prefix_map.h"

#include <gtest/gtest.h>

#include <random>

namespace moondream {
namespace {

std::vector<int> prefixes(const PrefixMap &map, std::string_view text) {
  std::vector<int> values;
  map.for_each_prefix(text, [&](const PrefixMap::Entry &entry) { values.push_back(entry.value); });
  return values;
}

TEST(PrefixMap, FindsThePrefixesThatAPlainComparisonFinds) {
  std::mt19937 random(1);
  const auto random_string = [&](std::size_t max_size) {
    std::string text(random() % (max_size + 1), '\0');
    for (char &c : text) c = "ab\xFF\x00"[random() % 4];
    return text;
  };
  for (int round = 0; round < 50; ++round) {
    std::vector<PrefixMap::Entry> entries;
    for (int i = 0; i < 40; ++i) entries.push_back({random_string(5), i});
    const PrefixMap map(entries);
    for (int i = 0; i < 100; ++i) {
      const std::string text = random_string(8);
      std::vector<int> expected;
      for (std::size_t size = 1; size <= text.size(); ++size) {
        const auto entry = std::find_if(entries.begin(), entries.end(), [&](const auto &e) {
          return e.key == text.substr(0, size);
        });
        if (entry != entries.end()) expected.push_back(entry->value);
      }
      EXPECT_EQ(prefixes(map, text), expected);
      const PrefixMap::Entry *longest = map.longest_prefix(text);
      ASSERT_EQ(longest != nullptr, !expected.empty());
      if (longest) {
        EXPECT_EQ(longest->value, expected.back());
      }
    }
  }
}

TEST(PrefixMap, KeepsTheFirstOfEqualKeysAndNoEmptyOne) {
  const PrefixMap map({{"", 1}, {"a", 2}, {"a", 3}});
  EXPECT_EQ(prefixes(map, "ab"), std::vector{2});
  EXPECT_EQ(map.longest_prefix(""), nullptr);
}

TEST(PrefixMap, WithoutEntriesFindsNothing) { EXPECT_EQ(PrefixMap().longest_prefix("a"), nullptr); }

}  // namespace
}  // namespace moondream
