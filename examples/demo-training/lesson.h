// Prompts about a picture and the right answers, for who teaches a model and for who examines it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "picture.h"
#include "types.h"

namespace scenes {

enum class Skill { kDetect, kPoint, kCaption, kQuery, kReason, kGaze };

const char *to_string(Skill skill);  // "detect"; static

// What a question is about, so that answers can be counted by it.
enum class Topic { kNone, kCount, kExistence, kColor, kPlace };

struct Lesson {
  Skill skill = Skill::kDetect;
  Topic topic = Topic::kNone;  // of questions
  std::string prompt;          // the object, the question, or "short", "normal" or "long"
  std::string answer;          // of captions and questions
  // What is to be found, from left to right by its middle; of reasoning: what is counted.
  std::vector<moondream::Box> boxes;
  std::string thought;  // of reasoning: what it calls them
  // Of gaze: from where, and where to; nowhere if empty.
  moondream::Point eye;
  std::vector<moondream::Point> gaze;
};

// About two dozen lessons about the picture: things that are there and things that are not, by
// kind, colour and both. Equal seeds give equal lessons. Thread-safety: safe.
std::vector<Lesson> make_lessons(const Picture &picture, std::uint64_t seed);

// All texts that lessons can consist of, to make a tokenizer of.
std::vector<std::string> all_texts();

// {"skill":"detect","prompt":"star","boxes":[[x_min,y_min,x_max,y_max]]} and so on, without what is
// empty.
nlohmann::json to_json(const Lesson &lesson);

}  // namespace scenes
