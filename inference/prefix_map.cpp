#include "prefix_map.h"

namespace moondream {

PrefixMap::PrefixMap(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::erase_if(entries_, [](const Entry &entry) { return entry.key.empty(); });
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry &a, const Entry &b) { return a.key < b.key; });
  entries_.erase(std::unique(entries_.begin(), entries_.end(),
                             [](const Entry &a, const Entry &b) { return a.key == b.key; }),
                 entries_.end());
  for (const Entry &entry : entries_) ++begin_[static_cast<unsigned char>(entry.key[0]) + 1];
  for (std::size_t byte = 0; byte < 256; ++byte) begin_[byte + 1] += begin_[byte];
}

const PrefixMap::Entry *PrefixMap::longest_prefix(std::string_view text) const {
  const Entry *longest = nullptr;
  for_each_prefix(text, [&](const Entry &entry) { longest = &entry; });
  return longest;
}

}  // namespace moondream
