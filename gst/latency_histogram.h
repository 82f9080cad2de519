// How latencies are distributed, in bounded memory.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace moondream {

// Counts durations in buckets, 32 for each doubling, so that what it tells is off by 3.2 % at most,
// upwards. Shorter than a microsecond is one bucket, and so is longer than 38 hours.
// Thread-safety: none of its own.
class LatencyHistogram {
 public:
  void add(std::chrono::nanoseconds latency);

  // What `share`, in (0, 1], of the durations do not exceed; 0 if there are none.
  std::chrono::nanoseconds quantile(double share) const;

 private:
  static constexpr int kPerDoubling = 32;
  static constexpr int kDoublings = 37;  // from 2^10 ns on
  static constexpr int kBuckets = 1 + kPerDoubling * kDoublings;

  std::array<std::uint32_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
};

}  // namespace moondream
