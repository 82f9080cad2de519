#include "output_queue.h"

#include <utility>

namespace moondream {
namespace {

gsize size_of(const QueueItem &item) {
  return item.event ? 0 : gst_buffer_get_size(item.frame.buffer.get());
}

bool may_leave(const QueueItem &item) {
  const Sample *sample = item.frame.sample.get();
  return !sample || sample->finished.load(std::memory_order_acquire);
}

}  // namespace

GstFlowReturn OutputQueue::put(QueueItem item) {
  const gsize size = size_of(item);
  std::unique_lock guard(lock_);
  changed_.wait(guard, [&] {
    return flow_ != GST_FLOW_OK || size == 0 || bytes_ == 0 || bytes_ + size <= kMaxBytes;
  });
  if (flow_ != GST_FLOW_OK) return flow_;
  bytes_ += size;
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
  changed_.wait(guard, [&] { return flow_ != GST_FLOW_OK || (items_.empty() && !taken_); });
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
  bytes_ -= size_of(item);
  taken_ = true;
  changed_.notify_all();
  return true;
}

void OutputQueue::done() {
  const std::lock_guard guard(lock_);
  taken_ = false;
  changed_.notify_all();
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
  bytes_ = 0;
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
