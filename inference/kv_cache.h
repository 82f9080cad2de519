// Keys and values of the tokens that a model has seen.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace moondream {

// Grows as tokens are appended; positions that hold nothing are never computed with.
// Thread-safety: const methods are safe; one thread at a time may append.
class KvCache {
 public:
  explicit KvCache(std::size_t layers) : layers_(layers) {}

  // Makes room for `tokens` positions in all, so that appending them does not grow again.
  void reserve(std::int64_t tokens) { reserved_ = tokens; }

  // Appends to one layer. k, v: [T, H_kv, head_dim].
  void append(std::size_t layer, const at::Tensor &k, const at::Tensor &v);

  // [H_kv, length, head_dim], views that the next append may invalidate.
  at::Tensor k(std::size_t layer) const;
  at::Tensor v(std::size_t layer) const;

  std::size_t layers() const { return layers_.size(); }

  // Tokens that every layer has.
  std::int64_t length() const { return layers_.empty() ? 0 : layers_.back().length; }

 private:
  struct Layer {
    at::Tensor k, v;  // [H_kv, capacity, head_dim]
    std::int64_t length = 0;
  };

  std::vector<Layer> layers_;
  std::int64_t reserved_ = 0;
};

}  // namespace moondream
