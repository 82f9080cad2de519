#include "qos_gate.h"

namespace moondream {

void QosGate::observe(GstEvent *event) {
  GstQOSType type;
  GstClockTimeDiff jitter;
  GstClockTime timestamp;
  gst_event_parse_qos(event, &type, nullptr, &jitter, &timestamp);
  const std::lock_guard guard(lock_);
  if (type == GST_QOS_TYPE_THROTTLE) {
    throttle_ = jitter > 0 ? static_cast<GstClockTime>(jitter) : 0;
    return;
  }
  throttle_ = 0;
  // As GstBaseTransform does: a frame of up to this running time would come too late.
  // (An event whose sum is negative cannot be made.)
  const bool told = GST_CLOCK_TIME_IS_VALID(timestamp);
  earliest_ = told ? timestamp + static_cast<GstClockTime>(jitter) : GST_CLOCK_TIME_NONE;
}

void QosGate::reset() {
  const std::lock_guard guard(lock_);
  earliest_ = GST_CLOCK_TIME_NONE;
  throttle_ = 0;
}

bool QosGate::is_late(GstClockTime running_time) const {
  const std::lock_guard guard(lock_);
  return GST_CLOCK_TIME_IS_VALID(earliest_) && GST_CLOCK_TIME_IS_VALID(running_time) &&
         running_time <= earliest_;
}

GstClockTime QosGate::throttle() const {
  const std::lock_guard guard(lock_);
  return throttle_;
}

}  // namespace moondream
