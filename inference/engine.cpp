#include "engine.h"

#include <string>
#include <utility>

#include "caught_error.h"
#include "engine_registry.h"
#include "request_rules.h"
#include "scheduler.h"
#include "worker_pool.h"

namespace moondream {
namespace {

void check_options(const StreamOptions &options) {
  constexpr std::size_t kMostWorkers = 64;
  constexpr std::chrono::microseconds kLongestWindow = std::chrono::seconds(1);
  if (options.max_pending == 0) {
    throw Error(ErrorKind::kSettings, "a stream with max_pending = 0 can take no request");
  }
  if (options.workers > kMostWorkers) {
    throw Error(ErrorKind::kSettings, "workers = " + std::to_string(options.workers) +
                                          " is more than " + std::to_string(kMostWorkers));
  }
  if (options.batch_window.count() < 0 || options.batch_window > kLongestWindow) {
    throw Error(ErrorKind::kSettings,
                "batch_window = " + std::to_string(options.batch_window.count()) +
                    " us is not in [0, " + std::to_string(kLongestWindow.count()) + "]");
  }
}

}  // namespace

// ---- Ticket ----------------------------------------------------------------------------------

struct Ticket::Impl {
  std::shared_ptr<Scheduler> scheduler;
  std::shared_ptr<Submission> submission;
};

void Ticket::cancel() const {
  if (!impl_) return;
  // The callback may drop this ticket.
  const auto impl = impl_;
  impl->scheduler->cancel(impl->submission);
}

// ---- Stream ----------------------------------------------------------------------------------

struct Stream::Impl {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<Scheduler> scheduler;
  std::shared_ptr<StreamQueue> queue;
};

Stream::Stream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Stream::~Stream() { impl_->scheduler->close(impl_->queue); }

Ticket Stream::submit(Request request, Callback callback) {
  check_request(request);
  if (!callback) throw Error(ErrorKind::kSettings, "the request has no callback");
  // A callback may destroy the stream, and so may another thread while this one waits for room.
  auto scheduler = impl_->scheduler;
  const auto queue = impl_->queue;
  auto submission = scheduler->submit(queue, std::move(request), std::move(callback));
  Ticket ticket;
  ticket.impl_ =
      std::make_shared<Ticket::Impl>(Ticket::Impl{std::move(scheduler), std::move(submission)});
  return ticket;
}

void Stream::cancel_all() {
  // A callback may destroy the stream.
  const auto scheduler = impl_->scheduler;
  const auto queue = impl_->queue;
  scheduler->cancel_all(queue);
}

// ---- Engine ----------------------------------------------------------------------------------

struct Engine::Impl {
  explicit Impl(std::shared_ptr<Backend> loaded)
      : backend(std::move(loaded)),
        info(backend->info()),
        workers(suitable_workers(info, available_cores())),
        pool(backend, scheduler, workers) {}

  const std::shared_ptr<Backend> backend;
  const ModelInfo info;
  const WorkerOptions workers;
  const std::shared_ptr<Scheduler> scheduler = std::make_shared<Scheduler>();
  WorkerPool pool;
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Engine::~Engine() = default;

std::shared_ptr<Engine> Engine::acquire(const ModelSpec &spec, std::stop_token cancelled) {
  const auto make = [](std::unique_ptr<Backend> backend) {
    return std::shared_ptr<Engine>(new Engine(std::make_unique<Impl>(std::move(backend))));
  };
  return EngineRegistry::instance().acquire(spec, make, std::move(cancelled));
}

const ModelInfo &Engine::info() const { return impl_->info; }

std::unique_ptr<Stream> Engine::open_stream(const StreamOptions &options) {
  check_options(options);
  StreamOptions own = options;
  if (own.workers == 0) own.workers = impl_->workers.workers;
  std::shared_ptr<StreamMemory> memory;
  try {
    memory = impl_->backend->open_stream();
  } catch (...) {
    throw caught_error("opening a stream");
  }
  auto queue = impl_->scheduler->open(own, std::move(memory));
  // From here on its destructor closes the stream.
  std::unique_ptr<Stream> stream(new Stream(std::make_unique<Stream::Impl>(
      Stream::Impl{shared_from_this(), impl_->scheduler, std::move(queue)})));
  impl_->pool.staff();
  return stream;
}

EngineStats Engine::stats() const {
  EngineStats stats = impl_->scheduler->stats();
  stats.weight_bytes = impl_->info.weight_bytes;
  return stats;
}

}  // namespace moondream
