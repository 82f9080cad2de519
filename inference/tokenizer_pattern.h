// What a tokenizer.json searches for: a literal string or a regular expression.
#pragma once

#include <unicode/regex.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "json_view.h"

namespace moondream {

// A stretch of a text, in bytes, end exclusive.
struct Span {
  std::size_t begin = 0, end = 0;
  bool match = false;  // of the pattern; false: between matches
};

// Regular expressions are compiled by ICU to mean what they mean to Oniguruma, with which
// Hugging Face tokenizers match them: Unicode classes, ^ and $ at every line, only \n ends a line.
// Those few constructs that both accept and read differently are refused.
// Immutable. Thread-safety: safe.
class Pattern {
 public:
  // {"String": literal} or {"Regex": expression}. Throws Error: kRead, or kMismatch for an
  // expression that cannot be honoured.
  explicit Pattern(const JsonView &section);

  // An expression of this library's own.
  static Pattern regex(const std::string &expression);

  // Returns spans that cover `text` in order, which is valid UTF-8: the matches from left to right
  // and the non-empty gaps between them. A match may be empty. An empty text is one empty gap.
  // Throws Error{kFailed} if the expression exceeds its time or memory.
  std::vector<Span> find_matches(std::string_view text) const;

  // Returns `text` with `content`, taken literally, in place of each match. Throws likewise.
  std::string replace_all(std::string_view text, std::string_view content) const;

 private:
  Pattern() = default;
  template <typename Visitor>
  void for_each_match(std::string_view text, Visitor visit) const;

  std::string source_;                              // the literal or the expression
  std::shared_ptr<const icu::RegexPattern> regex_;  // null: a literal
};

}  // namespace moondream
