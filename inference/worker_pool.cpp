#include "worker_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "caught_error.h"
#include "request_rules.h"

namespace moondream {
namespace {

// Enough for a worker to leave the block of the model that it is in; unnoticed by who stops a
// pipeline.
constexpr std::chrono::milliseconds kPatience(100);

// Threads that prepare pictures. One keeps up: a picture takes it milliseconds, and a backend many
// times that. The second is for the pictures of all other streams while one takes long.
constexpr std::size_t kPreparers = 2;

using Batch = std::vector<std::shared_ptr<Submission>>;

// One outcome for each job, whatever the backend does.
std::vector<Outcome> run(Backend &backend, std::span<const Job> jobs, int threads) {
  try {
    std::vector<Outcome> outcomes = backend.run(jobs, threads);
    if (outcomes.size() != jobs.size()) {
      throw Error(ErrorKind::kFailed, "the backend returned " + std::to_string(outcomes.size()) +
                                          " outcomes for " + std::to_string(jobs.size()) +
                                          " requests");
    }
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      const Result *result = std::get_if<Result>(&outcomes[i]);
      if (!result) continue;
      const std::string text = mistake(*result, *jobs[i].request);
      if (!text.empty()) {
        outcomes[i] = Error(ErrorKind::kFailed, "the backend returned a wrong result: " + text);
      }
    }
    return outcomes;
  } catch (...) {
    return std::vector<Outcome>(jobs.size(), caught_error("inference failed"));
  }
}

std::vector<Outcome> run(Backend &backend, const Batch &batch, std::size_t threads,
                         std::stop_token stop) {
  std::vector<Job> jobs;
  jobs.reserve(batch.size());
  for (const auto &submission : batch) {
    const Request &request = submission->request;
    jobs.push_back({.request = &request,
                    .image = request.image.get(),
                    .preparation = submission->preparation.get(),
                    .memory = submission->memory.get(),
                    .cancelled = submission->stop.get_token()});
  }
  // A process that exits does not cancel its requests, it only stops this thread.
  const std::stop_callback stop_jobs(stop, [&batch] {
    for (const auto &submission : batch) submission->stop.request_stop();
  });
  return run(backend, jobs, static_cast<int>(threads));
}

void make_image(Submission &submission) {
  Request &request = submission.request;
  if (request.image) {
    request.make_image = nullptr;
    return;
  }
  try {
    // It dies with this statement, and so does what it owns, such as a frame of video.
    request.image = std::exchange(request.make_image, nullptr)();
  } catch (...) {
    throw caught_error("making the picture");
  }
  if (!request.image) {
    throw Error(ErrorKind::kFailed, "making the picture: there is none");
  }
  check_image(*request.image);
}

void prepare(Backend &backend, Submission &submission) {
  make_image(submission);
  if (submission.stop.stop_requested()) return;
  try {
    submission.preparation = backend.prepare(submission.request, *submission.request.image);
  } catch (...) {
    throw caught_error("preparing the picture");
  }
}

void prepare_all(Backend &backend, Scheduler &scheduler, std::stop_token stop) {
  for (bool first = true;; first = false) {
    const auto submission = scheduler.take_unprepared(stop);
    if (!submission) return;
    std::optional<Error> error;
    try {
      prepare(backend, *submission);
    } catch (...) {
      error = caught_error("preparing");
    }
    // Libraries make statics, such as thread pools, when they are first used.
    if (first) await_background_threads_at_exit();
    if (error) {
      scheduler.finish(submission, *error);
    } else {
      scheduler.prepared(submission);
    }
  }
}

void run_all(Backend &backend, Scheduler &scheduler, const WorkerOptions &options,
             std::stop_token stop) {
  for (bool first = true;; first = false) {
    const Batch batch = scheduler.take(options.max_batch, stop);
    if (batch.empty()) return;
    // Told anew each time, since workers come and go.
    const std::size_t threads = std::max<std::size_t>(1, options.cores / scheduler.workers());
    std::vector<Outcome> outcomes = run(backend, batch, threads, stop);
    if (first) await_background_threads_at_exit();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      scheduler.finish(batch[i], std::move(outcomes[i]));
    }
  }
}

}  // namespace

WorkerOptions suitable_workers(const ModelInfo &info, std::size_t cores) {
  if (info.device == "cpu") {
    // A text is decoded by many small products that wait for memory: past about eight cores, a
    // second batch gains more than more threads for the first. Four requests share one reading of
    // the weights for each token; their pictures still take four times the arithmetic, so that
    // larger batches would mostly keep the first result waiting.
    return {.workers = std::max<std::size_t>(1, cores / 8), .max_batch = 4, .cores = cores};
  }
  // One batch has the whole device, which is the better used the larger it is; what bounds it is
  // the memory for its pictures.
  return {.workers = 1, .max_batch = 16, .cores = cores};
}

std::size_t available_cores() {
  // std::thread::hardware_concurrency() counts those that this process is kept from, too.
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

WorkerPool::WorkerPool(std::shared_ptr<Backend> backend, std::shared_ptr<Scheduler> scheduler,
                       const WorkerOptions &options)
    : backend_(std::move(backend)), scheduler_(std::move(scheduler)), options_(options) {
  for (std::size_t i = 0; i < kPreparers; ++i) {
    threads_.emplace_back("moondream-prep",
                          [backend = backend_, scheduler = scheduler_](std::stop_token stop) {
                            prepare_all(*backend, *scheduler, std::move(stop));
                          });
  }
}

void WorkerPool::staff() {
  const std::lock_guard lock(mutex_);
  const auto has_ended = [now = std::chrono::steady_clock::now()](const BackgroundThread &thread) {
    return thread.wait_until(now);
  };
  threads_.remove_if(has_ended);
  while (scheduler_->hire()) {
    try {
      threads_.emplace_back("moondream", [backend = backend_, scheduler = scheduler_,
                                          options = options_](std::stop_token stop) {
        run_all(*backend, *scheduler, options, std::move(stop));
      });
    } catch (...) {
      scheduler_->dismiss();
      throw;
    }
  }
}

WorkerPool::~WorkerPool() {
  for (BackgroundThread &thread : threads_) thread.request_stop();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (const BackgroundThread &thread : threads_) thread.wait_until(deadline);
}

}  // namespace moondream
