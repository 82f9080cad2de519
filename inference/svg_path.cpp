#include "svg_path.h"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string_view>
#include <system_error>
#include <vector>

namespace moondream {
namespace {

constexpr std::string_view kCommands = "MmLlHhVvCcSsQqTtAaZz";
constexpr double kBoxSide = 960;
constexpr std::size_t kArcNumbers = 7;

bool is_command(std::string_view token) {
  return token.size() == 1 && kCommands.find(token[0]) != std::string_view::npos;
}

// How many numbers a segment has, or each of its points.
std::size_t numbers_of(char command) {
  if (std::string_view("HhVv").find(command) != std::string_view::npos) return 1;
  return command == 'A' || command == 'a' ? kArcNumbers : 2;
}

// The radii and where it ends, not the degrees and the two flags in between.
bool is_length_of_arc(std::size_t place) { return place < 2 || place > 4; }

std::optional<std::int64_t> whole_number(std::string_view token) {
  std::int64_t value = 0;
  const char *const end = token.data() + token.size();
  const auto [stop, error] = std::from_chars(token.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  if (value == std::numeric_limits<std::int64_t>::min()) return std::nullopt;  // has no negative
  return value;
}

}  // namespace

std::optional<std::string> svg_path_of_tokens(std::span<const std::string> tokens) {
  std::string path;
  for (std::size_t i = 0; i < tokens.size();) {
    if (!is_command(tokens[i])) return std::nullopt;
    const std::string &command = tokens[i++];
    std::vector<std::int64_t> numbers;
    while (i < tokens.size() && !is_command(tokens[i])) {
      const bool negative = tokens[i] == "-";
      // The text may end before the number.
      if (negative && ++i == tokens.size()) break;
      const auto value = whole_number(tokens[i++]);
      if (!value) return std::nullopt;
      numbers.push_back(negative ? -*value : *value);
    }
    const std::size_t arity = numbers_of(command[0]);
    numbers.resize(numbers.size() - numbers.size() % arity);
    if (!path.empty()) path += ' ';
    path += command;
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      const bool is_length = arity != kArcNumbers || is_length_of_arc(k % arity);
      path += ' ' + (is_length ? svg_number(static_cast<double>(numbers[k]) / kBoxSide)
                               : std::to_string(numbers[k]));
    }
  }
  return path;
}

std::string svg_number(double value) {
  // Room for the largest number.
  char buffer[512];
  const int size = std::snprintf(buffer, sizeof buffer, "%.3f", value);
  std::string text(buffer, static_cast<std::size_t>(size));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace moondream
