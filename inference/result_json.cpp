#include "result_json.h"

#include <nlohmann/json.hpp>

namespace moondream {
namespace {

using Json = nlohmann::ordered_json;

Json place(const Point &point) { return {{"x", point.x}, {"y", point.y}}; }

// In the shape in which the reference implementation returns it, pairs of coordinates included.
Json reasoning_json(const Reasoning &reasoning) {
  Json grounding = Json::array();
  for (const Grounding &stretch : reasoning.grounding) {
    Json points = Json::array();
    for (const Point &point : stretch.points) points.push_back(Json::array({point.x, point.y}));
    grounding.push_back({{"start_idx", stretch.start_idx},
                         {"end_idx", stretch.end_idx},
                         {"points", std::move(points)}});
  }
  return {{"text", reasoning.text}, {"grounding", std::move(grounding)}};
}

}  // namespace

Json object_json(const std::string &label, double score, const Box &box) {
  return {{"label", label},     {"score", score},     {"x_min", box.x_min},
          {"y_min", box.y_min}, {"x_max", box.x_max}, {"y_max", box.y_max}};
}

Json point_json(const std::string &label, double score, const Point &point) {
  return {{"label", label}, {"score", score}, {"x", point.x}, {"y", point.y}};
}

Json gaze_json(const Point &from, const Point &to) {
  return {{"from", place(from)}, {"to", place(to)}};
}

Json answer_json(const std::string &question, const std::string &answer,
                 const std::optional<Reasoning> &reasoning) {
  Json json = {{"question", question}, {"answer", answer}};
  if (reasoning) json["reasoning"] = reasoning_json(*reasoning);
  return json;
}

std::string to_line(const Json &json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace moondream
