// A generated text while it grows: which of it is certain, token by token.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tokenizer.h"

namespace moondream {

// Told of every piece of a text; none is empty. Empty: nobody listens. What it throws ends the
// generation.
using TextListener = std::function<void(std::string piece, bool reasoning)>;

// Says a text in pieces: up to the end once it ends in a line feed or in a Chinese character, else
// up to its last space, so that no word and no character is cut; the rest at its end. Port of the
// streaming in _generate_answer of moondream.py @ 44146f1, which makes every text of the reference.
//
// Unlike there, a line feed does not begin a new text: sentencepiece would take the space from the
// beginning of the next line. With byte-level vocabularies both are the same.
// Thread-safety: one thread at a time.
class TextStream {
 public:
  // `tokenizer` must outlive it. strip: white space around the text does not belong to it.
  explicit TextStream(const Tokenizer &tokenizer, bool strip = false)
      : tokenizer_(&tokenizer), strip_(strip) {}

  // Appends a token; one that the tokenizer does not know has no text. Returns the piece that has
  // become certain: whole code points of UTF-8, or nothing.
  std::string add(int id);

  // Returns the rest. No token may follow.
  std::string end();

  // All pieces in a row.
  const std::string &text() const { return text_; }

 private:
  std::string decoded(std::span<const int> ids) const;
  std::string say(const std::string &all, std::size_t end);
  void forget(const std::string &all);

  const Tokenizer *tokenizer_;
  bool strip_;
  std::vector<int> ids_;    // the latest ones, in which all is that was not said
  std::size_t spoken_ = 0;  // code points of what they decode to
  std::string text_;
};

}  // namespace moondream
