// The record of what was done to each frame: one JSON object on a line.
//
//   {"pts":0,"running_time":0,"stream_time":0,"action":"redact","missing":null,"status":"held",
//    "serial":1,"age":40000000,"width":640,"height":360,"style":"solid",
//    "regions":[{"why":"object","label":"face","score":0.9,"serial":1,"age":40000000,
//                "x":64,"y":32,"width":80,"height":96}]}
//
// action is "pass", "redact", "cover" or "drop"; missing is why too little was known, null if
// enough was. Regions are in pixels, clipped to the frame and grown to whole samples of chroma;
// ellipses by the box around them. The field why is "object", "point", "zone" or "between" (the way
// between two results). Thread-safety: safe.
#pragma once

#include <string>
#include <vector>

#include "analysis_json.h"
#include "redact_findings.h"
#include "redact_plan.h"
#include "redact_planes.h"

namespace moondream::redact {

enum class Action { kPass, kRedact, kCover, kDrop };

// `regions` are those that were redacted, by `writer`'s frames' format.
std::string audit_line(const FramePlace &place, Action action, const Findings &findings,
                       Style style, const std::vector<PlannedRegion> &regions,
                       const PlaneWriter &writer);

}  // namespace moondream::redact
