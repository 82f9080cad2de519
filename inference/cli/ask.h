// What caption, query, detect, point, gaze and segment have in common: the same is asked of each
// picture.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "engine.h"
#include "pictures.h"

namespace moondream::cli {

struct Question {
  ModelSpec spec;
  std::vector<Prompt> prompts;
  GenerationSettings settings;
  Grid grid;
  bool json = false, stream = false;
  std::string overlay;  // where the picture with all that was found is saved; empty: nowhere
};

// Asks about each picture in turn and prints the answers: as text, behind the name of the picture
// if there are several, or as one JSON object a line. Without pictures it asks once, about none. A
// picture that fails is complained of, and its JSON object has only "image" and "error"; the others
// go on. Returns the exit status. Throws Error if the model cannot be loaded.
int ask(const Question &question, const std::vector<std::string> &pictures);

// The answers as JSON: {"image":..,"width":..,"height":..,"model":..,"objects":[..],"points":[..],
// "gaze":[..],"caption":"..","answers":[..]}, whose parts are those of result_json.h, and where
// outlines were asked for
// "outlines":[{"label":"..","x_min":..,"y_min":..,"x_max":..,"y_max":..,"path":"M..",
// "refined":false}], with the path in fractions of the box, and whether the refiner made it.
nlohmann::ordered_json answers_json(const std::string &picture, const Image *image,
                                    const std::string &model, const std::vector<Prompt> &prompts,
                                    const Result &result);

// The answers as lines for people.
std::string answers_text(const std::vector<Prompt> &prompts, const Result &result);

Overlay overlay_of(const std::vector<Prompt> &prompts, const Result &result);

}  // namespace moondream::cli
