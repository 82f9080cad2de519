// Intervals as what applications read: structures of messages, and JSON.
// Thread-safety: functions are safe.
#pragma once

#include <gst/gst.h>

#include <cstddef>
#include <deque>
#include <nlohmann/json_fwd.hpp>

#include "moderation_intervals.h"

namespace moondream::moderation {

// A structure of that name, with the fields
//
//   kind            string   stop, unknown
//   begin-pts, begin-running-time, begin-stream-time     guint64, ns or GST_CLOCK_TIME_NONE
//   end-pts, end-running-time, end-stream-time           the same; NONE while it is open
//   since-stream-time                                    where what led to it was first carried
//   frames          guint64
//   reason          string   of kind unknown: no-result, pending, failed, too-old, unanswered
//   triggers        GstValueArray of "trigger": kind (object, point, answer), subject (label or
//                   question), answer (of kind answer), score (double)
//
// Transfer full.
GstStructure *to_structure(const Interval &interval, const char *name);

// The same on one line of a report, for `action`:
//   {"kind":"stop","action":"cover","begin":{"pts":0,"running_time":0,"stream_time":0},
//    "end":{..},"since":{..},"frames":12,"triggers":[{"kind":"object","subject":"knife",
//    "score":0.9},{"kind":"answer","subject":"Is there blood?","answer":"Yes.","score":1}]}
// An interval of kind unknown has "reason" instead of "triggers".
nlohmann::ordered_json to_json(const Interval &interval, const char *action);

// The intervals of a stream that have ended, for one message at its end. Of more than kMost the
// first are left out, so that a stream which never ends does not collect them for ever.
// Thread-safety: one thread at a time.
class IntervalList {
 public:
  static constexpr std::size_t kMost = 10'000;

  void add(const Interval &interval);

  // A structure of that name: "intervals", a GstValueArray of structures "interval" as above, and
  // "omitted", a guint64: how many were left out. Empties the list. Transfer full.
  GstStructure *take(const char *name);

  void clear();

 private:
  std::deque<Interval> intervals_;
  guint64 omitted_ = 0;
};

}  // namespace moondream::moderation
