#include "sentencepiece_normalizer.h"

#include <cstdint>
#include <utility>

#include "tokenizer_growth.h"
#include "types.h"
#include "utf8.h"

namespace moondream {

SentencePieceNormalizer::SentencePieceNormalizer(const SentencePieceModel &model,
                                                 PrefixMap user_defined, const std::string &file)
    : user_defined_(std::move(user_defined)),
      add_dummy_prefix_(model.add_dummy_prefix),
      remove_extra_whitespaces_(model.remove_extra_whitespaces),
      escape_whitespaces_(model.escape_whitespaces),
      dummy_is_suffix_(model.treat_whitespace_as_suffix) {
  std::string_view map = model.precompiled_charsmap;
  if (map.empty()) return;
  // The size of the trie, the trie, the replacements.
  std::uint32_t trie_size = 0;
  for (std::size_t i = 0; i < 4 && i < map.size(); ++i) {
    trie_size |= static_cast<std::uint32_t>(static_cast<unsigned char>(map[i])) << (8 * i);
  }
  if (map.size() < 4 || trie_size > map.size() - 4) {
    throw Error(ErrorKind::kRead, file + ": precompiled_charsmap is truncated");
  }
  rules_ = DoubleArray(map.substr(4, trie_size));
  rules_text_ = map.substr(4 + trie_size);
  if (rules_.value_bound() > rules_text_.size()) {
    throw Error(ErrorKind::kRead, file + ": precompiled_charsmap names a replacement outside it");
  }
}

SentencePieceNormalizer::Prefix SentencePieceNormalizer::next_prefix(std::string_view text) const {
  if (const PrefixMap::Entry *symbol = user_defined_.longest_prefix(text)) {
    return {symbol->key.size(), text.substr(0, symbol->key.size())};
  }
  if (const auto rule = rules_.longest_prefix(text)) {
    const std::string_view replacement = std::string_view(rules_text_).substr(rule->value);
    return {rule->size, replacement.substr(0, replacement.find('\0'))};
  }
  std::size_t size = 0;
  next_code_point(text, size);
  return {size, text.substr(0, size)};
}

std::string SentencePieceNormalizer::normalize(std::string_view text) const {
  const std::string_view space = escape_whitespaces_ ? kSpaceSymbol : " ";
  if (remove_extra_whitespaces_) {
    while (!text.empty()) {
      const Prefix prefix = next_prefix(text);
      if (prefix.replacement != " ") break;
      text.remove_prefix(prefix.size);
    }
  }
  std::string normalized;
  if (text.empty()) return normalized;

  if (add_dummy_prefix_ && !dummy_is_suffix_) normalized += space;
  bool after_space = remove_extra_whitespaces_;
  while (!text.empty()) {
    const Prefix prefix = next_prefix(text);
    std::string_view replacement = prefix.replacement;
    while (after_space && replacement.starts_with(' ')) replacement.remove_prefix(1);
    for (const char c : replacement) {
      if (c == ' ') {
        normalized += space;
      } else {
        normalized += c;
      }
    }
    // A replacement that is empty, or was nothing but more spaces, changes nothing about what is
    // before the next one.
    if (!replacement.empty()) {
      after_space = remove_extra_whitespaces_ && replacement.ends_with(' ');
    }
    check_grown(normalized.size());
    text.remove_prefix(prefix.size);
  }
  if (remove_extra_whitespaces_) {
    while (normalized.ends_with(space)) normalized.erase(normalized.size() - space.size());
  }
  if (add_dummy_prefix_ && dummy_is_suffix_) normalized += space;
  return normalized;
}

}  // namespace moondream
