#include "output_queue.h"

#include <utility>

namespace moondream {
namespace {

gsize size_of(const QueueItem &item) {
  return item.event ? 0 : gst_buffer_get_size(item.frame.buffer.get());
}

bool is_finished(const Sample &sample) { return sample.finished.load(std::memory_order_acquire); }

// Whether a frame without a sample is to lie between two.
bool interpolates(const FilterSettings &settings) {
  return settings.propagate == Propagate::kInterpolate && !settings.prompts->empty();
}

// True if no sample behind this item has to do with the frames before it.
bool is_end(const QueueItem &item) {
  if (!item.event) return item.frame.settings->prompts->empty();
  switch (GST_EVENT_TYPE(item.event.get())) {
    case GST_EVENT_EOS:
    case GST_EVENT_CAPS:
    case GST_EVENT_SEGMENT:
    case GST_EVENT_STREAM_START:
      return true;
    default:
      return false;
  }
}

}  // namespace

// Whether the head may be given out; sets what take() fills in.
bool OutputQueue::may_leave(QueueItem &head) {
  if (head.event) return true;
  QueuedFrame &frame = head.frame;
  if (frame.sample) return is_finished(*frame.sample);
  if (!interpolates(*frame.settings)) return true;
  for (; plain_ + 1 < items_.size(); ++plain_) {
    const QueueItem &item = items_[plain_ + 1];
    if (is_end(item)) return true;
    const auto &sample = item.frame.sample;
    if (!sample) continue;
    if (sample->frame.anew) return true;
    if (!is_finished(*sample)) return false;
    frame.next = sample;
    frame.next_held_up = item.frame.held_up;
    return true;
  }
  frame.crowded = waiting_ > 0;
  return waiting_ > 0 || draining_ > 0;
}

// Whether the items that wait for nothing but to be taken are enough. If so the head is one.
bool OutputQueue::is_ahead(GstClockTime time) const {
  std::size_t items = 0;
  GstClockTime first = GST_CLOCK_TIME_NONE, last = GST_CLOCK_TIME_NONE;
  const auto is_enough = [&] {
    if (items < kMinAhead) return false;
    // Without timestamps, and where they go back, their number has to do.
    return first == GST_CLOCK_TIME_NONE || last < first || last - first >= time;
  };
  bool between = false;  // frames so far wait for the next sample
  for (const QueueItem &item : items_) {
    const Sample *sample = item.event ? nullptr : item.frame.sample.get();
    if (sample && !is_finished(*sample)) return sample->frame.anew && is_enough();
    ++items;
    if (!item.event && GST_CLOCK_TIME_IS_VALID(item.frame.running_time)) {
      last = item.frame.running_time;
      if (first == GST_CLOCK_TIME_NONE) first = last;
    }
    if (sample || is_end(item)) {
      between = false;
    } else if (!item.event && interpolates(*item.frame.settings)) {
      between = true;
    }
    if (!between && is_enough()) return true;
  }
  return false;
}

GstFlowReturn OutputQueue::put(QueueItem item) {
  const gsize size = size_of(item);
  std::unique_lock guard(lock_);
  const auto has_room = [&] {
    return flow_ != GST_FLOW_OK || size == 0 || bytes_ == 0 || bytes_ + size <= kMaxBytes;
  };
  if (!has_room()) {
    ++waiting_;
    changed_.notify_all();
    changed_.wait(guard, has_room);
    --waiting_;
  }
  if (flow_ != GST_FLOW_OK) return flow_;
  bytes_ += size;
  frames_ += item.event ? 0 : 1;
  items_.push_back(std::move(item));
  changed_.notify_all();
  return GST_FLOW_OK;
}

GstFlowReturn OutputQueue::wait_until(const std::function<bool()> &ready) {
  std::unique_lock guard(lock_);
  changed_.wait(guard, [&] { return flow_ != GST_FLOW_OK || ready(); });
  return flow_;
}

GstFlowReturn OutputQueue::wait_until_drained() {
  std::unique_lock guard(lock_);
  ++draining_;
  changed_.notify_all();
  changed_.wait(guard, [&] { return flow_ != GST_FLOW_OK || (items_.empty() && !taken_); });
  --draining_;
  return flow_;
}

GstFlowReturn OutputQueue::wait_until_taken(GstClockTime ahead) {
  std::unique_lock guard(lock_);
  changed_.wait(guard, [&] { return flow_ != GST_FLOW_OK || !is_ahead(ahead); });
  return flow_;
}

bool OutputQueue::take(QueueItem &item) {
  std::unique_lock guard(lock_);
  changed_.wait(guard, [&] {
    return flow_ != GST_FLOW_OK || (!items_.empty() && may_leave(items_.front()));
  });
  if (flow_ != GST_FLOW_OK) return false;
  item = std::move(items_.front());
  items_.pop_front();
  plain_ -= plain_ > 0;
  bytes_ -= size_of(item);
  frames_ -= item.event ? 0 : 1;
  taken_ = true;
  changed_.notify_all();
  return true;
}

void OutputQueue::done() {
  const std::lock_guard guard(lock_);
  taken_ = false;
  changed_.notify_all();
}

std::size_t OutputQueue::frames() const {
  const std::lock_guard guard(lock_);
  return frames_;
}

void OutputQueue::wake() {
  // Empty critical section: whoever has just found its sample unfinished is waiting by now.
  { const std::lock_guard guard(lock_); }
  changed_.notify_all();
}

void OutputQueue::stop(GstFlowReturn reason) {
  // Freed without the lock: the last reference to a buffer may run code of its pool.
  std::deque<QueueItem> dropped;
  const std::lock_guard guard(lock_);
  dropped.swap(items_);
  plain_ = 0;
  bytes_ = 0;
  frames_ = 0;
  flow_ = closed_ ? GST_FLOW_FLUSHING : reason;
  changed_.notify_all();
}

void OutputQueue::start() {
  const std::lock_guard guard(lock_);
  if (!closed_) flow_ = GST_FLOW_OK;
}

void OutputQueue::close() {
  {
    const std::lock_guard guard(lock_);
    closed_ = true;
  }
  stop(GST_FLOW_FLUSHING);
}

}  // namespace moondream
