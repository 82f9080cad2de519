#include "worker_pool.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "caught_error.h"

namespace moondream {
namespace {

// Enough for a worker to leave the block of the model that it is in; unnoticed by who stops a
// pipeline.
constexpr std::chrono::milliseconds kPatience(150);

using Batch = std::vector<std::shared_ptr<Submission>>;

// What is wrong with a result, as text; empty if nothing is.
std::string mistake(const Result &result, const Request &request) {
  const std::size_t count = request.prompts.size();
  if (result.prompts.size() != count) {
    return std::to_string(result.prompts.size()) + " results for " + std::to_string(count) +
           " prompts";
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (result.prompts[i].index() != request.prompts[i].index()) {
      return "the result of prompt " + std::to_string(i) + " is of another kind than the prompt";
    }
  }
  return {};
}

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

std::vector<Outcome> run(Backend &backend, const Batch &batch, std::stop_token stop) {
  std::vector<Job> jobs;
  jobs.reserve(batch.size());
  for (const auto &submission : batch) {
    const Request &request = submission->request;
    jobs.push_back({.request = &request,
                    .image = request.image.get(),
                    .cancelled = submission->stop.get_token()});
  }
  // A process that exits does not cancel its requests, it only stops this thread.
  const std::stop_callback stop_jobs(stop, [&batch] {
    for (const auto &submission : batch) submission->stop.request_stop();
  });
  return run(backend, jobs, static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
}

void work(Backend &backend, Scheduler &scheduler, std::size_t max_batch, std::stop_token stop) {
  for (bool first = true;; first = false) {
    const Batch batch = scheduler.take(max_batch, stop);
    if (batch.empty()) return;
    std::vector<Outcome> outcomes = run(backend, batch, stop);
    // Libraries make statics, such as thread pools, when they are first used.
    if (first) await_background_threads_at_exit();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      scheduler.finish(batch[i], std::move(outcomes[i]));
    }
  }
}

}  // namespace

WorkerPool::WorkerPool(std::shared_ptr<Backend> backend, std::shared_ptr<Scheduler> scheduler,
                       const WorkerOptions &options)
    : backend_(std::move(backend)) {
  workers_.reserve(options.workers);
  for (std::size_t i = 0; i < options.workers; ++i) {
    workers_.emplace_back("moondream", [backend = backend_, scheduler,
                                        max_batch = options.max_batch](std::stop_token stop) {
      work(*backend, *scheduler, max_batch, std::move(stop));
    });
  }
}

WorkerPool::~WorkerPool() {
  for (BackgroundThread &worker : workers_) worker.request_stop();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (const BackgroundThread &worker : workers_) worker.wait_until(deadline);
}

}  // namespace moondream
