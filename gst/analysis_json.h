// A frame's result as JSON: the one form in which the plugin writes it down.
//
//   {"pts":0,"running_time":0,"stream_time":0,"serial":1,"status":"fresh","age":0,"width":640,
//    "height":360,"model":"demo-model",
//    "objects":[{"label":"face","score":0.9,"x_min":0.1,"y_min":0.2,"x_max":0.3,"y_max":0.4,"id":1}],
//    "points":[{"label":"nose","score":0.8,"x":0.2,"y":0.3,"id":2}],
//    "gaze":[{"from":{"x":0.2,"y":0.3},"to":{"x":0.9,"y":0.5}}],
//    "caption":"A face.","answers":[{"question":"Who?","answer":"Nobody."}]}
//
// Times are in nanoseconds and null where unknown; coordinates are fractions of the frame as in
// gstmoondreammeta.h. Where they may be those of another picture, since an element in between
// crops, flips or pads, there is "placed":false behind "height". "caption" is absent if none was
// asked for. An answer that was thought over has
// "reasoning":{"text":"..","grounding":[{"start_idx":0,"end_idx":2,"points":[[0.2,0.3]]}]}, with
// indices in code points of its text. Thread-safety: safe.
#pragma once

#include <gst/gst.h>

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "gstmoondreammeta.h"
#include "result_json.h"

namespace moondream {

// The frame that carries a result, which is `age` later than the one that the result is about.
struct FramePlace {
  GstClockTime pts = GST_CLOCK_TIME_NONE;
  GstClockTime running_time = GST_CLOCK_TIME_NONE;
  GstClockTime stream_time = GST_CLOCK_TIME_NONE;
  int width = 0, height = 0;  // pixels; 0: unknown, which is null
  bool placed = true;         // coordinates are fractions of this frame
};

// The place of a buffer with this PTS in `segment`; times are unknown if it is not in time format.
FramePlace place_of(GstClockTime pts, const GstSegment &segment, int width, int height);

nlohmann::ordered_json to_json(const FrameAnalysis &analysis, const FramePlace &place);

}  // namespace moondream
