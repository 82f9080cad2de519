// What is asked about a frame, and how the model's results become what a buffer carries.
// Thread-safety: values; functions are safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "frame_view.h"
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

// What a user asks.
struct Questions {
  std::string detect, point;  // comma-separated descriptions
  std::string query;          // empty: asks nothing
  bool reasoning = false;     // think before answering `query`
  std::optional<CaptionLength> caption;
  bool gaze = false;  // where each face looks
};

// In the order above. Space around a description is dropped, and so are empty and repeated ones.
// Text that is not UTF-8 is made so.
PromptList make_prompts(const Questions &questions);

struct Assembled {
  FrameAnalysis analysis;     // only what the results say: labels, coordinates, texts; no ids
  std::size_t discarded = 0;  // boxes and points that are empty, inverted or not numbers
};

// Clamps coordinates to the picture that the model saw, takes them to the frame that it was made
// of, clamps scores to [0, 1] and makes texts valid UTF-8. Throws Error{kFailed} if the results do
// not fit the prompts.
Assembled assemble(const PromptList &asked, const std::vector<PromptResult> &results,
                   const FrameView &view = FrameView::whole(1, 1));

}  // namespace moondream
