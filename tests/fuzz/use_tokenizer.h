// Tokenizers of hostile files: what loads must encode and decode, too.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "target.h"
#include "tokenizer.h"
#include "utf8.h"

namespace moondream::fuzz {

// Texts with words, digits, white space, characters that normalize, and what is no UTF-8.
inline const std::vector<std::string> &texts() {
  static const std::vector<std::string> all = {
      "",
      "a ab abc  <s> What is in this picture?\n\n3 x 12345",
      "\t e\u0301\uFB01\u1E9B\u0323 \u65E5\u672C\u8A9E \U0001F642 \u0645\u0631",
      std::string(300, 'a') + std::string(100, ' '),
      "\xC3(\xF0\x9F\x99 \xFF",
  };
  return all;
}

// Loads `contents` as `file` and uses what comes of it.
inline void use_tokenizer(const InputFile &file, std::string_view contents,
                          std::size_t load_limit) {
  std::unique_ptr<const Tokenizer> tokenizer;
  if (!read_within(load_limit, [&] { tokenizer = load_tokenizer(file.holding(contents)); })) return;

  // Rules may make four megabytes of any text, and each of its bytes a word or a token of its own.
  const std::size_t limit = (std::size_t{512} << 20) + 64 * contents.size();
  for (const std::string &text : texts()) {
    std::vector<int> ids;
    if (!read_within(limit, [&] { ids = tokenizer->encode(text); })) continue;
    for (const int id : ids)
      require(tokenizer->contains(id), "ids of a text are in the vocabulary");
    read_within(limit, [&] {
      const std::string decoded = tokenizer->decode(ids, false);
      require(to_valid_utf8(decoded) == decoded, "decoded text is UTF-8");
    });
  }
  std::vector<int> ids;
  for (int id = 0; id < std::min(tokenizer->vocab_size(), 1000); ++id) {
    if (tokenizer->contains(id)) ids.push_back(id);
  }
  read_within(limit, [&] {
    const std::string decoded = tokenizer->decode(ids);
    require(to_valid_utf8(decoded) == decoded, "decoded text is UTF-8");
  });
}

}  // namespace moondream::fuzz
