// UTF-8 text by code points.
// Thread-safety: safe; functions without state.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace moondream {

// Returns the code point that begins at text[pos] and moves `pos` behind it; pos < text.size().
// Each maximal ill-formed stretch (Unicode 15, section 3.9, table 3-8) reads as one U+FFFD.
char32_t next_code_point(std::string_view text, std::size_t &pos);

// Returns the code point that ends before text[pos] and moves `pos` to its beginning; pos > 0.
char32_t previous_code_point(std::string_view text, std::size_t &pos);

// Appends `code_point`, a Unicode scalar value.
void append_code_point(std::string &text, char32_t code_point);

// How many code points `text` has, which is well-formed.
std::size_t code_points(std::string_view text);

// Returns `text` with each maximal ill-formed stretch replaced by U+FFFD.
std::string to_valid_utf8(std::string_view text);

}  // namespace moondream
