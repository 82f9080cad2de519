// The double-array trie in which sentencepiece models keep their normalization rules (the format
// of darts-clone).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace moondream {

// Immutable. Thread-safety: safe.
class DoubleArray {
 public:
  struct Match {
    std::size_t size;     // of the key, in bytes
    std::uint32_t value;  // below 2^31
  };

  DoubleArray() = default;  // no keys
  // `units` are 32-bit little-endian; bytes after the last whole one are ignored. Whatever they
  // are, no lookup leaves them.
  explicit DoubleArray(std::string_view units);

  // The longest key that `text` begins with.
  std::optional<Match> longest_prefix(std::string_view text) const;

  // An upper bound of the values, exclusive: 0 if there are no keys. Visits each unit once.
  std::uint32_t value_bound() const;

 private:
  // A position in units_ that has been moved by a unit's offset, but by no label yet.
  struct Node {
    std::size_t base;
    std::optional<std::uint32_t> value;  // of the key that ends here
  };
  std::optional<Node> root() const;
  std::optional<Node> child(const Node &node, unsigned char label) const;
  Node node_of(std::size_t position) const;

  std::vector<std::uint32_t> units_;
};

}  // namespace moondream
