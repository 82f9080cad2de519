#include "timeline.h"

#include <algorithm>

namespace scenes {

std::vector<Span> spans_of(const std::vector<bool> &frames) {
  std::vector<Span> spans;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (!frames[i]) continue;
    if (!spans.empty() && spans.back().end == i) {
      ++spans.back().end;
    } else {
      spans.push_back({i, i + 1});
    }
  }
  return spans;
}

std::string bar_of(const std::vector<bool> &frames, std::size_t width) {
  std::string bar;
  for (std::size_t part = 0; part < width && !frames.empty(); ++part) {
    // At least one frame, where there are fewer than parts.
    const std::size_t begin = part * frames.size() / width;
    const std::size_t end = std::max(begin + 1, (part + 1) * frames.size() / width);
    std::size_t held = 0;
    for (std::size_t i = begin; i < end; ++i) held += frames[i];
    bar += held == 0 ? '.' : held == end - begin ? '#' : '+';
  }
  return bar;
}

}  // namespace scenes
