// What waits to leave through a text pad.
#pragma once

#include <gst/gst.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <variant>

#include "pointers.h"
#include "text_track.h"

namespace moondream {

// Between the thread that pushes video, which never waits here, and the task of a text pad, which
// may be kept waiting by what it pushes to for as long as that likes: textoverlay and muxers let a
// cue wait until its video has come, from the very thread that puts.
//
// A gap that waits behind another becomes part of it, so that silence takes no room. When a
// consumer falls kMaxItems behind, all that waits is dropped but the events that are still in
// force.
//
// Thread-safety: safe. Putting, stop() and start() by one thread at a time.
class TextQueue {
 public:
  // A few minutes of cues at two a second.
  static constexpr std::size_t kMaxItems = 1024;

  using Item = std::variant<EventPtr, TextSpan>;

  // These two drop the item once stopped.
  void put(EventPtr event);
  // Returns the cues that had to be dropped.
  std::size_t put(TextSpan span);

  // Blocks until there is an item and moves it to `item`; false once stopped. It counts as in the
  // queue until done().
  bool take(Item &item);
  void done();

  // Makes take() return false, until start(). Returns what waited.
  std::deque<Item> stop();
  void start();

  // Whether nothing waits, and everything that was taken is done, in time.
  bool wait_until_idle(std::chrono::milliseconds time);

 private:
  std::size_t make_room();

  mutable std::mutex lock_;  // protects all below
  std::condition_variable changed_;
  std::deque<Item> items_;
  bool started_ = false;
  bool taken_ = false;  // an item is out and not done()
};

}  // namespace moondream
