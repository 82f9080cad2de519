#include "tokenizer_byte_level.h"

#include <array>

#include "utf8.h"

namespace moondream {
namespace {

struct Alphabet {
  std::array<std::string, 256> characters;  // of each byte, UTF-8
  std::array<int, 0x144> bytes;             // of each code point, -1 = none

  // Printable Latin-1 stands for itself; the other bytes, in order, for U+0100 and on.
  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      const char32_t code_point = printable ? static_cast<char32_t>(byte) : next++;
      append_code_point(characters[byte], code_point);
      bytes[code_point] = byte;
    }
  }
};

const Alphabet &alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char byte : bytes) text += alphabet().characters[static_cast<unsigned char>(byte)];
  return text;
}

void append_byte_level_bytes(std::string_view token, std::string &bytes) {
  const std::size_t begin = bytes.size();
  for (std::size_t pos = 0; pos < token.size();) {
    const char32_t code_point = next_code_point(token, pos);
    const int byte = code_point < alphabet().bytes.size() ? alphabet().bytes[code_point] : -1;
    if (byte < 0) {
      bytes.resize(begin);
      bytes += token;
      return;
    }
    bytes += static_cast<char>(byte);
  }
}

}  // namespace moondream
