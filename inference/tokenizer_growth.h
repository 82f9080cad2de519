// How far a tokenizer's rules may make a text grow. Each of many rules of a file may double it, so
// that a short file and a short text would fill all memory.
// Thread-safety: safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tokenizer.h"
#include "types.h"

namespace moondream {

// Of a text on its way to tokens, or of tokens on their way to a text. Rules in use make at most
// three bytes of one: a space becomes U+2581.
inline constexpr std::size_t kMaxGrownBytes = 4 * kMaxTextBytes;

// Throws Error{kFailed} if a text has grown to more.
inline void check_grown(std::size_t bytes) {
  if (bytes <= kMaxGrownBytes) return;
  throw Error(ErrorKind::kFailed, "tokenizer: its rules make a text grow to more than " +
                                      std::to_string(kMaxGrownBytes) + " bytes");
}

// The same for the parts of a text.
inline void check_grown(const std::vector<std::string> &parts) {
  std::size_t bytes = 0;
  for (const std::string &part : parts) bytes += part.size();
  check_grown(bytes);
}

}  // namespace moondream
