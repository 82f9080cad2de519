#include <algorithm>
#include <cfloat>

#include "sentencepiece_segmenter.h"
#include "utf8.h"

namespace moondream {
namespace {

constexpr float kUnknownPenalty = 10;

class UnigramSegmenter final : public SentencePieceSegmenter {
 public:
  explicit UnigramSegmenter(const SentencePieceModel &model) : model_(model) {
    std::vector<PrefixMap::Entry> entries;
    float min_score = FLT_MAX;
    for (std::size_t id = 0; id < model.pieces.size(); ++id) {
      const SentencePiece &piece = model.pieces[id];
      if (piece.type == PieceType::kNormal) {
        min_score = std::min(min_score, piece.score);
        max_score_ = std::max(max_score_, piece.score);
      }
      if (piece.type == PieceType::kNormal || piece.type == PieceType::kUserDefined) {
        entries.push_back({piece.text, static_cast<int>(id)});
      }
    }
    unknown_score_ = min_score - kUnknownPenalty;
    pieces_ = PrefixMap(std::move(entries));
  }

  std::vector<Segment> segment(std::string_view text) const override {
    // The best path from the beginning of the text to each of its bytes. Sums are rounded to float
    // at each step and compared before that, as the sentencepiece library does: two paths may be as
    // good as each other but for rounding.
    struct Path {
      int id = -1;  // of its last segment; -1: there is no path
      float score = 0;
      std::size_t begin = 0;  // of its last segment
    };
    std::vector<Path> paths(text.size() + 1);
    const auto extend = [&](std::size_t begin, std::size_t end, double score, int id) {
      Path &path = paths[end];
      if (path.id < 0 || score > path.score) path = {id, static_cast<float>(score), begin};
    };
    for (std::size_t begin = 0, next = 0; begin < text.size(); begin = next) {
      next_code_point(text, next);
      const float score_here = paths[begin].score;
      bool has_single = false;  // a piece of one character
      pieces_.for_each_prefix(text.substr(begin), [&](const PrefixMap::Entry &entry) {
        const std::size_t end = begin + entry.key.size();
        extend(begin, end, score(entry) + score_here, entry.value);
        has_single |= end == next;
      });
      if (!has_single) extend(begin, next, unknown_score_ + score_here, model_.unknown_id);
    }

    std::vector<Segment> segments;
    for (std::size_t end = text.size(); end > 0; end = paths[end].begin) {
      const Path &path = paths[end];
      segments.push_back({text.substr(path.begin, end - path.begin), path.id});
    }
    std::reverse(segments.begin(), segments.end());
    return segments;
  }

 private:
  // User defined pieces win over all others in practice.
  double score(const PrefixMap::Entry &entry) const {
    const SentencePiece &piece = model_.pieces[static_cast<std::size_t>(entry.value)];
    return piece.type == PieceType::kUserDefined
               ? static_cast<float>(entry.key.size()) * max_score_ - 0.1
               : piece.score;
  }

  const SentencePieceModel &model_;
  PrefixMap pieces_;  // to ids
  float unknown_score_;
  float max_score_ = FLT_MIN;  // not below zero, whatever the pieces' scores
};

}  // namespace

std::unique_ptr<const SentencePieceSegmenter> make_unigram_segmenter(
    const SentencePieceModel &model) {
  return std::make_unique<UnigramSegmenter>(model);
}

}  // namespace moondream
