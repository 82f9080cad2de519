// A set of strings with a number each, looked up at the beginning of a text.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moondream {

// Immutable. Thread-safety: safe.
class PrefixMap {
 public:
  struct Entry {
    std::string key;
    int value;
  };

  PrefixMap() = default;  // empty
  // Empty keys are ignored, and of equal keys all but the first.
  explicit PrefixMap(std::vector<Entry> entries);

  // Calls visit(const Entry &) for each key that `text` begins with, shortest first.
  template <typename Visitor>
  void for_each_prefix(std::string_view text, Visitor visit) const;

  // The longest key that `text` begins with, or null. Lives as long as this.
  const Entry *longest_prefix(std::string_view text) const;

 private:
  std::vector<Entry> entries_;            // in byte order of their keys
  std::array<std::size_t, 257> begin_{};  // where the entries of each first byte begin
};

template <typename Visitor>
void PrefixMap::for_each_prefix(std::string_view text, Visitor visit) const {
  if (text.empty()) return;
  const auto byte_at = [](std::string_view s, std::size_t i) {
    return static_cast<unsigned char>(s[i]);
  };
  // The entries whose first `size` bytes are those of the text: the one of just that size, if there
  // is one, is the first of them.
  auto first = entries_.begin() + static_cast<std::ptrdiff_t>(begin_[byte_at(text, 0)]);
  auto last = entries_.begin() + static_cast<std::ptrdiff_t>(begin_[byte_at(text, 0) + 1]);
  for (std::size_t size = 1; first != last; ++size) {
    if (first->key.size() == size) visit(*first++);
    if (size == text.size()) return;
    const auto byte = byte_at(text, size);
    first = std::partition_point(
        first, last, [&](const Entry &entry) { return byte_at(entry.key, size) < byte; });
    last = std::partition_point(
        first, last, [&](const Entry &entry) { return byte_at(entry.key, size) == byte; });
  }
}

}  // namespace moondream
