// How well a model answers lessons, as counts that add up.
#pragma once

#include <string>

#include "lesson.h"
#include "matching.h"
#include "types.h"

namespace scenes {

// Answers that are right or not.
struct Share {
  int asked = 0, right = 0;

  double value() const { return asked ? static_cast<double>(right) / asked : 0; }  // [0, 1]
};

struct Score {
  Agreement boxes;          // of detect, pairs at IoU 0.5, what is not there included
  Share absent;             // detect and point prompts for what is not there: nothing found
  Share hits;               // things there are: a point for each, inside its box
  int points = 0;           // found altogether
  Share counts, existence;  // "How many ...?", "Is there ...?"
  Share colors, places;     // "What color ...?", "Where ...?"
  Share reasoned;           // counts, after reasoning
  Share captions;           // word for word
  Share gazes;              // within a tenth of the frame's width and height, or rightly none

  // `result` is of the lesson's prompt and so of its kind; another throws std::bad_variant_access.
  void add(const Lesson &lesson, const moondream::PromptResult &result);

  double point_precision() const;  // share of the points that hit something
  std::string table() const;       // a line for each figure
};

// The prompt that a lesson is about.
moondream::Prompt prompt_of(const Lesson &lesson);

}  // namespace scenes
