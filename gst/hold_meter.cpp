#include "hold_meter.h"

#include <algorithm>

namespace moondream {
namespace {

// Little growth is no news: pipelines answer each by asking every element.
bool grew_much(GstClockTime from, GstClockTime to) {
  return to > from + std::max<GstClockTime>(from / 4, GST_MSECOND);
}

}  // namespace

bool HoldMeter::declare(GstClockTime bound) {
  const std::lock_guard guard(lock_);
  if (bound == declared_) return false;
  declared_ = bound;
  warned_ = 0;
  return true;
}

HoldMeter::News HoldMeter::measure(GstClockTime hold, bool sampled) {
  const std::lock_guard guard(lock_);
  if (sampled) recent_ -= recent_ / 8;
  recent_ = std::max(recent_, hold);
  longest_ = std::max(longest_, hold);
  News news;
  if (declared_ == 0) {
    news.latency = grew_much(announced_, longest_);
    if (news.latency) announced_ = longest_;
  } else if (hold > declared_ && (warned_ == 0 || grew_much(warned_, hold))) {
    news.exceeded = true;
    warned_ = hold;
  }
  return news;
}

GstClockTime HoldMeter::latency() const {
  const std::lock_guard guard(lock_);
  return declared_ > 0 ? declared_ : longest_;
}

GstClockTime HoldMeter::longest() const {
  const std::lock_guard guard(lock_);
  return longest_;
}

GstClockTime HoldMeter::recent() const {
  const std::lock_guard guard(lock_);
  return recent_;
}

}  // namespace moondream
