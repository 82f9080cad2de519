// How much memory the program takes: with AddressSanitizer all of it, else what comes from operator
// new and from ICU, which linking this replaces.
// Thread-safety: safe, but the figures are of all threads together.
#pragma once

#include <cstddef>

namespace moondream::fuzz {

// Bytes that are allocated now.
std::size_t allocated_bytes();

// The most that were allocated at a time since restart_peak(), or since the program began.
std::size_t peak_bytes();
void restart_peak();

}  // namespace moondream::fuzz
