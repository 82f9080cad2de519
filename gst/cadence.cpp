#include "cadence.h"

namespace moondream {

GstClockTimeDiff elapsed(GstClockTime from, GstClockTime to, bool reverse) {
  if (!GST_CLOCK_TIME_IS_VALID(from) || !GST_CLOCK_TIME_IS_VALID(to)) return GST_CLOCK_STIME_NONE;
  return reverse ? GST_CLOCK_DIFF(to, from) : GST_CLOCK_DIFF(from, to);
}

bool begins_stream(GstEvent *event, GstSegment &segment) {
  if (GST_EVENT_TYPE(event) == GST_EVENT_STREAM_START) return true;
  if (GST_EVENT_TYPE(event) != GST_EVENT_SEGMENT) return false;
  GstSegment next;
  gst_event_copy_segment(event, &next);
  const bool other = !gst_segment_is_equal(&segment, &next);
  segment = next;
  return other;
}

Cadence::Tick Cadence::tick(GstClockTime pts, SampleRate rate, bool reverse) {
  const bool timed = GST_CLOCK_TIME_IS_VALID(pts);
  const bool went_back =
      started_ && timed && GST_CLOCK_TIME_IS_VALID(last_) && elapsed(last_, pts, reverse) < 0;
  if (!started_ || went_back) {
    started_ = true;
    rate_ = rate;
    start_ = last_ = pts;
    period_ = 0;
    return Tick::kRestart;
  }
  if (rate_ != rate || !GST_CLOCK_TIME_IS_VALID(start_)) {
    // Without a PTS there is nothing to begin a period with: the next frame that has one does.
    if (timed) {
      rate_ = rate;
      start_ = last_ = pts;
      period_ = 0;
      return Tick::kSample;
    }
  }
  if (rate.numerator == 0) {
    if (timed) last_ = pts;
    return Tick::kSample;
  }
  if (!timed) return Tick::kNone;
  const guint64 period = gst_util_uint64_scale(static_cast<guint64>(elapsed(start_, pts, reverse)),
                                               static_cast<guint64>(rate.numerator),
                                               static_cast<guint64>(rate.denominator) * GST_SECOND);
  if (period <= period_) return Tick::kNone;
  period_ = period;
  last_ = pts;
  return Tick::kSample;
}

}  // namespace moondream
