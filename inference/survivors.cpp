#include "survivors.h"

#include <ATen/ATen.h>

#include <numeric>

namespace moondream {

Survivors::Survivors(std::int64_t first, std::int64_t count, const CancelCheck &cancelled)
    : cancelled_(cancelled), items_(count) {
  std::iota(items_.begin(), items_.end(), first);
}

at::Tensor Survivors::keep(const at::Tensor &x) {
  if (!cancelled_) return x;
  std::vector<std::int64_t> left, rows;
  for (std::size_t row = 0; row < items_.size(); ++row) {
    if (cancelled_(items_[row])) continue;
    left.push_back(items_[row]);
    rows.push_back(static_cast<std::int64_t>(row));
  }
  if (left.size() == items_.size()) return x;
  items_ = std::move(left);
  return x.index_select(0, at::tensor(rows, at::kLong).to(x.device()));
}

}  // namespace moondream
