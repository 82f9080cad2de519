// The threads of an engine: those that prepare the pictures of requests, and the workers that run
// requests on the backend.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "backend.h"
#include "background_thread.h"
#include "scheduler.h"

namespace moondream {

struct WorkerOptions {
  // A backend's stages use all cores already: a second worker would only share them.
  std::size_t workers = 1;
  // Requests of one Backend::run(), each of another stream.
  std::size_t max_batch = 1;
};

class WorkerPool {
 public:
  // Throws Error{kFailed} if there is no thread left.
  WorkerPool(std::shared_ptr<Backend> backend, std::shared_ptr<Scheduler> scheduler,
             const WorkerOptions &options = {});

  // Stops the threads. Waits a moment for them, then leaves those whose backend, make_image or
  // callback does not return; these share the backend and the scheduler until it does. May be
  // called on one of them.
  ~WorkerPool();
  WorkerPool(const WorkerPool &) = delete;
  WorkerPool &operator=(const WorkerPool &) = delete;

 private:
  std::shared_ptr<Backend> backend_;  // so that it is freed here, unless a thread is left
  std::vector<BackgroundThread> threads_;
};

}  // namespace moondream
