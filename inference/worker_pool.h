// The threads that run an engine's requests on its backend.
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

  // Stops the workers. Waits a moment for them, then leaves those whose backend or callback does
  // not return; these share the backend and the scheduler until it does. May be called on a worker.
  ~WorkerPool();
  WorkerPool(const WorkerPool &) = delete;
  WorkerPool &operator=(const WorkerPool &) = delete;

 private:
  std::shared_ptr<Backend> backend_;  // so that it is freed here, unless a worker is left
  std::vector<BackgroundThread> workers_;
};

}  // namespace moondream
