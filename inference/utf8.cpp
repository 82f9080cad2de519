#include "utf8.h"

#include <unicode/utf8.h>

#include <algorithm>

namespace moondream {

char32_t next_code_point(std::string_view text, std::size_t &pos) {
  UChar32 code_point = 0;
  const std::size_t size = text.size();
  U8_NEXT_OR_FFFD(text.data(), pos, size, code_point);
  return static_cast<char32_t>(code_point);
}

char32_t previous_code_point(std::string_view text, std::size_t &pos) {
  // U8_PREV calls into ICU with 32-bit offsets; a code point has at most four bytes.
  const std::size_t from = pos - std::min<std::size_t>(pos, 4);
  const char *tail = text.data() + from;
  auto offset = static_cast<int32_t>(pos - from);
  UChar32 code_point = 0;
  U8_PREV_OR_FFFD(tail, 0, offset, code_point);
  pos = from + static_cast<std::size_t>(offset);
  return static_cast<char32_t>(code_point);
}

void append_code_point(std::string &text, char32_t code_point) {
  char bytes[U8_MAX_LENGTH];
  int size = 0;
  U8_APPEND_UNSAFE(bytes, size, static_cast<UChar32>(code_point));
  text.append(bytes, static_cast<std::size_t>(size));
}

std::size_t code_points(std::string_view text) {
  const auto begins = [](char byte) { return (byte & 0xC0) != 0x80; };
  return static_cast<std::size_t>(std::ranges::count_if(text, begins));
}

std::string to_valid_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (std::size_t pos = 0; pos < text.size();) {
    append_code_point(valid, next_code_point(text, pos));
  }
  return valid;
}

}  // namespace moondream
