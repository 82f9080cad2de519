#include "scheduler.h"

#include <utility>
#include <variant>

namespace moondream {
namespace {

using State = Submission::State;

// Set on worker threads. A worker that waited for room in submit(), called from a callback, might
// wait for itself.
thread_local bool is_worker = false;

void call(Submission &submission, Outcome outcome) {
  const Callback callback = std::exchange(submission.callback, nullptr);
  try {
    callback(std::move(outcome));
  } catch (...) {
    // It promised not to. The request is finished all the same, and nobody is left to be told.
  }
}

// Ends requests that the caller retired. Those that run are all told to stop before any callback
// takes its time.
void call_cancelled(const Submissions &finished, const char *why) {
  for (const auto &submission : finished) submission->stop.request_stop();
  for (const auto &submission : finished) {
    // A ticket may be kept long after; the picture need not be.
    if (!submission->taken) submission->request = {};
    call(*submission, Error(ErrorKind::kCancelled, why));
  }
}

constexpr char kCancelled[] = "the request was cancelled";
constexpr char kReplaced[] = "a newer request replaced this one";
constexpr char kAllRunning[] = "all requests that the stream may have are running already";

Submissions &list_of(Submission &submission) {
  StreamQueue &queue = *submission.queue;
  if (submission.state == State::kBlocked) return queue.blocked;
  return submission.state == State::kWaiting ? queue.waiting : queue.running;
}

bool has_room(const StreamQueue &queue) {
  return queue.waiting.size() + queue.running.size() < queue.options.max_pending;
}

}  // namespace

std::shared_ptr<StreamQueue> Scheduler::open(const StreamOptions &options) {
  auto queue = std::make_shared<StreamQueue>(options);
  const std::lock_guard lock(mutex_);
  // Behind the others, which have waited longer.
  streams_.push_back(queue);
  return queue;
}

void Scheduler::close(const std::shared_ptr<StreamQueue> &queue) { end_all(queue, true); }

std::shared_ptr<Submission> Scheduler::submit(const std::shared_ptr<StreamQueue> &queue,
                                              Request request, Callback callback) {
  auto submission = std::make_shared<Submission>();
  submission->request = std::move(request);
  submission->callback = std::move(callback);
  submission->queue = queue;
  Submissions entering{submission};
  submission->place = entering.begin();

  Submissions finished;
  const char *why = kCancelled;
  {
    std::unique_lock lock(mutex_);
    ++totals_.submitted;
    if (queue->closed) {
      retire(*submission, entering, finished);
    } else if (queue->options.overflow == Overflow::kReplaceOldest && !has_room(*queue)) {
      const bool all_run = queue->waiting.empty();
      why = all_run ? kAllRunning : kReplaced;
      Submissions &from = all_run ? entering : queue->waiting;
      retire(*from.front(), from, finished);
    }
    totals_.cancelled += finished.size();
    queue->blocked.splice(queue->blocked.end(), entering);
    admit(*queue);
    if (!is_worker) {
      queue->unblocked.wait(lock, [&] { return submission->state != State::kBlocked; });
    }
  }
  call_cancelled(finished, why);
  return submission;
}

void Scheduler::cancel(const std::shared_ptr<Submission> &submission) {
  Submissions finished;
  {
    const std::lock_guard lock(mutex_);
    if (submission->state == State::kFinished) return;
    retire(*submission, list_of(*submission), finished);
    ++totals_.cancelled;
    admit(*submission->queue);
  }
  call_cancelled(finished, kCancelled);
}

void Scheduler::cancel_all(const std::shared_ptr<StreamQueue> &queue) { end_all(queue, false); }

std::vector<std::shared_ptr<Submission>> Scheduler::take(std::size_t max, std::stop_token stop) {
  is_worker = true;
  std::vector<std::shared_ptr<Submission>> batch;
  batch.reserve(max);
  std::unique_lock lock(mutex_);
  work_.wait(lock, stop, [this] { return waiting_ > 0; });
  if (stop.stop_requested()) return batch;
  // Served streams go to the end, so the loop is bounded by how many there were.
  auto next = streams_.begin();
  for (std::size_t left = streams_.size(); left > 0 && batch.size() < max; --left) {
    const auto stream = next++;
    StreamQueue &queue = **stream;
    if (queue.waiting.empty()) continue;
    const auto &submission = batch.emplace_back(queue.waiting.front());
    queue.running.splice(queue.running.end(), queue.waiting, submission->place);
    submission->state = State::kRunning;
    submission->taken = true;
    --waiting_;
    streams_.splice(streams_.end(), streams_, stream);
  }
  return batch;
}

void Scheduler::finish(const std::shared_ptr<Submission> &submission, Outcome outcome) {
  submission->request = {};
  Submissions finished;
  {
    const std::lock_guard lock(mutex_);
    if (submission->state == State::kFinished) return;
    retire(*submission, list_of(*submission), finished);
    const Error *error = std::get_if<Error>(&outcome);
    if (!error) {
      ++totals_.completed;
    } else if (error->kind() == ErrorKind::kCancelled) {
      ++totals_.cancelled;
    } else {
      ++totals_.failed;
    }
    // Before the callback, which may submit the stream's next request.
    admit(*submission->queue);
  }
  call(*submission, std::move(outcome));
}

EngineStats Scheduler::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = totals_;
  stats.streams = streams_.size();
  for (const auto &queue : streams_) {
    stats.waiting += queue->blocked.size() + queue->waiting.size();
    stats.running += queue->running.size();
  }
  return stats;
}

void Scheduler::end_all(const std::shared_ptr<StreamQueue> &queue, bool close) {
  Submissions finished;
  {
    const std::lock_guard lock(mutex_);
    if (close) {
      queue->closed = true;
      streams_.remove(queue);
    }
    retire_all(queue->running, finished);
    retire_all(queue->waiting, finished);
    retire_all(queue->blocked, finished);
    totals_.cancelled += finished.size();
    admit(*queue);
  }
  call_cancelled(finished, kCancelled);
}

void Scheduler::retire(Submission &submission, Submissions &from, Submissions &finished) {
  finished.splice(finished.end(), from, submission.place);
  if (submission.state == State::kWaiting) --waiting_;
  submission.state = State::kFinished;
}

void Scheduler::retire_all(Submissions &from, Submissions &finished) {
  while (!from.empty()) retire(*from.front(), from, finished);
}

void Scheduler::admit(StreamQueue &queue) {
  while (!queue.blocked.empty() && has_room(queue)) {
    Submission &submission = *queue.blocked.front();
    queue.waiting.splice(queue.waiting.end(), queue.blocked, submission.place);
    submission.state = State::kWaiting;
    ++waiting_;
    work_.notify_one();
  }
  queue.unblocked.notify_all();
}

}  // namespace moondream
