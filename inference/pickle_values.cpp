#include "pickle_values.h"

#include <set>
#include <utility>

#include "files.h"

namespace moondream {
namespace {

using Kind = PickleValue::Kind;

constexpr std::size_t kMaxDepth = 16;  // of dictionaries in dictionaries

[[noreturn]] void fail(std::string what) { throw PickleFault{std::move(what)}; }

std::string key_text(const PickleValue &key) {
  if (key.kind == Kind::kText) return std::string(key.text);
  if (key.kind == Kind::kInteger) return std::to_string(key.number);
  fail("a dictionary has a key that is neither a text nor a number");
}

}  // namespace

std::map<std::string, PickledTensor> flatten(const PickleObjects &objects, const PickleValue &root,
                                             std::size_t max_name_bytes) {
  if (root.kind != Kind::kContainer || objects.containers[root.index].is_list) {
    fail("it holds no dictionary of tensors");
  }
  struct Level {
    std::size_t container, next;
    std::string prefix;
  };
  std::vector<Level> levels = {{root.index, 0, ""}};
  // Each container once: what is shared could otherwise be more than the file is long.
  std::set<std::size_t> seen = {root.index};
  std::size_t name_bytes = 0;
  std::map<std::string, PickledTensor> tensors;
  while (!levels.empty()) {
    Level &level = levels.back();
    const PickleContainer &container = objects.containers[level.container];
    if (level.next == container.values.size()) {
      levels.pop_back();
      continue;
    }
    const std::size_t i = level.next++;
    const PickleValue &value = container.values[i];
    if (value.kind != Kind::kContainer && value.kind != Kind::kTensor) continue;
    std::string name =
        level.prefix + (container.is_list ? std::to_string(i) : key_text(container.keys[i]));
    // Keys may be shared, too.
    name_bytes += name.size();
    if (name_bytes > max_name_bytes) fail("its names are longer than it is");
    if (value.kind == Kind::kTensor) {
      const auto [other, is_new] = tensors.emplace(std::move(name), objects.tensors[value.index]);
      if (!is_new) fail("tensor " + quote(other->first) + " is there twice");
      continue;
    }
    if (levels.size() == kMaxDepth) fail("it is nested too deeply");
    if (!seen.insert(value.index).second) fail(quote(name) + " is also under another name");
    levels.push_back({value.index, 0, name + "."});
  }
  return tensors;
}

}  // namespace moondream
