// Text to token ids and back.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moondream {

// The longest text that encode() takes: 1 MiB, far beyond every model's context.
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 20;

// Immutable after load.
// Thread-safety: safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Returns the token ids of `text`, without any special token around them. `text` is UTF-8;
  // ill-formed stretches of it count as U+FFFD. Special tokens that are spelt out in `text` become
  // their ids where the tokenizer's own library does the same (tokenizer.json: yes,
  // sentencepiece control pieces: no).
  // Throws Error: kSettings if text is longer than kMaxTextBytes; kFailed if a regular expression
  // of the file exceeds its time or memory on this text, or its rules make too much of it.
  virtual std::vector<int> encode(std::string_view text) const = 0;

  // Returns the text of `ids`, always valid UTF-8: bytes that form no character become U+FFFD, as
  // they do when a sequence ends within a character. Special tokens are skipped or spelt out.
  // Throws Error: kSettings that names the first id which is none of this vocabulary; kFailed as
  // encode() does.
  virtual std::string decode(std::span<const int> ids, bool skip_special_tokens = true) const = 0;

  // Whether decode() takes the id.
  virtual bool contains(int id) const = 0;

  // One more than the largest id: what a table over all ids needs. Ids in between may be unused.
  virtual int vocab_size() const = 0;

 protected:
  // What every encode() begins with: the length checked, ill-formed stretches replaced.
  static std::string checked_text(std::string_view text);
  // Throws Error{kSettings}.
  [[noreturn]] static void fail_unknown_id(int id);
};

// Loads a Hugging Face tokenizer.json of type BPE, a sentencepiece .model, or a directory that
// holds tokenizer.json or else tokenizer.model.
// Throws Error: kNotFound, kRead if the file is unreadable, truncated or contradicts itself, or
// kMismatch if it asks for what this library does not do; the text names the file and the part.
std::unique_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path &path);

}  // namespace moondream
