// Samples in memory as numbers. They need not be aligned.
// Thread-safety: safe.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "redact_layout.h"

namespace moondream::redact {

struct Byte {
  using Sum = std::uint16_t;               // of the samples of a column
  static constexpr int kMaxAddends = 257;  // that it has room for
  static constexpr int kSize = 1;

  static std::uint8_t load(const std::uint8_t *row, int i) { return row[i]; }
  static void store(std::uint8_t *row, int i, std::uint32_t value) {
    row[i] = static_cast<std::uint8_t>(value);
  }
};

template <bool kSwapped>
struct AnyWord {
  using Sum = std::uint32_t;
  static constexpr int kMaxAddends = 65537;
  static constexpr int kSize = 2;

  static std::uint16_t swap(std::uint16_t value) {
    return kSwapped ? static_cast<std::uint16_t>(value << 8 | value >> 8) : value;
  }
  static std::uint16_t load(const std::uint8_t *row, int i) {
    std::uint16_t value;
    std::memcpy(&value, row + 2 * i, sizeof(value));
    return swap(value);
  }
  static void store(std::uint8_t *row, int i, std::uint32_t value) {
    const std::uint16_t stored = swap(static_cast<std::uint16_t>(value));
    std::memcpy(row + 2 * i, &stored, sizeof(stored));
  }
};

// Calls `body` with an object of the type that handles samples of `kind`.
template <typename Body>
auto with_samples(SampleKind kind, Body &&body) {
  switch (kind) {
    case SampleKind::kWord:
      return std::forward<Body>(body)(AnyWord<false>());
    case SampleKind::kSwappedWord:
      return std::forward<Body>(body)(AnyWord<true>());
    case SampleKind::kByte:
      break;
  }
  return std::forward<Body>(body)(Byte());
}

}  // namespace moondream::redact
