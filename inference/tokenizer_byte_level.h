// The byte-level alphabet: a printable character for each of the 256 bytes, so that any bytes can
// be tokens of a vocabulary that is written as text. Introduced with GPT-2.
// Thread-safety: safe; constant tables.
#pragma once

#include <string>
#include <string_view>

namespace moondream {

// Returns one character of the alphabet for each byte.
std::string to_byte_level(std::string_view bytes);

// Appends the bytes that `token` stands for. A token with any character outside the alphabet, such
// as an added token with spaces, stands for its own UTF-8.
void append_byte_level_bytes(std::string_view token, std::string &bytes);

}  // namespace moondream
