// The "model" section of a tokenizer.json of type BPE: a vocabulary and the merges that build its
// tokens from characters.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "json_view.h"

namespace moondream {

// No vocabulary comes near; an id beyond is taken for a damaged one.
inline constexpr int kMaxTokenId = (1 << 24) - 1;

// Immutable. Thread-safety: safe.
class BpeModel {
 public:
  // Throws Error: kRead for a type, id or merge that cannot be, kMismatch for settings that are not
  // supported (dropout, affixes of words).
  explicit BpeModel(const JsonView &section);
  BpeModel(const BpeModel &) = delete;  // tokens_ points into ids_
  BpeModel &operator=(const BpeModel &) = delete;

  // Appends the ids of `word`, which is not empty. The pair of neighbours with the earliest merge,
  // the leftmost of equals, is merged until no pair has one: O(n log n) for n characters.
  // A character outside the vocabulary becomes its bytes' tokens (byte_fallback), else the unknown
  // token, else nothing, as in Hugging Face tokenizers.
  void encode(std::string_view word, std::vector<int> &ids) const;

  std::optional<int> find_id(std::string_view token) const;
  const std::string *find_token(int id) const;  // null: none; valid as long as this
  int max_id() const { return max_id_; }        // -1: an empty vocabulary

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  struct Merge {
    int rank;  // its place in the file, earlier first
    int id;    // of the merged token
  };

  void read_vocabulary(const JsonView &vocabulary);
  void read_merges(const JsonView &merges);
  void add_merge(const JsonView &where, std::string_view left, std::string_view right, int rank);
  const Merge *find_merge(int left, int right) const;
  std::vector<int> characters(std::string_view word) const;
  bool append_bytes(std::string_view character, std::vector<int> &ids) const;
  std::vector<int> merge(const std::vector<int> &characters) const;

  std::unordered_map<std::string, int, Hash, std::equal_to<>> ids_;
  std::unordered_map<int, const std::string *> tokens_;
  std::unordered_map<std::uint64_t, Merge> merges_;  // by the ids of the pair
  int max_id_ = -1;
  std::optional<int> unknown_;
  bool fuse_unknown_ = false;  // a run of unknown characters is one unknown token
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;  // a word that is a token is that token, whatever merges say
};

}  // namespace moondream
