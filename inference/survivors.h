// The items of a batch that somebody still waits for, while a long computation goes through its
// layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace moondream {

// Whether nobody waits any more for what a long computation makes of an item of its batch. Asked
// again and again; empty: never.
using CancelCheck = std::function<bool(std::int64_t item)>;

// Thread-safety: one thread at a time; `cancelled` is called on that.
class Survivors {
 public:
  // Items [first, first + count) of those that `cancelled` knows, which must outlive it.
  Survivors(std::int64_t first, std::int64_t count, const CancelCheck &cancelled);

  // Asks for every item that is left. x: [items left, ...]; returns it without those that have been
  // cancelled: x itself, not copied, if there is none.
  at::Tensor keep(const at::Tensor &x);

  // The items that are left, rising.
  const std::vector<std::int64_t> &items() const { return items_; }

 private:
  const CancelCheck &cancelled_;
  std::vector<std::int64_t> items_;
};

}  // namespace moondream
