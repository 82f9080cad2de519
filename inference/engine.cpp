#include "engine.h"

#include <utility>

#include "caught_error.h"
#include "engine_registry.h"
#include "request_rules.h"
#include "scheduler.h"
#include "worker_pool.h"

namespace moondream {

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
  ModelInfo info;
  std::shared_ptr<Backend> backend;
  std::shared_ptr<Scheduler> scheduler;
  WorkerPool pool;
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Engine::~Engine() = default;

std::shared_ptr<Engine> Engine::acquire(const ModelSpec &spec, std::stop_token cancelled) {
  const auto make = [](std::unique_ptr<Backend> loaded) {
    const std::shared_ptr<Backend> backend = std::move(loaded);
    const auto scheduler = std::make_shared<Scheduler>();
    std::unique_ptr<Impl> impl(
        new Impl{backend->info(), backend, scheduler, WorkerPool(backend, scheduler)});
    return std::shared_ptr<Engine>(new Engine(std::move(impl)));
  };
  return EngineRegistry::instance().acquire(spec, make, std::move(cancelled));
}

const ModelInfo &Engine::info() const { return impl_->info; }

std::unique_ptr<Stream> Engine::open_stream(const StreamOptions &options) {
  if (options.max_pending == 0) {
    throw Error(ErrorKind::kSettings, "a stream with max_pending = 0 can take no request");
  }
  std::shared_ptr<StreamMemory> memory;
  try {
    memory = impl_->backend->open_stream();
  } catch (...) {
    throw caught_error("opening a stream");
  }
  auto queue = impl_->scheduler->open(options, std::move(memory));
  return std::unique_ptr<Stream>(new Stream(std::make_unique<Stream::Impl>(
      Stream::Impl{shared_from_this(), impl_->scheduler, std::move(queue)})));
}

EngineStats Engine::stats() const {
  EngineStats stats = impl_->scheduler->stats();
  stats.weight_bytes = impl_->info.weight_bytes;
  return stats;
}

}  // namespace moondream
