#include <queue>
#include <string>
#include <unordered_map>
#include <utility>

#include "sentencepiece_segmenter.h"
#include "utf8.h"

namespace moondream {
namespace {

constexpr int kNone = -1;

class BpeSegmenter final : public SentencePieceSegmenter {
 public:
  BpeSegmenter(const SentencePieceModel &model, const PrefixMap &user_defined)
      : model_(model), user_defined_(user_defined) {
    for (std::size_t id = 0; id < model.pieces.size(); ++id) {
      const SentencePiece &piece = model.pieces[id];
      if (is_found_in_text(piece.type)) ids_.emplace(piece.text, static_cast<int>(id));
    }
  }

  std::vector<Segment> segment(std::string_view text) const override {
    std::vector<Symbol> symbols = split(text);
    Splits splits;
    merge(symbols, splits);
    std::vector<Segment> segments;
    for (const Symbol &symbol : symbols) {
      if (!symbol.text.empty()) append(symbol.text, splits, segments);
    }
    return segments;
  }

 private:
  struct Symbol {
    std::string_view text;  // empty: merged into the symbol before
    int previous, next;     // positions; kNone at the ends
    bool frozen;            // user defined
  };
  struct Candidate {
    float score;
    int left, right;                                // positions
    std::size_t size;                               // of the merged text
    bool operator<(const Candidate &other) const {  // the top of the heap is the greatest
      return score != other.score ? score < other.score : left > other.left;
    }
  };
  // Of which two texts a merged one was made, for unused pieces.
  using Splits =
      std::unordered_map<std::string_view, std::pair<std::string_view, std::string_view>>;

  std::vector<Symbol> split(std::string_view text) const {
    std::vector<Symbol> symbols;
    while (!text.empty()) {
      const PrefixMap::Entry *user_defined = user_defined_.longest_prefix(text);
      std::size_t size = 0;
      if (user_defined) {
        size = user_defined->key.size();
      } else {
        next_code_point(text, size);
      }
      const int position = static_cast<int>(symbols.size());
      symbols.push_back(
          {text.substr(0, size), position - 1, position + 1, user_defined != nullptr});
      text.remove_prefix(size);
    }
    if (!symbols.empty()) symbols.back().next = kNone;
    return symbols;
  }

  void merge(std::vector<Symbol> &symbols, Splits &splits) const {
    std::priority_queue<Candidate> queue;
    const auto consider = [&](int left, int right) {
      if (left == kNone || right == kNone || symbols[left].frozen || symbols[right].frozen) return;
      const std::string_view l = symbols[left].text, r = symbols[right].text;
      const std::string_view merged(l.data(), l.size() + r.size());  // they are adjacent
      const auto piece = ids_.find(merged);
      if (piece == ids_.end()) return;
      queue.push({model_.pieces[piece->second].score, left, right, merged.size()});
      if (model_.pieces[piece->second].type == PieceType::kUnused) splits[merged] = {l, r};
    };
    for (int i = 1; i < static_cast<int>(symbols.size()); ++i) consider(i - 1, i);

    while (!queue.empty()) {
      const Candidate top = queue.top();
      queue.pop();
      Symbol &left = symbols[top.left], &right = symbols[top.right];
      // Either may have been merged since the candidate was queued.
      if (left.text.empty() || right.text.empty() ||
          left.text.size() + right.text.size() != top.size) {
        continue;
      }
      left.text = {left.text.data(), top.size};
      right.text = {};
      left.next = right.next;
      if (left.next != kNone) symbols[left.next].previous = top.left;
      consider(left.previous, top.left);
      consider(top.left, left.next);
    }
  }

  // Appends the segment of `text`, or those it was made of where its piece is unused.
  void append(std::string_view text, const Splits &splits, std::vector<Segment> &segments) const {
    std::vector<std::string_view> open{text};
    while (!open.empty()) {
      const std::string_view part = open.back();
      open.pop_back();
      const auto piece = ids_.find(part);
      const int id = piece == ids_.end() ? model_.unknown_id : piece->second;
      const auto split =
          model_.pieces[id].type == PieceType::kUnused ? splits.find(part) : splits.end();
      if (split == splits.end()) {
        segments.push_back({part, id});
      } else {
        open.push_back(split->second.second);
        open.push_back(split->second.first);
      }
    }
  }

  const SentencePieceModel &model_;
  const PrefixMap &user_defined_;
  std::unordered_map<std::string_view, int> ids_;  // of the pieces that are found in text
};

}  // namespace

std::unique_ptr<const SentencePieceSegmenter> make_bpe_segmenter(const SentencePieceModel &model,
                                                                 const PrefixMap &user_defined) {
  return std::make_unique<BpeSegmenter>(model, user_defined);
}

}  // namespace moondream
