// Turns verdicts on frames into intervals of a stream, with hysteresis.
#pragma once

#include <gst/gst.h>

#include <optional>
#include <string>
#include <vector>

#include "analysis_json.h"
#include "moderation_rules.h"

namespace moondream::moderation {

// Frames that follow each other and are to be treated alike.
struct Interval {
  enum class Kind {
    kStop,     // something shows that must not
    kUnknown,  // nobody can say
  };

  Kind kind = Kind::kUnknown;
  FramePlace since;  // where what led to it was first carried; `begin`, if at once
  FramePlace begin;  // its first frame
  FramePlace end;    // where the first frame behind it begins. Once it has ended
  guint64 frames = 0;
  std::string reason;             // of kUnknown, the first; as in Verdict
  std::vector<Trigger> triggers;  // of kStop, all
};

const char *to_string(Interval::Kind kind);  // "stop", "unknown"; static

// When an interval of kind kStop begins and ends. Both a count and a time have to be reached.
//
// Results count by their serials; the held result of an earlier frame counts once. Times are
// stream time between the first frame that carried such a result and the present one. Where times
// are not known, they have passed for the beginning of an interval, and have not for its end.
struct Hysteresis {
  guint trigger_results = 1;       // >= 1, results in a row that say stop
  GstClockTime trigger_after = 0;  // ns
  guint release_results = 1;       // >= 1, results in a row that are clean
  GstClockTime release_after = GST_SECOND;
};

// An interval that begins, with the present frame, or has ended, before it.
struct Change {
  bool begins;
  Interval interval;
};

// Follows a stream. Frames of which nothing is known do not end an interval of kind kStop; else
// they are one of kind kUnknown, at once.
// Thread-safety: one thread at a time.
class IntervalTracker {
 public:
  // The next frame, which begins at `here` and ends at `next`. What changed, in order.
  std::vector<Change> add(const Verdict &verdict, const FramePlace &here, const FramePlace &next,
                          const Hysteresis &hysteresis);

  // The stream ends or jumps: an open interval ends behind the last frame.
  std::vector<Change> finish();

  // That the last frame is in.
  const std::optional<Interval> &current() const { return current_; }

 private:
  // Results of one kind in a row.
  struct Streak {
    guint results = 0;
    guint64 serial = 0;  // of the last
    FramePlace since;    // of the first frame

    void add(guint64 serial, const FramePlace &here);
  };

  bool reached(const Streak &streak, guint results, GstClockTime time, const FramePlace &here,
               bool if_unknown) const;
  void begin(Interval::Kind kind, const FramePlace &since, const FramePlace &here,
             std::vector<Change> &changes);
  void end(const FramePlace &here, std::vector<Change> &changes);

  std::optional<Interval> current_;
  Streak stops_, cleans_;
  FramePlace next_;  // behind the last frame
};

}  // namespace moondream::moderation
