// How a sentencepiece model cuts normalized text into pieces.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "prefix_map.h"
#include "sentencepiece_model.h"

namespace moondream {

// A stretch of the text and the id of its piece, the unknown one for a character that is in none.
struct Segment {
  std::string_view text;  // not empty
  int id;
};

// Immutable. Thread-safety: safe.
class SentencePieceSegmenter {
 public:
  virtual ~SentencePieceSegmenter() = default;
  // Returns segments that cover `normalized` in order.
  virtual std::vector<Segment> segment(std::string_view normalized) const = 0;
};

// The segmentation of the greatest sum of scores (Viterbi). `model` must outlive it.
std::unique_ptr<const SentencePieceSegmenter> make_unigram_segmenter(
    const SentencePieceModel &model);

// Characters, of which the pair that forms the piece of the greatest score is merged first, the
// leftmost of equals. Text of `user_defined` is one segment and never merges. Both must outlive it.
std::unique_ptr<const SentencePieceSegmenter> make_bpe_segmenter(const SentencePieceModel &model,
                                                                 const PrefixMap &user_defined);

}  // namespace moondream
