#include "text_queue.h"

#include <algorithm>
#include <utility>

namespace moondream {

void TextQueue::put(EventPtr event) {
  const std::lock_guard guard(lock_);
  if (!started_) return;
  if (items_.size() >= kMaxItems) make_room();
  items_.emplace_back(std::move(event));
  changed_.notify_all();
}

std::size_t TextQueue::put(TextSpan span) {
  const std::lock_guard guard(lock_);
  if (!started_) return 0;
  if (span.is_gap() && !items_.empty()) {
    auto *last = std::get_if<TextSpan>(&items_.back());
    if (last && last->is_gap()) {
      last->end = std::max(last->end, span.end);
      return 0;
    }
  }
  const std::size_t dropped = items_.size() >= kMaxItems ? make_room() : 0;
  items_.emplace_back(std::move(span));
  changed_.notify_all();
  return dropped;
}

// Keeps the newest event of each type, in order: the sticky ones of a stream, and its end.
std::size_t TextQueue::make_room() {
  std::deque<Item> kept;
  std::size_t cues = 0;
  for (auto item = items_.rbegin(); item != items_.rend(); ++item) {
    const auto *event = std::get_if<EventPtr>(&*item);
    if (!event) {
      cues += !std::get<TextSpan>(*item).is_gap();
      continue;
    }
    const auto type = GST_EVENT_TYPE(event->get());
    const bool superseded = std::any_of(kept.begin(), kept.end(), [type](const Item &newer) {
      return GST_EVENT_TYPE(std::get<EventPtr>(newer).get()) == type;
    });
    if (!superseded) kept.push_front(std::move(*item));
  }
  items_.swap(kept);
  return cues;
}

bool TextQueue::take(Item &item) {
  std::unique_lock guard(lock_);
  changed_.wait(guard, [&] { return !started_ || !items_.empty(); });
  if (!started_) return false;
  item = std::move(items_.front());
  items_.pop_front();
  taken_ = true;
  return true;
}

void TextQueue::done() {
  const std::lock_guard guard(lock_);
  taken_ = false;
  changed_.notify_all();
}

std::deque<TextQueue::Item> TextQueue::stop() {
  const std::lock_guard guard(lock_);
  started_ = false;
  changed_.notify_all();
  return std::exchange(items_, {});
}

void TextQueue::start() {
  const std::lock_guard guard(lock_);
  started_ = true;
}

bool TextQueue::wait_until_idle(std::chrono::milliseconds time) {
  std::unique_lock guard(lock_);
  return changed_.wait_for(guard, time, [&] { return items_.empty() && !taken_; });
}

}  // namespace moondream
