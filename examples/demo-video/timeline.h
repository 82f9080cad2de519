// When something held, of frames that follow each other.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace scenes {

// Frames in a row, by their numbers.
struct Span {
  std::size_t begin = 0, end = 0;  // the first, and the first behind it

  bool operator==(const Span &) const = default;
};

// The longest spans of frames for which it held, in order.
std::vector<Span> spans_of(const std::vector<bool> &frames);

// One character for each of `width` (> 0) equal parts of the time: '#' where it held on all of the
// part's frames, '+' on some, '.' on none.
std::string bar_of(const std::vector<bool> &frames, std::size_t width);

}  // namespace scenes
