// From what a buffer carries to what is drawn of it.
// Thread-safety: safe.
#pragma once

#include <gst/video/video.h>

#include <string>

#include "gstmoondreammeta.h"
#include "overlay_scene.h"

namespace moondream::overlay {

// What the user chose. The defaults are the element's.
struct Settings {
  bool draw_labels = true;
  bool draw_scores = true;
  bool draw_ids = false;
  bool draw_caption = true;  // answers, too
  std::string font = "Sans";
  guint line_width = 0;                        // pixels; 0 = by the frame's size
  GstClockTime max_age = GST_CLOCK_TIME_NONE;  // older results are not drawn; NONE = no limit
};

// The scene of `analysis` on frames of `info`; if `placed` is false, without what needs a place:
// coordinates are those of another picture. Empty if nothing is known of the frame, or what is
// known is older than the settings allow; a result of unknown age counts as older than any limit
// unless it is of this very frame.
Scene make_scene(const FrameAnalysis &analysis, const Settings &settings, const GstVideoInfo &info,
                 bool placed = true);

}  // namespace moondream::overlay
