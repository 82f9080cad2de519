// Keeps the order of a stream whose frames wait for results.
#pragma once

#include <gst/gst.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "filter_settings.h"
#include "frame_sampler.h"
#include "pointers.h"

namespace moondream {

// A frame on its way out.
struct QueuedFrame {
  BufferPtr buffer;
  std::shared_ptr<const Sample> sample;            // of this frame; null: none was taken
  std::shared_ptr<const FilterSettings> settings;  // in force at this frame
  int width = 0, height = 0;                       // pixels
  GstClockTime running_time = GST_CLOCK_TIME_NONE;
  std::chrono::steady_clock::time_point arrived;
  std::chrono::nanoseconds held_up{};  // upstream by downstream, before this frame
  // Filled in by take() for a frame without a sample whose settings propagate by interpolation: the
  // finished sample after it, or why there is none to wait for.
  std::shared_ptr<const Sample> next;
  std::chrono::nanoseconds next_held_up{};  // held_up of its frame
  bool crowded = false;  // it would have come, but there is no room for the frames up to it
};

// An event, or, if that is null, a frame.
struct QueueItem {
  EventPtr event;
  QueuedFrame frame;
};

// Frames and events between one thread that puts and one that takes. The head is given out when
// its sample, if it has one, is finished; nothing overtakes it. A frame without a sample that is to
// be interpolated waits for the next sample behind it to be finished, unless none can come: the
// stream ends, flushes, gets another segment or other caps, begins anew or is not asked about; or
// the queue is full or to be drained.
//
// It is there for what waits for results. Where items wait for nothing but to be taken, the thread
// that puts is to wait, too: what upstream and the properties say comes behind all that is here.
// Thread-safety: safe.
class OutputQueue {
 public:
  // Frames wait for a result, and so do the ones behind them until the next sample is reached. More
  // than this many bytes of frames wait only if it is a single one: 40 frames of 1080p in I420.
  static constexpr gsize kMaxBytes = 128 << 20;
  // So many may always be there: the threads do not have to take turns.
  static constexpr std::size_t kMinAhead = 4;

  // These four return what the stream is at: GST_FLOW_OK, or the reason for which nothing goes
  // in any more, set by stop(). They block until then or until:
  GstFlowReturn put(QueueItem item);                             // there is room for it
  GstFlowReturn wait_until(const std::function<bool()> &ready);  // `ready`, asked at each wake()
  GstFlowReturn wait_until_drained();                            // everything was taken and done
  // Items that may leave are fewer than kMinAhead, or span less running time than `ahead`.
  GstFlowReturn wait_until_taken(GstClockTime ahead);

  // Blocks until the head may leave and moves it to `item`; false once stopped. It counts as in the
  // queue until done().
  bool take(QueueItem &item);
  void done();

  // That wait in it.
  std::size_t frames() const;

  // To be called when a sample has finished.
  void wake();

  // Empties the queue and ends all waiting with `reason`, which is not GST_FLOW_OK.
  void stop(GstFlowReturn reason);

  // Makes a stopped queue usable again, unless it is closed.
  void start();

  // stop(GST_FLOW_FLUSHING) for good.
  void close();

 private:
  bool may_leave(QueueItem &head);
  bool is_ahead(GstClockTime time) const;

  mutable std::mutex lock_;  // protects all below; no other lock is taken with it held, but the
                             // sampler's by `ready`
  std::condition_variable changed_;
  std::deque<QueueItem> items_;
  // Items behind the head that are known to be neither a sample nor an end: they need not be looked
  // at again for each frame before them.
  std::size_t plain_ = 0;
  int waiting_ = 0;         // threads in put() that find no room
  int draining_ = 0;        // threads in wait_until_drained()
  std::size_t frames_ = 0;  // in items_
  gsize bytes_ = 0;         // of them
  bool taken_ = false;      // an item is out and not done()
  GstFlowReturn flow_ = GST_FLOW_OK;
  bool closed_ = false;
};

}  // namespace moondream
