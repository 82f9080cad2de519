#include "result_message.h"

#include <gst/gst.h>

#include <stdexcept>
#include <string_view>

#include "gst_ref.h"

namespace scenes {
namespace {

// A result's field as JSON, whatever number or text it is; nothing if it is absent.
std::optional<ResultJson> field(const GstStructure *structure, const char *name) {
  const GValue *value = gst_structure_get_value(structure, name);
  if (!value) return std::nullopt;
  switch (G_VALUE_TYPE(value)) {
    case G_TYPE_STRING:
      return g_value_get_string(value) ? g_value_get_string(value) : "";
    case G_TYPE_DOUBLE:
      return g_value_get_double(value);
    case G_TYPE_INT:
      return g_value_get_int(value);
    case G_TYPE_UINT:
      return g_value_get_uint(value);
    case G_TYPE_UINT64: {
      const guint64 number = g_value_get_uint64(value);
      return GST_CLOCK_TIME_IS_VALID(number) ? ResultJson(number) : ResultJson(nullptr);
    }
    default:
      throw std::runtime_error(std::string("field ") + name + " of a result is of type " +
                               G_VALUE_TYPE_NAME(value));
  }
}

// A name in the message and in the JSON.
struct Name {
  const char *message, *json;
};

ResultJson fields(const GstStructure *structure, std::initializer_list<Name> names) {
  ResultJson json = ResultJson::object();
  for (const Name &name : names) {
    if (auto value = field(structure, name.message)) json[name.json] = std::move(*value);
  }
  return json;
}

// Calls add(item) for each structure in an array field; an absent one has none.
template <typename Add>
void for_each_item(const GstStructure *structure, const char *name, Add add) {
  const GValue *array = gst_structure_get_value(structure, name);
  if (!array) return;
  if (!GST_VALUE_HOLDS_ARRAY(array)) {
    throw std::runtime_error(std::string("field ") + name + " of a result is not an array");
  }
  for (guint i = 0; i < gst_value_array_get_size(array); ++i) {
    const GValue *item = gst_value_array_get_value(array, i);
    if (!GST_VALUE_HOLDS_STRUCTURE(item)) {
      throw std::runtime_error(std::string("field ") + name + " of a result holds " +
                               G_VALUE_TYPE_NAME(item));
    }
    add(gst_value_get_structure(item));
  }
}

ResultJson to_json(const GstStructure *result) {
  ResultJson json = fields(result, {{"sample-pts", "pts"},
                                    {"running-time", "running_time"},
                                    {"stream-time", "stream_time"},
                                    {"serial", "serial"},
                                    {"status", "status"},
                                    {"age", "age"},
                                    {"width", "width"},
                                    {"height", "height"},
                                    {"model", "model"}});
  json["objects"] = ResultJson::array();
  for_each_item(result, "objects", [&](const GstStructure *object) {
    json["objects"].push_back(fields(object, {{"label", "label"},
                                              {"score", "score"},
                                              {"x_min", "x_min"},
                                              {"y_min", "y_min"},
                                              {"x_max", "x_max"},
                                              {"y_max", "y_max"},
                                              {"id", "id"}}));
  });
  json["points"] = ResultJson::array();
  for_each_item(result, "points", [&](const GstStructure *point) {
    json["points"].push_back(
        fields(point, {{"label", "label"}, {"score", "score"}, {"x", "x"}, {"y", "y"}}));
  });
  json["gaze"] = ResultJson::array();
  for_each_item(result, "gaze", [&](const GstStructure *gaze) {
    json["gaze"].push_back({{"from", fields(gaze, {{"from-x", "x"}, {"from-y", "y"}})},
                            {"to", fields(gaze, {{"to-x", "x"}, {"to-y", "y"}})}});
  });
  if (auto caption = field(result, "caption")) json["caption"] = std::move(*caption);
  json["answers"] = ResultJson::array();
  for_each_item(result, "answers", [&](const GstStructure *answer) {
    json["answers"].push_back(fields(answer, {{"question", "question"}, {"answer", "answer"}}));
  });
  return json;
}

}  // namespace

std::optional<ResultJson> parse_result_message(const std::string &line) {
  // Got message #25 from element "filter" (element): moondream-result, status=(string)fresh, ...;
  constexpr std::string_view kBegin = "Got message #", kKind = " (element): moondream-result";
  if (!line.starts_with(kBegin)) return std::nullopt;
  const std::size_t kind = line.find(kKind);
  if (kind == std::string::npos) return std::nullopt;
  const std::string text = line.substr(line.find("moondream-result", kind));
  const GstRef<GstStructure> result(gst_structure_from_string(text.c_str(), nullptr));
  if (!result) throw std::runtime_error("a result cannot be parsed: " + text);
  return to_json(result.get());
}

std::vector<LabelledBox> objects_of(const ResultJson &result) {
  std::vector<LabelledBox> objects;
  for (const ResultJson &object : result.at("objects")) {
    objects.push_back({object.at("label"),
                       {.x_min = object.at("x_min"),
                        .y_min = object.at("y_min"),
                        .x_max = object.at("x_max"),
                        .y_max = object.at("y_max")}});
  }
  return objects;
}

}  // namespace scenes
