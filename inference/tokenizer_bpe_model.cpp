#include "tokenizer_bpe_model.h"

#include <algorithm>
#include <queue>

#include "files.h"
#include "utf8.h"

namespace moondream {
namespace {

std::uint64_t pair_key(int left, int right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
}

bool flag(const JsonView &section, const std::string &key) {
  const auto value = section.find(key);
  return value && value->boolean();
}

}  // namespace

BpeModel::BpeModel(const JsonView &section) {
  if (const auto type = section.find("type"); type && type->string() != "BPE") {
    section.unsupported("type " + quote(type->string()));
  }
  section.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix",
                      "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                      "merges"});
  // Dropout makes encoding random, for training.
  if (const auto dropout = section.find("dropout"); dropout && dropout->raw() != 0) {
    dropout->unsupported("dropout");
  }
  for (const char *key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const auto affix = section.find(key); affix && !affix->string().empty()) {
      affix->unsupported(quote(affix->string()));
    }
  }
  fuse_unknown_ = flag(section, "fuse_unk");
  byte_fallback_ = flag(section, "byte_fallback");
  ignore_merges_ = flag(section, "ignore_merges");
  read_vocabulary(section.at("vocab"));
  read_merges(section.at("merges"));
  if (const auto unknown = section.find("unk_token")) {
    unknown_ = find_id(unknown->string());
    if (!unknown_) unknown->fail(quote(unknown->string()) + " is not in the vocabulary");
  }
}

void BpeModel::read_vocabulary(const JsonView &vocabulary) {
  if (!vocabulary.raw().is_object()) vocabulary.fail("expected an object of tokens and ids");
  ids_.reserve(vocabulary.raw().size());
  tokens_.reserve(vocabulary.raw().size());
  for (const auto &[token, value] : vocabulary.raw().items()) {
    const int id =
        JsonView(value, vocabulary.where() + ": " + quote(token)).integer(0, kMaxTokenId);
    const auto entry = ids_.emplace(token, id).first;
    const auto [other, is_new] = tokens_.emplace(id, &entry->first);
    if (!is_new) {
      vocabulary.fail(quote(*other->second) + " and " + quote(token) + " have the same id " +
                      std::to_string(id));
    }
    max_id_ = std::max(max_id_, id);
  }
}

void BpeModel::read_merges(const JsonView &merges) {
  merges_.reserve(merges.size());
  int rank = 0;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const JsonView merge = merges.element(i);
    if (merge.raw().is_array()) {
      if (merge.size() != 2) merge.fail("expected two tokens");
      const JsonView left = merge.element(0), right = merge.element(1);
      add_merge(merge, left.string(), right.string(), rank++);
      continue;
    }
    const std::string_view line = merge.string();
    if (line.starts_with("#version")) continue;  // the head of an old merges file
    const std::size_t space = line.find(' ');
    if (space == line.npos || line.find(' ', space + 1) != line.npos) {
      merge.fail("expected two tokens with one space between");
    }
    add_merge(merge, line.substr(0, space), line.substr(space + 1), rank++);
  }
}

void BpeModel::add_merge(const JsonView &where, std::string_view left, std::string_view right,
                         int rank) {
  const auto known_id = [&](std::string_view token) {
    const auto id = find_id(token);
    if (!id) where.fail(quote(token) + " is not in the vocabulary");
    return *id;
  };
  const int left_id = known_id(left), right_id = known_id(right);
  // Of a pair that is listed twice the last one counts, as in Hugging Face tokenizers.
  merges_.insert_or_assign(pair_key(left_id, right_id),
                           Merge{rank, known_id(std::string(left).append(right))});
}

std::optional<int> BpeModel::find_id(std::string_view token) const {
  const auto entry = ids_.find(token);
  return entry == ids_.end() ? std::nullopt : std::optional(entry->second);
}

const std::string *BpeModel::find_token(int id) const {
  const auto entry = tokens_.find(id);
  return entry == tokens_.end() ? nullptr : entry->second;
}

const BpeModel::Merge *BpeModel::find_merge(int left, int right) const {
  const auto entry = merges_.find(pair_key(left, right));
  return entry == merges_.end() ? nullptr : &entry->second;
}

void BpeModel::encode(std::string_view word, std::vector<int> &ids) const {
  if (ignore_merges_) {
    if (const auto id = find_id(word)) {
      ids.push_back(*id);
      return;
    }
  }
  const std::vector<int> merged = merge(characters(word));
  ids.insert(ids.end(), merged.begin(), merged.end());
}

std::vector<int> BpeModel::characters(std::string_view word) const {
  std::vector<int> ids;
  ids.reserve(word.size());
  bool unknown_pending = false;  // held back, as more of them may fuse with it
  for (std::size_t pos = 0; pos < word.size();) {
    const std::size_t begin = pos;
    next_code_point(word, pos);
    const std::string_view character = word.substr(begin, pos - begin);
    if (const auto id = find_id(character)) {
      if (unknown_pending) ids.push_back(*unknown_);
      unknown_pending = false;
      ids.push_back(*id);
    } else if (byte_fallback_ && append_bytes(character, ids)) {
      // A pending unknown token stays behind these bytes: that is how such vocabularies, with
      // some bytes missing, are read by the library that models are trained with.
    } else if (unknown_) {
      if (unknown_pending && !fuse_unknown_) ids.push_back(*unknown_);
      unknown_pending = true;
    }
  }
  if (unknown_pending) ids.push_back(*unknown_);
  return ids;
}

// Appends a token such as <0x0A> for each byte, or nothing if any of them is not in the vocabulary.
bool BpeModel::append_bytes(std::string_view character, std::vector<int> &ids) const {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const std::size_t size = ids.size();
  for (const char c : character) {
    const auto byte = static_cast<unsigned char>(c);
    const char token[] = {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
    const auto id = find_id({token, sizeof token});
    if (!id) {
      ids.resize(size);
      return false;
    }
    ids.push_back(*id);
  }
  return true;
}

std::vector<int> BpeModel::merge(const std::vector<int> &characters) const {
  constexpr int kNone = -1;
  struct Symbol {
    int id;              // kNone: merged into the symbol before
    int previous, next;  // positions; kNone at the ends
  };
  struct Candidate {
    int rank, position, id;
    bool operator<(const Candidate &other) const {  // the top of the heap is the greatest
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };

  const int n = static_cast<int>(characters.size());
  std::vector<Symbol> symbols(characters.size());
  std::vector<Candidate> candidates;
  for (int i = 0; i < n; ++i) {
    symbols[i] = {characters[i], i - 1, i + 1 < n ? i + 1 : kNone};
    const Merge *merge = i + 1 < n ? find_merge(characters[i], characters[i + 1]) : nullptr;
    if (merge) candidates.push_back({merge->rank, i, merge->id});
  }
  std::priority_queue<Candidate> queue({}, std::move(candidates));

  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol &left = symbols[top.position];
    if (left.id == kNone || left.next == kNone) continue;
    Symbol &right = symbols[left.next];
    // A neighbour may have changed since the candidate was queued.
    const Merge *current = find_merge(left.id, right.id);
    if (!current || current->id != top.id) continue;

    left.id = top.id;
    right.id = kNone;
    left.next = right.next;
    if (left.next != kNone) {
      symbols[left.next].previous = top.position;
      if (const Merge *merge = find_merge(left.id, symbols[left.next].id)) {
        queue.push({merge->rank, top.position, merge->id});
      }
    }
    if (left.previous != kNone) {
      if (const Merge *merge = find_merge(symbols[left.previous].id, left.id)) {
        queue.push({merge->rank, left.previous, merge->id});
      }
    }
  }

  std::vector<int> ids;
  for (const Symbol &symbol : symbols) {
    if (symbol.id != kNone) ids.push_back(symbol.id);
  }
  return ids;
}

}  // namespace moondream
