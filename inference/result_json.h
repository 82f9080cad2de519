// What a model found, as JSON: the objects that the plugin and the command write down.
//
//   object {"label":"face","score":0.9,"x_min":0.1,"y_min":0.2,"x_max":0.3,"y_max":0.4}
//   point  {"label":"nose","score":0.8,"x":0.2,"y":0.3}
//   gaze   {"from":{"x":0.2,"y":0.3},"to":{"x":0.9,"y":0.5}}
//   answer {"question":"Who?","answer":"Nobody.","reasoning":{"text":"..",
//           "grounding":[{"start_idx":0,"end_idx":2,"points":[[0.2,0.3]]}]}}
//
// Coordinates are fractions of the picture. Indices are in code points of the reasoning's text,
// which is absent where nothing was thought over. Thread-safety: safe.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "types.h"

namespace moondream {

nlohmann::ordered_json object_json(const std::string &label, double score, const Box &box);
nlohmann::ordered_json point_json(const std::string &label, double score, const Point &point);
nlohmann::ordered_json gaze_json(const Point &from, const Point &to);
nlohmann::ordered_json answer_json(const std::string &question, const std::string &answer,
                                   const std::optional<Reasoning> &reasoning);

// `json` on one line, without a newline at its end. What is not UTF-8 becomes U+FFFD, and what is
// not a finite number null.
std::string to_line(const nlohmann::ordered_json &json);

}  // namespace moondream
