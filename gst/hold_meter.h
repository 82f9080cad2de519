// How long frames wait in sync mode, and what a pipeline is told of it.
#pragma once

#include <gst/gst.h>

#include <mutex>

namespace moondream {

// A frame waits for its own result and for those of the frames before it. What it waits beyond
// that, because downstream takes its time, is not counted: downstream knows of it.
// Thread-safety: safe.
class HoldMeter {
 public:
  struct News {
    bool latency = false;   // the answer to LATENCY has changed enough to tell
    bool exceeded = false;  // the hold is longer than declared, and than any that was told so
  };

  // What the user says that no frame waits longer than; 0: nothing, the longest hold is the answer.
  // True: the answer has changed.
  bool declare(GstClockTime bound);

  // A frame leaves that had to wait for `hold`. sampled: for a result of its own, too.
  News measure(GstClockTime hold, bool sampled);

  // What frames wait here at most, as far as is known: for the answer to LATENCY.
  GstClockTime latency() const;
  GstClockTime longest() const;
  // What they waited lately: the longest, less an eighth with each result since.
  GstClockTime recent() const;

 private:
  mutable std::mutex lock_;  // protects all below
  GstClockTime declared_ = 0;
  GstClockTime longest_ = 0;
  GstClockTime recent_ = 0;
  GstClockTime announced_ = 0;  // of longest_, what News told
  GstClockTime warned_ = 0;     // likewise, beyond declared_
};

}  // namespace moondream
