#include "double_array.h"

#include <algorithm>

namespace moondream {
namespace {

// A unit is either a value, with the top bit set where a label would be compared, or an inner one:
// bits 0-7 its label, bit 8 whether a value unit follows, bit 9 whether the offset in bits 10-31
// counts in steps of 256.
constexpr std::uint32_t kIsValue = 1u << 31;

std::uint32_t label(std::uint32_t unit) { return unit & (kIsValue | 0xFF); }
bool has_value(std::uint32_t unit) { return unit >> 8 & 1; }
std::size_t offset(std::uint32_t unit) {
  return static_cast<std::size_t>(unit >> 10) << (unit >> 9 & 1 ? 8 : 0);
}

}  // namespace

DoubleArray::DoubleArray(std::string_view units) : units_(units.size() / 4) {
  for (std::size_t i = 0; i < 4 * units_.size(); ++i) {
    units_[i / 4] |= static_cast<std::uint32_t>(static_cast<unsigned char>(units[i]))
                     << (8 * (i % 4));
  }
}

DoubleArray::Node DoubleArray::node_of(std::size_t position) const {
  const std::uint32_t unit = units_[position];
  Node node{position ^ offset(unit), std::nullopt};
  if (has_value(unit) && node.base < units_.size()) node.value = units_[node.base] & ~kIsValue;
  return node;
}

std::optional<DoubleArray::Node> DoubleArray::root() const {
  if (units_.empty()) return std::nullopt;
  return node_of(0);
}

std::optional<DoubleArray::Node> DoubleArray::child(const Node &node, unsigned char byte) const {
  const std::size_t position = node.base ^ byte;
  if (position >= units_.size() || label(units_[position]) != byte) return std::nullopt;
  return node_of(position);
}

std::optional<DoubleArray::Match> DoubleArray::longest_prefix(std::string_view text) const {
  std::optional<Match> longest;
  std::optional<Node> node = root();
  for (std::size_t i = 0; node && i < text.size(); ++i) {
    node = child(*node, static_cast<unsigned char>(text[i]));
    if (node && node->value) longest = Match{i + 1, *node->value};
  }
  return longest;
}

std::uint32_t DoubleArray::value_bound() const {
  std::uint32_t bound = 0;
  std::vector<bool> seen(units_.size());  // a damaged array may lead in circles
  std::vector<Node> open;
  if (const auto node = root()) open.push_back(*node);
  while (!open.empty()) {
    const Node node = open.back();
    open.pop_back();
    for (int byte = 0; byte < 256; ++byte) {
      const auto next = child(node, static_cast<unsigned char>(byte));
      const std::size_t position = node.base ^ static_cast<std::size_t>(byte);
      if (!next || seen[position]) continue;
      seen[position] = true;
      if (next->value) bound = std::max(bound, *next->value + 1);
      open.push_back(*next);
    }
  }
  return bound;
}

}  // namespace moondream
