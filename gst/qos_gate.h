// What downstream's QoS events mean for sampling.
#pragma once

#include <gst/gst.h>

#include <mutex>

namespace moondream {

// A frame that comes too late to be shown is not worth a look, and where downstream throttles,
// looks need not be more frequent than what it shows.
// Thread-safety: safe.
class QosGate {
 public:
  // A QoS event, on whatever thread it comes.
  void observe(GstEvent *event);

  // After a flush or with a new segment: what was late then says nothing of the frames now.
  void reset();

  // True if a frame of this running time is late already, as far as downstream has told.
  bool is_late(GstClockTime running_time) const;

  // Least running time between two frames that downstream wants; 0 if it did not say.
  GstClockTime throttle() const;

 private:
  mutable std::mutex lock_;  // protects all below
  GstClockTime earliest_ = GST_CLOCK_TIME_NONE;
  GstClockTime throttle_ = 0;
};

}  // namespace moondream
