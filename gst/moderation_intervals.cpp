#include "moderation_intervals.h"

#include <utility>

namespace moondream::moderation {
namespace {

// ns between two places, in either direction of play; nothing if not known.
std::optional<GstClockTime> distance(const FramePlace &a, const FramePlace &b) {
  if (!GST_CLOCK_TIME_IS_VALID(a.stream_time) || !GST_CLOCK_TIME_IS_VALID(b.stream_time))
    return std::nullopt;
  return a.stream_time < b.stream_time ? b.stream_time - a.stream_time
                                       : a.stream_time - b.stream_time;
}

}  // namespace

const char *to_string(Interval::Kind kind) {
  return kind == Interval::Kind::kStop ? "stop" : "unknown";
}

void IntervalTracker::Streak::add(guint64 new_serial, const FramePlace &here) {
  if (results == 0) since = here;
  if (results == 0 || serial != new_serial) ++results;
  serial = new_serial;
}

bool IntervalTracker::reached(const Streak &streak, guint results, GstClockTime time,
                              const FramePlace &here, bool if_unknown) const {
  if (streak.results < results) return false;
  const auto passed = distance(streak.since, here);
  return passed ? *passed >= time : if_unknown || time == 0;
}

void IntervalTracker::begin(Interval::Kind kind, const FramePlace &since, const FramePlace &here,
                            std::vector<Change> &changes) {
  if (current_) end(here, changes);
  current_ = Interval{.kind = kind, .since = since, .begin = here};
}

void IntervalTracker::end(const FramePlace &here, std::vector<Change> &changes) {
  current_->end = here;
  changes.push_back({false, *std::exchange(current_, std::nullopt)});
}

std::vector<Change> IntervalTracker::add(const Verdict &verdict, const FramePlace &here,
                                         const FramePlace &next, const Hysteresis &hysteresis) {
  std::vector<Change> changes;
  const bool stopped = current_ && current_->kind == Interval::Kind::kStop;
  const bool was_open = current_.has_value();
  bool opens = false;
  switch (verdict.kind) {
    case Verdict::Kind::kStop:
      cleans_ = {};
      stops_.add(verdict.serial, here);
      if (!stopped && reached(stops_, hysteresis.trigger_results, hysteresis.trigger_after, here,
                              /*if_unknown=*/true)) {
        begin(Interval::Kind::kStop, stops_.since, here, changes);
        opens = true;
      } else if (!stopped && was_open) {
        end(here, changes);
      }
      if (current_) merge(current_->triggers, verdict.triggers);
      break;
    case Verdict::Kind::kClean:
      stops_ = {};
      cleans_.add(verdict.serial, here);
      if (was_open &&
          (!stopped || reached(cleans_, hysteresis.release_results, hysteresis.release_after, here,
                               /*if_unknown=*/false))) {
        end(here, changes);
      }
      break;
    case Verdict::Kind::kUnknown:
      // Neither clears what was stopped nor excuses what is about to be.
      cleans_ = {};
      if (!current_) {
        begin(Interval::Kind::kUnknown, here, here, changes);
        current_->reason = verdict.reason;
        opens = true;
      }
      break;
  }
  if (opens) changes.push_back({true, *current_});
  if (current_) ++current_->frames;
  next_ = next;
  return changes;
}

std::vector<Change> IntervalTracker::finish() {
  std::vector<Change> changes;
  if (current_) end(next_, changes);
  stops_ = cleans_ = {};
  return changes;
}

}  // namespace moondream::moderation
