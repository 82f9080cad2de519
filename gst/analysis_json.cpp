#include "analysis_json.h"

#include <nlohmann/json.hpp>

namespace moondream {
namespace {

using Json = nlohmann::ordered_json;

Json time(GstClockTime time) { return GST_CLOCK_TIME_IS_VALID(time) ? Json(time) : Json(nullptr); }

Json size(int pixels) { return pixels > 0 ? Json(pixels) : Json(nullptr); }

template <typename Items, typename Write>
Json array(const Items &items, Write write) {
  Json json = Json::array();
  for (const auto &item : items) json.push_back(write(item));
  return json;
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
    Json entry = object_json(object.label, object.score, object.box);
    entry["id"] = object.id;
    return entry;
  });
  json["points"] = array(analysis.points, [](const AnalysisPoint &point) -> Json {
    Json entry = point_json(point.label, point.score, point.point);
    entry["id"] = point.id;
    return entry;
  });
  json["gaze"] = array(analysis.gaze, [](const AnalysisGaze &gaze) -> Json {
    return gaze_json(gaze.from, gaze.to);
  });
  if (analysis.caption) json["caption"] = *analysis.caption;
  json["answers"] = array(analysis.answers, [](const AnalysisAnswer &answer) -> Json {
    return answer_json(answer.question, answer.answer, answer.reasoning);
  });
  return json;
}

}  // namespace moondream
