#include "redact_audit.h"

#include <nlohmann/json.hpp>

namespace moondream::redact {
namespace {

using Json = nlohmann::ordered_json;

const char *to_string(Action action) {
  switch (action) {
    case Action::kPass:
      return "pass";
    case Action::kRedact:
      return "redact";
    case Action::kCover:
      return "cover";
    case Action::kDrop:
      break;
  }
  return "drop";
}

const char *to_string(Style style) {
  switch (style) {
    case Style::kPixelate:
      return "pixelate";
    case Style::kBlur:
      return "blur";
    case Style::kSolid:
      break;
  }
  return "solid";
}

Json time_of(GstClockTime time) { return GST_CLOCK_TIME_IS_VALID(time) ? Json(time) : Json(); }

}  // namespace

std::string audit_line(const FramePlace &place, Action action, const Findings &findings,
                       Style style, const std::vector<PlannedRegion> &regions,
                       const PlaneWriter &writer) {
  Json list = Json::array();
  for (const PlannedRegion &planned : regions) {
    const Region region = writer.grown(planned.region);
    if (region.x_min >= region.x_max) continue;  // outside of the frame
    Json entry = {{"why", planned.why}};
    if (planned.serial != 0 || !planned.label.empty()) {
      entry["label"] = planned.label;
      entry["score"] = planned.score;
      entry["serial"] = planned.serial;
      entry["age"] = planned.age;
    }
    entry["x"] = region.x_min;
    entry["y"] = region.y_min;
    entry["width"] = region.x_max - region.x_min;
    entry["height"] = region.y_max - region.y_min;
    list.push_back(std::move(entry));
  }
  const bool enough = findings.missing == Missing::kNothing;
  const Json line = {{"pts", time_of(place.pts)},
                     {"running_time", time_of(place.running_time)},
                     {"stream_time", time_of(place.stream_time)},
                     {"action", to_string(action)},
                     {"missing", enough ? Json() : Json(redact::to_string(findings.missing))},
                     {"status", findings.status ? Json(findings.status) : Json()},
                     {"serial", findings.serial},
                     {"age", findings.age},
                     {"width", place.width},
                     {"height", place.height},
                     {"style", to_string(action == Action::kCover ? Style::kSolid : style)},
                     {"regions", std::move(list)}};
  return to_line(line);
}

}  // namespace moondream::redact
