#include "result_message.h"

#include <gst/gst.h>

#include <stdexcept>
#include <string_view>

#include "analysis_json.h"
#include "gst_ref.h"
#include "gstmoondreammeta.h"

namespace scenes {
namespace {

// The frame that a result is about; what the message does not say is unknown.
moondream::FramePlace place_in(const GstStructure *message) {
  moondream::FramePlace place;
  gst_structure_get(message, "pts", G_TYPE_UINT64, &place.pts, nullptr);
  gst_structure_get(message, "running-time", G_TYPE_UINT64, &place.running_time, nullptr);
  gst_structure_get(message, "stream-time", G_TYPE_UINT64, &place.stream_time, nullptr);
  gst_structure_get(message, "width", G_TYPE_INT, &place.width, "height", G_TYPE_INT, &place.height,
                    nullptr);
  return place;
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
  const auto analysis = result ? moondream::from_structure(result.get()) : std::nullopt;
  if (!analysis) throw std::runtime_error("a result cannot be parsed: " + text);
  return moondream::to_json(*analysis, place_in(result.get()));
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
