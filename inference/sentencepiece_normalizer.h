// What a sentencepiece model does to text before it is cut into pieces.
#pragma once

#include <string>
#include <string_view>

#include "double_array.h"
#include "prefix_map.h"
#include "sentencepiece_model.h"

namespace moondream {

// U+2581, which stands for a space in pieces.
inline constexpr std::string_view kSpaceSymbol = "\u2581";

// Immutable. Thread-safety: safe.
class SentencePieceNormalizer {
 public:
  // Text that is one of `user_defined` is left as it is. Throws Error{kRead} if the model's rules
  // are damaged; `file` names it.
  SentencePieceNormalizer(const SentencePieceModel &model, PrefixMap user_defined,
                          const std::string &file);

  // Applies the rules, each to the longest text it fits, and treats spaces as the model says.
  // `text` is valid UTF-8; the result is that too if the rules are.
  std::string normalize(std::string_view text) const;

 private:
  // How the text begins.
  struct Prefix {
    std::size_t size;              // bytes of the text, >= 1
    std::string_view replacement;  // of the text or of rules_text_
  };
  Prefix next_prefix(std::string_view text) const;

  PrefixMap user_defined_;
  DoubleArray rules_;       // values are positions in rules_text_
  std::string rules_text_;  // replacements, each ended by NUL
  bool add_dummy_prefix_, remove_extra_whitespaces_, escape_whitespaces_, dummy_is_suffix_;
};

}  // namespace moondream
