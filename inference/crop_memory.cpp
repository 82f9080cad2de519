#include "crop_memory.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace moondream {

bool looks_alike(std::span<const std::uint8_t> encoded, std::span<const std::uint8_t> now,
                 double threshold) {
  if (encoded.size() != now.size()) return false;
  if (threshold <= 0) return std::memcmp(encoded.data(), now.data(), now.size()) == 0;
  const double allowed = threshold * 255 * static_cast<double>(now.size());
  constexpr std::size_t kStretch = 4096;  // its sum fits an int, for a plain vector loop
  std::uint64_t sum = 0;
  for (std::size_t begin = 0; begin < now.size(); begin += kStretch) {
    const std::size_t end = std::min(begin + kStretch, now.size());
    int part = 0;
    for (std::size_t i = begin; i < end; ++i) part += std::abs(encoded[i] - now[i]);
    sum += static_cast<std::uint64_t>(part);
    if (static_cast<double>(sum) > allowed) return false;
  }
  return true;
}

std::uint64_t CropMemory::bytes() const {
  std::uint64_t bytes = 0;
  if (const auto sight = last()) {
    for (const KnownPicture &picture : sight->pictures) {
      for (const auto &crop : picture.crops) bytes += crop->pixels.size() + crop->features.nbytes();
    }
  }
  return bytes;
}

std::shared_ptr<const Sight> CropMemory::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

void CropMemory::keep(Sight sight) {
  auto next = std::make_shared<const Sight>(std::move(sight));
  const std::lock_guard lock(mutex_);
  // The one before is freed behind the lock.
  last_.swap(next);
}

}  // namespace moondream
