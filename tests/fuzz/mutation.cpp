#include "mutation.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace moondream::fuzz {
namespace {

// Where parsers of numbers, texts and lengths have their limits.
const std::string kExtremes[] = {
    std::string(1, '\0'),
    "\x7f",
    "\x80",
    "\xff\xff\xff\xff",
    std::string("\0\0\0\x80", 4),
    "-1",
    "0",
    "2147483648",
    "9223372036854775807",
    "18446744073709551616",
    "1e999",
    "\"",
    "[",
    "{",
    "}",
    ",",
    "\\u0000",
    "\xC3",
    "null",
};

std::size_t below(std::mt19937 &random, std::size_t bound) { return random() % bound; }

std::string stretch(const std::string &text, std::mt19937 &random) {
  if (text.empty()) return {};
  return text.substr(below(random, text.size()), 1 + below(random, 64));
}

void change(std::string &input, const std::string &other, std::mt19937 &random) {
  const std::size_t at = below(random, input.size() + 1);
  const std::size_t length = std::min(input.size() - at, 1 + below(random, 32));
  switch (below(random, 8)) {
    case 0:
      if (at < input.size()) input[at] = static_cast<char>(input[at] ^ 1 << below(random, 8));
      break;
    case 1:
      if (at < input.size()) input[at] = static_cast<char>(random());
      break;
    case 2:
      input.erase(at, length);
      break;
    case 3:
      input.insert(at, stretch(input, random));
      break;
    case 4:
      input.insert(at, stretch(other, random));
      break;
    case 5:
      input.replace(at, length, kExtremes[below(random, std::size(kExtremes))]);
      break;
    case 6: {  // a number of digits
      const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
      const auto begin =
          std::find_if(input.begin() + static_cast<std::ptrdiff_t>(at), input.end(), is_digit);
      const auto end = std::find_if_not(begin, input.end(), is_digit);
      input.replace(begin, end, kExtremes[below(random, std::size(kExtremes))]);
      break;
    }
    default:
      if (below(random, 4) == 0) input.resize(at);
      break;
  }
}

}  // namespace

std::string mutate(std::string input, const std::string &other, std::mt19937 &random) {
  for (std::size_t i = 1 + below(random, 8); i > 0; --i) change(input, other, random);
  return input;
}

}  // namespace moondream::fuzz
