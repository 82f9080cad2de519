#include "tokenizer_added_tokens.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <unordered_set>

#include "files.h"
#include "tokenizer_growth.h"
#include "utf8.h"

namespace moondream {
namespace {

bool is_space(char32_t code_point) { return u_isUWhiteSpace(static_cast<UChar32>(code_point)); }

// What \w matches.
bool is_word(char32_t code_point) {
  const auto c = static_cast<UChar32>(code_point);
  return u_isUAlphabetic(c) || (U_GET_GC_MASK(c) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) ||
         u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL);
}

bool ends_with_word(std::string_view text) {
  std::size_t pos = text.size();
  return pos > 0 && is_word(previous_code_point(text, pos));
}

bool starts_with_word(std::string_view text) {
  std::size_t pos = 0;
  return !text.empty() && is_word(next_code_point(text, pos));
}

// Where the white space at the end of `text` begins.
std::size_t trailing_space(std::string_view text) {
  std::size_t begin = text.size();
  for (std::size_t pos = begin; pos > 0; begin = pos) {
    if (!is_space(previous_code_point(text, pos))) break;
  }
  return begin;
}

// Where the white space at the beginning of `text` ends.
std::size_t leading_space(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t pos = 0; pos < text.size(); end = pos) {
    if (!is_space(next_code_point(text, pos))) break;
  }
  return end;
}

}  // namespace

AddedTokens::AddedTokens(const JsonView &section, const BpeModel &model,
                         const Normalizer &normalizer) {
  std::unordered_set<std::string> contents, special_contents;
  std::vector<PrefixMap::Entry> raw, normalized;
  for (std::size_t i = 0; i < section.size(); ++i) {
    const JsonView token = section.element(i);
    const std::string &content = token.at("content").string();
    if (!contents.insert(content).second) token.fail(quote(content) + " is an added token already");
    const int id = add(token, model, normalizer);
    if (tokens_.at(id).special) special_contents.insert(content);
    (token.at("normalized").boolean() ? normalized : raw).push_back({tokens_.at(id).text, id});
  }
  // Of two texts that normalization made equal, the earlier token is found.
  raw_ = PrefixMap(std::move(raw));
  normalized_ = PrefixMap(std::move(normalized));
  // Decoding knows special tokens by their text.
  for (auto &[id, token] : tokens_) token.special = special_contents.contains(token.text);
}

int AddedTokens::add(const JsonView &section, const BpeModel &model, const Normalizer &normalizer) {
  section.allow_only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  const int id = section.at("id").integer(0, kMaxTokenId);
  const std::string &content = section.at("content").string();
  const auto id_in_model = model.find_id(content);
  if (id_in_model && *id_in_model != id) {
    section.fail(quote(content) + " has id " + std::to_string(id) + " here and " +
                 std::to_string(*id_in_model) + " in the vocabulary");
  }
  if (const std::string *other = model.find_token(id); other && *other != content) {
    section.fail(quote(content) + " has id " + std::to_string(id) + ", which is that of " +
                 quote(*other));
  }
  std::string text = content;
  const bool normalized = section.at("normalized").boolean();
  try {
    if (normalizer && normalized) text = normalizer(std::move(text));
    check_grown(text_bytes_ += text.size());
  } catch (const Error &error) {
    section.fail(error.what());
  }
  if (text.empty()) section.fail("there is no text to look for");
  Token token{std::move(text), section.at("single_word").boolean(), section.at("lstrip").boolean(),
              section.at("rstrip").boolean(), section.at("special").boolean()};
  if (!tokens_.emplace(id, std::move(token)).second) {
    section.fail("the id " + std::to_string(id) + " has an added token already");
  }
  max_id_ = std::max(max_id_, id);
  return id;
}

const std::string *AddedTokens::find_token(int id) const {
  const auto entry = tokens_.find(id);
  return entry == tokens_.end() ? nullptr : &entry->second.text;
}

bool AddedTokens::is_special(int id) const {
  const auto entry = tokens_.find(id);
  return entry != tokens_.end() && entry->second.special;
}

std::vector<AddedTokens::Piece> AddedTokens::split(std::string_view text,
                                                   const PrefixMap &patterns) const {
  std::vector<Piece> pieces;
  std::size_t done = 0;
  std::size_t space_begin = 0, space_end = 0;  // white space that was measured last
  for (std::size_t pos = 0; pos < text.size();) {
    const PrefixMap::Entry *pattern = patterns.longest_prefix(text.substr(pos));
    if (!pattern) {
      ++pos;
      continue;
    }
    std::size_t begin = pos, end = pos + pattern->key.size();
    pos = end;
    const Token &token = tokens_.at(pattern->value);
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) {
      continue;
    }
    if (token.lstrip) {
      begin = done < begin ? done + trailing_space(text.substr(done, begin - done)) : done;
    }
    // The search for more tokens goes on before the stripped white space, which may hold some.
    if (token.rstrip) {
      if (end < space_begin || end >= space_end) {
        space_begin = end;
        space_end = end + leading_space(text.substr(end));
      }
      end = space_end;
    }
    if (done < begin) pieces.push_back({text.substr(done, begin - done), std::nullopt});
    pieces.push_back({text.substr(begin, end - begin), pattern->value});
    done = end;
  }
  if (done != text.size()) pieces.push_back({text.substr(done), std::nullopt});
  return pieces;
}

}  // namespace moondream
