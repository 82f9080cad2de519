// What the threads of an engine do next: the queues of its streams and the life of each request in
// them.
//
// A request is blocked (its submit() waits for room), waiting, preparing, prepared, running or
// finished; one without a picture is prepared when its turn comes. Whoever makes it finished, a
// thread of the engine or a canceller, calls its callback: that is how it is called exactly once.
// Requests move between the lists below as list nodes, so that no move can fail.
// It also says how many workers there should be: as many as the open stream that asks for most.
// Thread-safety: every function is safe; callbacks and stop callbacks are called without the lock.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include "backend.h"
#include "engine.h"

namespace moondream {

struct StreamQueue;
struct Submission;
using Submissions = std::list<std::shared_ptr<Submission>>;

// One request on its way.
struct Submission {
  enum class State { kBlocked, kWaiting, kPreparing, kPrepared, kRunning, kFinished };

  // For the thread that took it to prepare or run it; while none has, for who finishes it.
  Request request;
  std::unique_ptr<const Preparation> preparation;  // null: none
  std::shared_ptr<StreamMemory> memory;            // set while it runs, unless null
  // Drops the above. Tickets may be kept long after; pictures need not be.
  void drop();

  Callback callback;  // only for who finishes it
  std::stop_source stop;
  std::shared_ptr<StreamQueue> queue;  // never changes
  bool has_picture = false;            // or will have one; never changes
  // The scheduler's lock protects what follows.
  State state = State::kBlocked;
  bool taken = false;           // by a thread, which drops the request when it is done with it
  Submissions::iterator place;  // in the list of `queue` that `state` names, unless finished
  std::uint64_t bytes = 0;      // of the picture and what was prepared of it
  std::chrono::steady_clock::time_point prepared_at;  // once prepared
};

// The requests of one stream.
struct StreamQueue {
  explicit StreamQueue(const StreamOptions &stream_options) : options(stream_options) {}

  const StreamOptions options;
  // The scheduler's lock protects what follows.
  Submissions blocked, waiting, ahead, running;  // oldest first; ahead: preparing or prepared
  std::shared_ptr<StreamMemory> memory;          // of the backend; null: none, or closed
  bool closed = false;
  std::chrono::steady_clock::time_point active_until;  // when it counts as silent
  std::condition_variable unblocked;                   // requests left `blocked`
};

class Scheduler {
 public:
  // A stream that submitted within the last `recent` is expected to do so again. By default longer
  // than between the samples of a stream that takes one or two a second.
  explicit Scheduler(std::chrono::steady_clock::duration recent = std::chrono::seconds(1))
      : recent_(recent) {}

  // options.workers: of this stream, not 0.
  std::shared_ptr<StreamQueue> open(const StreamOptions &options,
                                    std::shared_ptr<StreamMemory> memory = nullptr);
  // Cancels the stream's requests, the present and the future ones.
  void close(const std::shared_ptr<StreamQueue> &queue);

  // As Stream::submit() of a valid request.
  std::shared_ptr<Submission> submit(const std::shared_ptr<StreamQueue> &queue, Request request,
                                     Callback callback);

  void cancel(const std::shared_ptr<Submission> &submission);
  void cancel_all(const std::shared_ptr<StreamQueue> &queue);

  // These two are only for threads of the engine: from the first call on, submit() does not block
  // on this thread.

  // Waits for a request with a picture and makes it preparing: one that runs next, if no other
  // comes. Null once `stop` is stopped.
  std::shared_ptr<Submission> take_unprepared(std::stop_token stop);
  // Waits for prepared requests and makes them running, `max` at most: the oldest one of each
  // stream that has any, the stream that was served longest ago first, then in the same order the
  // next ones. None overtakes an older one of its stream. Leaves other idle workers their share.
  // May wait for more, as StreamOptions::batch_window says. Empty: the worker has to end, since
  // `stop` is stopped or there are too many; then it counts as a worker no more.
  std::vector<std::shared_ptr<Submission>> take(std::size_t max, std::stop_token stop);

  // Counts one more worker if there are too few. False: there are enough.
  bool hire();
  // Takes back a hire().
  void dismiss();
  // At least 1.
  std::size_t workers() const;

  // Gives back what take_unprepared() gave. That of a cancelled request is dropped.
  void prepared(const std::shared_ptr<Submission> &submission);
  // Ends what one of these gave. The outcome of a request that was cancelled meanwhile is dropped.
  void finish(const std::shared_ptr<Submission> &submission, Outcome outcome);

  EngineStats stats() const;

 private:
  void end_all(const std::shared_ptr<StreamQueue> &queue, bool close);
  // These need the lock.
  void retire(Submission &submission, Submissions &from, Submissions &finished);
  void retire_all(Submissions &from, Submissions &finished);
  Submissions *replaceable(StreamQueue &queue) const;
  StreamQueue *next_to_prepare() const;
  bool can_run() const;
  std::size_t wanted_workers() const;
  std::chrono::steady_clock::time_point latest_start(std::size_t max) const;
  void advance(StreamQueue &queue);

  const std::chrono::steady_clock::duration recent_;
  mutable std::mutex mutex_;
  // mutex_ protects what follows.
  std::list<std::shared_ptr<StreamQueue>> streams_;  // the next to serve first
  std::size_t workers_ = 0;                          // hired, and not told to end
  std::size_t idle_ = 0;                             // of them, in take()
  bool gathering_ = false;                           // the idle one waits for a larger batch
  std::condition_variable_any pictures_;             // next_to_prepare() may have become one
  std::condition_variable_any work_;                 // what take() waits for may have changed
  EngineStats totals_;  // the counters; the other members are counted when asked for
};

}  // namespace moondream
