// The threads of an engine: those that prepare the pictures of requests, and the workers that run
// requests on the backend.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

#include "backend.h"
#include "background_thread.h"
#include "scheduler.h"

namespace moondream {

struct WorkerOptions {
  // Of a stream that leaves it to the engine.
  std::size_t workers = 1;
  // Requests of one Backend::run().
  std::size_t max_batch = 1;
  // Of the CPU, divided among the workers.
  std::size_t cores = 1;
};

// What suits a model on its device, with so many cores. Thread-safety: safe.
WorkerOptions suitable_workers(const ModelInfo &info, std::size_t cores);

// That this process may use. Thread-safety: safe.
std::size_t available_cores();

// Thread-safety: safe.
class WorkerPool {
 public:
  // Starts the threads that prepare. Throws Error{kFailed} if there is no thread left.
  WorkerPool(std::shared_ptr<Backend> backend, std::shared_ptr<Scheduler> scheduler,
             const WorkerOptions &options);

  // Starts the workers that the scheduler's streams ask for and that are not there yet; to be
  // called when a stream was opened. Those that no stream asks for any more end by themselves once
  // idle. Throws Error{kFailed} if there is no thread left.
  void staff();

  // Stops the threads. Waits a moment for them, then leaves those whose backend, make_image or
  // callback does not return; these share the backend and the scheduler until it does. May be
  // called on one of them; no other function may run then.
  ~WorkerPool();
  WorkerPool(const WorkerPool &) = delete;
  WorkerPool &operator=(const WorkerPool &) = delete;

 private:
  const std::shared_ptr<Backend> backend_;  // so that it is freed here, unless a thread is left
  const std::shared_ptr<Scheduler> scheduler_;
  const WorkerOptions options_;
  std::mutex mutex_;
  std::list<BackgroundThread> threads_;  // mutex_; ended ones may linger
};

}  // namespace moondream
