#include "latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace moondream {
namespace {

constexpr int kFirstBits = 10;  // 2^10 ns begin the first doubling
constexpr int kBucketBits = 5;  // of 2^5 buckets

}  // namespace

void LatencyHistogram::add(std::chrono::nanoseconds latency) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
  int bucket = 0;
  if (ns >> kFirstBits != 0) {
    const int doubling = std::bit_width(ns) - 1 - kFirstBits;
    const auto place = ns >> (doubling + kFirstBits - kBucketBits) & (kPerDoubling - 1);
    bucket = 1 + doubling * kPerDoubling + static_cast<int>(place);
  }
  ++counts_[static_cast<std::size_t>(std::min(bucket, kBuckets - 1))];
  ++total_;
}

std::chrono::nanoseconds LatencyHistogram::quantile(double share) const {
  const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
  std::uint64_t below = 0;
  for (int bucket = 0; bucket < kBuckets; ++bucket) {
    below += counts_[static_cast<std::size_t>(bucket)];
    if (below < rank || below == 0) continue;
    // The end of the bucket.
    const int doubling = bucket / kPerDoubling, place = bucket % kPerDoubling;
    return std::chrono::nanoseconds(std::int64_t{kPerDoubling + place}
                                    << (doubling + kFirstBits - kBucketBits));
  }
  return std::chrono::nanoseconds(0);
}

}  // namespace moondream
