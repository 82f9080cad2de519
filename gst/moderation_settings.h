// What the user chose for a moondreammoderate. The only place that knows the defaults.
#pragma once

#include <gst/gst.h>

#include <string>
#include <vector>

#include "moderation_intervals.h"
#include "moderation_rules.h"

namespace moondream::moderation {

// What becomes of frames that match a rule.
enum class Action { kMessage, kCover, kDrop, kSignal };
const char *to_string(Action action);  // its nick; static

// What becomes of frames about which nothing is known.
enum class OnMissing { kAction, kCover, kDrop, kError, kPass };

// Thread-safety: values.
struct ModerationSettings {
  std::string labels, stop_answers;  // as they were set
  std::vector<AnswerRule> rules;     // of stop-rules
  std::string rules_error;           // what is wrong with stop-rules; empty: nothing
  double min_score = 0;
  GstClockTime max_age = GST_CLOCK_TIME_NONE;
  Hysteresis hysteresis;
  Action action = Action::kMessage;
  OnMissing on_missing = OnMissing::kAction;
  guint color = 0x000000;       // 0xRRGGBB
  std::string report_location;  // in force from the next start on

  // All rules. Throws Error{kSettings} if stop-rules could not be understood.
  Rules all_rules() const;
};

}  // namespace moondream::moderation
