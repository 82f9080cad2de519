// Process-wide shared models with a worker pool each: the door through which pipelines use the
// library.
//
//   auto engine = Engine::acquire({.model = "moondream2"});
//   auto stream = engine->open_stream({.max_pending = 1, .overflow = Overflow::kReplaceOldest});
//   Ticket ticket = stream->submit(request, [](Outcome outcome) { ... });
//
// Thread-safety: every function here may be called from any thread, callbacks included. No lock is
// held while a backend runs or a callback is called.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "backend.h"
#include "types.h"

namespace moondream {

// Called exactly once for every submitted request: on a thread of the engine with its outcome, or
// with Error{kCancelled} on the thread that cancels or replaces the request. It may come after
// its Stream or Engine is gone, so it must own what it uses. It may release them itself, submit
// and cancel. It must not throw: what it throws is swallowed. It is destroyed once it returned.
using Callback = std::function<void(Outcome outcome)>;

// A handle to one submitted request. Copyable; dropping it does not cancel. A default-constructed
// ticket is of no request.
class Ticket {
 public:
  Ticket() = default;

  // Ends the request with Error{kCancelled}: the callback is called here, at once, even if the
  // backend hangs, unless the request has finished: then it has returned or runs on another
  // thread. A running generation stops within one token or vision block and its outcome is
  // discarded, as what is being prepared is; until then it occupies a thread of the engine, but no
  // longer its stream.
  void cancel() const;

 private:
  friend class Stream;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// What happens to a submission while the stream already has `max_pending` requests.
enum class Overflow {
  // The oldest one that waits or is prepared ends with kCancelled; if all are running, the new one
  // does. A request that an idle worker is about to take counts as running from the moment that its
  // preparation begins: submissions faster than that would have none of them run.
  kReplaceOldest,
  kWait,  // submit() blocks until there is room (a cancel makes room), in order of arrival
};

struct StreamOptions {
  // >= 1, requests of this stream that are not finished, and so its pictures. Cancelled ones that a
  // thread has not let go of yet come on top: one for each thread of the engine and its batch.
  std::size_t max_pending = 1;
  Overflow overflow = Overflow::kReplaceOldest;
  // [0, 64]: batches that the engine runs at the same time, which share the cores. An engine has as
  // many workers as the open stream that asks for most. 0: as many as suit the device, which is one
  // but for CPUs of 16 cores and more.
  std::size_t workers = 0;
  // [0, 1 s]: how long a prepared request of this stream may wait, before a worker that is idle,
  // for other streams' requests to run in one batch with it. Nothing waits unless another stream
  // has a request under way or had one within the last second, nor if a second worker is idle.
  std::chrono::microseconds batch_window{5000};
};

// One source of requests, such as one element. A request waits, is prepared (its picture is made
// and cut up, beside what runs) and runs. A stream's requests do so in the order of submission;
// streams of an engine are served in turn. Destroying it cancels its requests. Keeps its engine
// alive.
class Stream {
 public:
  ~Stream();
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;

  // Queues a request. Throws Error{kSettings} if it has no prompts, or has no image, none to be
  // made and other prompts than queries, or has an image of another size than its pixels or a
  // setting out of range, or if `callback` is empty. `callback` may be called before this returns.
  // Never blocks in a callback on a thread of the engine, which may be the one to make room: there
  // a full kWait stream takes more than its limit.
  Ticket submit(Request request, Callback callback);

  // Cancels all of this stream's requests, as Ticket::cancel() does for one; those that still
  // block their submit() too.
  void cancel_all();

 private:
  friend class Engine;
  struct Impl;
  explicit Stream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What an engine did since it was loaded, what it does now and what it holds. At any time
// `submitted` is the sum of the requests in the other counters and stages.
struct EngineStats {
  // Requests.
  std::uint64_t submitted = 0, completed = 0, failed = 0, cancelled = 0;
  // Requests by stage. One whose submit() blocks is waiting, one without a picture needs no
  // preparing; a cancelled one is in none.
  std::size_t waiting = 0, preparing = 0, prepared = 0, running = 0;
  std::size_t streams = 0;  // open ones
  // Workers, of which the idle ones would run a prepared request at once.
  std::size_t workers = 0, idle_workers = 0;
  // Batches that began to run, and the requests in them.
  std::uint64_t batches = 0, batched = 0;
  // Memory: pictures and what was prepared of them, of the requests in the stages above; what the
  // backend keeps of the open streams; the model's weights.
  std::uint64_t request_bytes = 0, stream_bytes = 0, weight_bytes = 0;
};

class Engine : public std::enable_shared_from_this<Engine> {
 public:
  // Returns the one live engine of this process for `spec`, loading it if there is none.
  // Concurrent callers wait for the same load, and all get its error. The last release of an
  // engine and of its streams frees it. Throws as BackendLoader does; kCancelled if `cancelled`
  // is stopped while waiting: a load that no caller waits for any more is cancelled. What else a
  // loader throws becomes Error{kNoMemory} (std::bad_alloc) or Error{kFailed}.
  static std::shared_ptr<Engine> acquire(const ModelSpec &spec, std::stop_token cancelled = {});

  // Returns soon, even if the backend hangs: the backend is then freed when it returns. Process
  // exit waits for such a backend, but not for ever.
  ~Engine();
  Engine(const Engine &) = delete;
  Engine &operator=(const Engine &) = delete;

  const ModelInfo &info() const;

  // Throws Error{kSettings} if an option is out of range, Error{kFailed} if there is no thread left
  // for a worker, and what the backend throws.
  std::unique_ptr<Stream> open_stream(const StreamOptions &options = {});

  EngineStats stats() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moondream
