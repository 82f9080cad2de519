// What the hand-written CPU kernels share.
#pragma once

#include <c10/util/BFloat16.h>

#include <bit>
#include <cstdint>

// One copy of a loop for each instruction set, chosen when the program starts. The loops are plain,
// so that the compiler makes vector code of them. Not with ThreadSanitizer: it instruments what
// chooses, which runs before the sanitizer itself is ready.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define MOONDREAM_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MOONDREAM_CLONES
#endif

namespace moondream::ops {

inline float from(float value) { return value; }
inline float from(c10::BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.x) << 16);
}

inline void to(float value, float &out) { out = value; }
// To nearest, ties to even; a NaN's payload may not carry into its exponent.
inline void to(float value, c10::BFloat16 &out) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  out.x = static_cast<std::uint16_t>(value == value ? rounded : 0x7FC0);
}

}  // namespace moondream::ops
