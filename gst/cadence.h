// When to sample: by timestamps, never by counting frames.
#pragma once

#include <gst/gst.h>

namespace moondream {

// Samples per second of stream time. 0/1 is every frame.
struct SampleRate {
  gint numerator = 2;    // >= 0
  gint denominator = 1;  // >= 1

  bool operator==(const SampleRate &) const = default;
};

// Nanoseconds that the stream took from one timestamp to another, negative if it went back;
// `reverse` for streams that play backwards. GST_CLOCK_STIME_NONE if one of them is not known.
GstClockTimeDiff elapsed(GstClockTime from, GstClockTime to, bool reverse);

// True for events behind which the same timestamps mean other frames. A segment event is copied to
// `segment`.
bool begins_stream(GstEvent *event, GstSegment &segment);

// Divides stream time into periods of 1 / rate from the first frame on, and takes the first frame
// of each. The average rate is exact whatever the frame rate, and a frame that is late by a
// rounding error does not shift the ones behind it.
// Thread-safety: one thread at a time.
class Cadence {
 public:
  enum class Tick {
    kNone,     // no sample
    kSample,   // the first frame of a period
    kRestart,  // the first frame at all, or one before the last sample: a new beginning
  };

  // Forgets what went by, so that the next frame is kRestart.
  void restart() { started_ = false; }

  // To be called with every frame in order. A frame without PTS is a sample if every frame is or
  // if it is the first. A change of rate begins a period.
  Tick tick(GstClockTime pts, SampleRate rate, bool reverse);

 private:
  bool started_ = false;
  SampleRate rate_;
  GstClockTime start_ = GST_CLOCK_TIME_NONE;  // of the first period
  GstClockTime last_ = GST_CLOCK_TIME_NONE;   // PTS of the last sample that had one
  guint64 period_ = 0;                        // number of the last sample's
};

}  // namespace moondream
