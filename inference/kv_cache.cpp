#include "kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace moondream {

void KvCache::append(std::size_t layer, const at::Tensor &k, const at::Tensor &v) {
  Layer &kept = layers_[layer];
  const std::int64_t tokens = k.size(0), needed = kept.length + tokens;
  const std::int64_t capacity = kept.k.defined() ? kept.k.size(1) : 0;
  if (needed > capacity) {
    const std::int64_t grown = std::max({needed, 2 * capacity, reserved_});
    const auto grow = [&](at::Tensor &tensor, const at::Tensor &like) {
      at::Tensor larger = at::empty({like.size(1), grown, like.size(2)}, like.options());
      if (kept.length > 0) {
        larger.narrow(1, 0, kept.length).copy_(tensor.narrow(1, 0, kept.length));
      }
      tensor = larger;
    };
    grow(kept.k, k);
    grow(kept.v, v);
  }
  kept.k.narrow(1, kept.length, tokens).copy_(k.transpose(0, 1));
  kept.v.narrow(1, kept.length, tokens).copy_(v.transpose(0, 1));
  kept.length = needed;
}

at::Tensor KvCache::k(std::size_t layer) const {
  return layers_[layer].k.narrow(1, 0, layers_[layer].length);
}

at::Tensor KvCache::v(std::size_t layer) const {
  return layers_[layer].v.narrow(1, 0, layers_[layer].length);
}

}  // namespace moondream
