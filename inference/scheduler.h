// Which request runs next: the queues of an engine's streams and the life of each request in them.
//
// A request is blocked (its submit() waits for room), waiting, running or finished. Whoever makes
// it finished, a worker or a canceller, calls its callback: that is how it is called exactly once.
// Requests move between the lists below as list nodes, so that no move can fail.
// Thread-safety: every function is safe; callbacks and stop callbacks are called without the lock.
#pragma once

#include <condition_variable>
#include <cstddef>
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
  enum class State { kBlocked, kWaiting, kRunning, kFinished };

  Request request;    // read by the worker that took it, else only by who finishes it
  Callback callback;  // only for who finishes it
  std::stop_source stop;
  std::shared_ptr<StreamQueue> queue;  // never changes
  // The scheduler's lock protects what follows.
  State state = State::kBlocked;
  bool taken = false;           // by a worker, which drops `request` when its backend is done
  Submissions::iterator place;  // in the list of `queue` that `state` names, unless finished
};

// The requests of one stream.
struct StreamQueue {
  explicit StreamQueue(const StreamOptions &stream_options) : options(stream_options) {}

  const StreamOptions options;
  // The scheduler's lock protects what follows.
  Submissions blocked, waiting, running;  // oldest first
  bool closed = false;
  std::condition_variable unblocked;  // requests left `blocked`
};

class Scheduler {
 public:
  std::shared_ptr<StreamQueue> open(const StreamOptions &options);
  // Cancels the stream's requests, the present and the future ones.
  void close(const std::shared_ptr<StreamQueue> &queue);

  // As Stream::submit() of a valid request.
  std::shared_ptr<Submission> submit(const std::shared_ptr<StreamQueue> &queue, Request request,
                                     Callback callback);

  void cancel(const std::shared_ptr<Submission> &submission);
  void cancel_all(const std::shared_ptr<StreamQueue> &queue);

  // Waits for requests and makes them running: the oldest waiting one of each stream that has any,
  // `max` at most, the stream that was served longest ago first. Empty once `stop` is stopped.
  // Only for workers: from the first call on, submit() does not block on this thread.
  std::vector<std::shared_ptr<Submission>> take(std::size_t max, std::stop_token stop);

  // Ends what take() gave. The outcome of a request that was cancelled meanwhile is dropped.
  void finish(const std::shared_ptr<Submission> &submission, Outcome outcome);

  EngineStats stats() const;

 private:
  void end_all(const std::shared_ptr<StreamQueue> &queue, bool close);
  // These need the lock.
  void retire(Submission &submission, Submissions &from, Submissions &finished);
  void retire_all(Submissions &from, Submissions &finished);
  void admit(StreamQueue &queue);

  mutable std::mutex mutex_;
  // mutex_ protects what follows.
  std::list<std::shared_ptr<StreamQueue>> streams_;  // the next to serve first
  std::size_t waiting_ = 0;                          // in all streams, without the blocked ones
  std::condition_variable_any work_;                 // waiting_ grew
  EngineStats totals_;  // the four counters; the other members are counted when asked for
};

}  // namespace moondream
