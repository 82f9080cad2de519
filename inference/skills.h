// What a Moondream model can be asked, each skill as a coroutine over a Sequence.
// Port of the skills of moondream/torch/moondream.py @ 44146f1; segment is that of
// kestrel/models/moondream/skills/segment.py of m87-labs/kestrel @ 3c3d352.
#pragma once

#include <utility>

#include "config.h"
#include "decoder.h"
#include "region.h"
#include "task.h"
#include "text.h"
#include "text_stream.h"
#include "tokenizer.h"
#include "types.h"

namespace moondream {

// Throws Error{kSettings} naming the first setting that is out of its range. Thread-safety: safe.
void validate(const GenerationSettings &settings);

// Thread-safety: safe; each task belongs to one thread.
class Skills {
 public:
  // All must outlive it and its tasks.
  Skills(const TokenizerConfig &config, const Tokenizer &tokenizer, const TextModel &text,
         const RegionModel &region);

  // The task that answers `prompt` on `sequence` and tells `listener` of its texts. All four must
  // outlive the task.
  // It throws Error{kSettings} where a setting is out of range or the prompt is empty, too long,
  // not for pictures that are missing, or asks for a skill that the model lacks.
  Task<PromptResult> run(const SinglePrompt &prompt, const GenerationSettings &settings,
                         const TextListener &listener, Sequence &sequence) const;

 private:
  // An object found, as fractions of the picture. The size is 0 for a point.
  struct Found {
    double x, y, width, height, score;

    bool is_where(const Found &other) const {
      return x == other.x && y == other.y && width == other.width && height == other.height;
    }
  };

  Task<PromptResult> dispatch(const SinglePrompt &prompt, const GenerationSettings &settings,
                              const TextListener &listener, Sequence &sequence) const;
  Task<PromptResult> caption(CaptionPrompt prompt, const GenerationSettings &settings,
                             const TextListener &listener, Sequence &sequence) const;
  Task<PromptResult> query(const QueryPrompt &prompt, const GenerationSettings &settings,
                           const TextListener &listener, Sequence &sequence) const;
  Task<PromptResult> detect(const DetectPrompt &prompt, const GenerationSettings &settings,
                            Sequence &sequence) const;
  Task<PromptResult> point(const PointPrompt &prompt, const GenerationSettings &settings,
                           Sequence &sequence) const;
  Task<PromptResult> gaze(const GazePrompt &prompt, Sequence &sequence) const;
  Task<PromptResult> segment(const SegmentPrompt &prompt, const GenerationSettings &settings,
                             Sequence &sequence) const;

  bool ends_text(std::int64_t token) const;
  void require_region() const;

  // prompt: embeddings [T, D].
  Task<std::string> generate_answer(at::Tensor prompt, const GenerationSettings &settings,
                                    const TextListener &listener, Sequence &sequence) const;
  Task<Reasoning> generate_reasoning(at::Tensor prompt, const GenerationSettings &settings,
                                     const TextListener &listener, Sequence &sequence) const;
  // As many as the settings say. forced: begin with an object even if the model sees none.
  Task<std::vector<Found>> generate_points(at::Tensor prompt, bool with_size, bool forced,
                                           const GenerationSettings &settings,
                                           Sequence &sequence) const;
  // The next place of which `sequence` is about to say one part.
  Task<double> generate_coordinate(Sequence &sequence) const;
  Task<std::pair<double, double>> generate_size(Sequence &sequence) const;

  at::Tensor object_prompt(const std::optional<AffixTemplate> &affixes, const std::string &object,
                           const char *skill) const;
  at::Tensor spatial_refs(const std::vector<std::variant<Point, Box>> &refs) const;
  at::Tensor embed_text(const std::string &text) const;

  const TokenizerConfig &config_;
  const Tokenizer &tokenizer_;
  const TextModel &text_;
  const RegionModel &region_;
};

}  // namespace moondream
