#include "analysis_json.h"

#include <nlohmann/json.hpp>

namespace moondream {
namespace {

using Json = nlohmann::ordered_json;

Json time(GstClockTime time) { return GST_CLOCK_TIME_IS_VALID(time) ? Json(time) : Json(nullptr); }

Json size(int pixels) { return pixels > 0 ? Json(pixels) : Json(nullptr); }

Json place(const Point &point) { return {{"x", point.x}, {"y", point.y}}; }

template <typename Items, typename Write>
Json array(const Items &items, Write write) {
  Json json = Json::array();
  for (const auto &item : items) json.push_back(write(item));
  return json;
}

// In the shape in which the reference implementation returns it, pairs of coordinates included.
Json reasoning_of(const Reasoning &reasoning) {
  return {{"text", reasoning.text},
          {"grounding", array(reasoning.grounding, [](const Grounding &grounding) -> Json {
             return {{"start_idx", grounding.start_idx},
                     {"end_idx", grounding.end_idx},
                     {"points", array(grounding.points, [](const Point &point) {
                        return Json::array({point.x, point.y});
                      })}};
           })}};
}

}  // namespace

FramePlace place_of(GstClockTime pts, const GstSegment &segment, int width, int height) {
  FramePlace place{.pts = pts, .width = width, .height = height};
  if (segment.format == GST_FORMAT_TIME && GST_CLOCK_TIME_IS_VALID(pts)) {
    place.running_time = gst_segment_to_running_time(&segment, GST_FORMAT_TIME, pts);
    place.stream_time = gst_segment_to_stream_time(&segment, GST_FORMAT_TIME, pts);
  }
  return place;
}

Json to_json(const FrameAnalysis &analysis, const FramePlace &frame) {
  Json json = {{"pts", time(frame.pts)},
               {"running_time", time(frame.running_time)},
               {"stream_time", time(frame.stream_time)},
               {"serial", analysis.serial},
               {"status", to_string(analysis.status)},
               {"age", time(analysis.age)},
               {"width", size(frame.width)},
               {"height", size(frame.height)}};
  if (!frame.placed) json["placed"] = false;
  json["model"] = analysis.model;
  json["objects"] = array(analysis.objects, [](const AnalysisObject &object) -> Json {
    return {{"label", object.label},
            {"score", object.score},
            {"x_min", object.box.x_min},
            {"y_min", object.box.y_min},
            {"x_max", object.box.x_max},
            {"y_max", object.box.y_max},
            {"id", object.id}};
  });
  json["points"] = array(analysis.points, [](const AnalysisPoint &point) -> Json {
    return {{"label", point.label},
            {"score", point.score},
            {"x", point.point.x},
            {"y", point.point.y},
            {"id", point.id}};
  });
  json["gaze"] = array(analysis.gaze, [](const AnalysisGaze &gaze) -> Json {
    return {{"from", place(gaze.from)}, {"to", place(gaze.to)}};
  });
  if (analysis.caption) json["caption"] = *analysis.caption;
  json["answers"] = array(analysis.answers, [](const AnalysisAnswer &answer) -> Json {
    Json entry = {{"question", answer.question}, {"answer", answer.answer}};
    if (answer.reasoning) entry["reasoning"] = reasoning_of(*answer.reasoning);
    return entry;
  });
  return json;
}

std::string to_line(const Json &json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace moondream
