#include "text_stream.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "utf8.h"

namespace moondream {
namespace {

constexpr std::string_view kSpaces = " \t\n\v\f\r";

// Every text is decoded anew at each of its tokens; so that the time for that does not grow with
// the square of a text's length, those before the last of so many are forgotten.
constexpr std::size_t kWindow = 256;

// The ranges of the reference's _is_cjk_char.
bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

// Where the `count`th code point begins, or the end.
std::size_t offset_of(std::string_view text, std::size_t count) {
  std::size_t pos = 0;
  while (count-- > 0 && pos < text.size()) next_code_point(text, pos);
  return pos;
}

// Up to where a text is certain that was said up to `begin`.
std::size_t certain_end(std::string_view text, std::size_t begin) {
  if (text.empty() || text.back() == '\n') return text.size();
  std::size_t last = text.size();
  if (is_chinese(previous_code_point(text, last))) return text.size();
  const std::size_t space = text.rfind(' ');
  return space == std::string_view::npos ? begin : space + 1;
}

}  // namespace

std::string TextStream::add(int id) {
  if (!tokenizer_->contains(id)) return {};
  ids_.push_back(id);
  const std::string all = decoded(ids_);
  std::string piece = say(all, certain_end(all, offset_of(all, spoken_)));
  forget(all);
  return piece;
}

std::string TextStream::end() {
  const std::string all = decoded(ids_);
  return say(all, all.size());
}

std::string TextStream::decoded(std::span<const int> ids) const {
  std::string text = tokenizer_->decode(ids);
  if (strip_) text.erase(0, std::min(text.find_first_not_of(kSpaces), text.size()));
  return text;
}

// Says what was not said of `all` before `end`.
std::string TextStream::say(const std::string &all, std::size_t end) {
  // It may turn out that no word follows a space.
  if (strip_) end = std::min(end, all.find_last_not_of(kSpaces) + 1);
  const std::size_t begin = offset_of(all, spoken_);
  if (begin >= end) return {};
  std::string piece = all.substr(begin, end - begin);
  spoken_ += code_points(piece);
  text_ += piece;
  return piece;
}

// all: what ids_ decode to.
void TextStream::forget(const std::string &all) {
  if (ids_.size() % kWindow != 0) return;
  const std::span<const int> late = std::span(ids_).last(kWindow / 2);
  const std::string tail = decoded(late);
  const std::size_t unspoken = code_points(all) - std::min(spoken_, code_points(all));
  const std::size_t kept = code_points(tail);
  // They may begin within a character, or all may be one word.
  if (!all.ends_with(tail) || kept < unspoken) return;
  spoken_ = kept - unspoken;
  ids_ = std::vector<int>(late.begin(), late.end());
}

}  // namespace moondream
