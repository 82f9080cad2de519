// What is asked about a frame, and how the model's results become what a buffer carries.
// Thread-safety: values; functions are safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gstmoondreammeta.h"
#include "types.h"

namespace moondream {

// The prompts of one sample, in the order in which they are asked.
struct PromptList {
  std::vector<Prompt> prompts;
  // For each prompt the label of its objects or points, or its question; empty for captions.
  std::vector<std::string> texts;
  // For each prompt its position among those of its kind, which numbers the labels.
  std::vector<int> positions;

  bool empty() const { return prompts.empty(); }
};

// `detect` and `point` are comma-separated descriptions. Space around one is dropped, and so are
// empty and repeated ones. An empty `query` asks nothing. Text that is not UTF-8 is made so.
PromptList make_prompts(const std::string &detect, const std::string &point,
                        const std::string &query, std::optional<CaptionLength> caption);

struct Assembled {
  FrameAnalysis analysis;     // only what the results say: labels, coordinates, texts; no ids
  std::size_t discarded = 0;  // boxes and points that are empty, inverted or not numbers
};

// Clamps coordinates and scores to [0, 1] and makes texts valid UTF-8.
// Throws Error{kFailed} if the results do not fit the prompts.
Assembled assemble(const PromptList &asked, const std::vector<PromptResult> &results);

}  // namespace moondream
