// The "added_tokens" section of a tokenizer.json: tokens that are found in the text itself, before
// any merging, and among them the special ones.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "json_view.h"
#include "prefix_map.h"
#include "tokenizer_bpe_model.h"
#include "tokenizer_normalizer.h"

namespace moondream {

// Immutable. Thread-safety: safe.
class AddedTokens {
 public:
  // A stretch of text. Borrows from the text that was split.
  struct Piece {
    std::string_view text;
    std::optional<int> id;  // of an added token; none: ordinary text
  };

  AddedTokens() = default;  // none
  // `normalizer` may be empty. Throws Error{kRead}, also if a token's id is not the vocabulary's or
  // belongs to another token.
  AddedTokens(const JsonView &section, const BpeModel &model, const Normalizer &normalizer);

  // Cut out the tokens that are looked for before and after normalization. The longest of the
  // leftmost tokens is found first; none overlap.
  std::vector<Piece> split_raw(std::string_view text) const { return split(text, raw_); }
  std::vector<Piece> split_normalized(std::string_view text) const {
    return split(text, normalized_);
  }

  // What the token decodes to: its normalized text if it is looked for after normalization. Null:
  // no added token. Valid as long as this.
  const std::string *find_token(int id) const;
  bool is_special(int id) const;          // left out of decoded text
  int max_id() const { return max_id_; }  // -1: there are none

 private:
  struct Token {
    std::string text;     // what is looked for, not empty
    bool single_word;     // only where no letter, digit or underscore is next to it
    bool lstrip, rstrip;  // takes the white space before, behind it with it
    bool special;
  };

  // Returns its id.
  int add(const JsonView &section, const BpeModel &model, const Normalizer &normalizer);
  std::vector<Piece> split(std::string_view text, const PrefixMap &patterns) const;

  std::unordered_map<int, Token> tokens_;  // by id
  PrefixMap raw_, normalized_;             // to ids
  std::size_t text_bytes_ = 0;             // of all tokens
  int max_id_ = -1;
};

}  // namespace moondream
