#include "scheduler.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace moondream {
namespace {

using State = Submission::State;

// Set on the threads that prepare and run requests. One that waited for room in submit(), called
// from a callback, might wait for itself.
thread_local bool is_engine_thread = false;

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
    if (!submission->taken) submission->drop();
    call(*submission, Error(ErrorKind::kCancelled, why));
  }
}

constexpr char kCancelled[] = "the request was cancelled";
constexpr char kReplaced[] = "a newer request replaced this one";
constexpr char kAllRunning[] = "all requests that the stream may have are running already";

Submissions &list_of(Submission &submission) {
  StreamQueue &queue = *submission.queue;
  if (submission.state == State::kBlocked) return queue.blocked;
  if (submission.state == State::kWaiting) return queue.waiting;
  return submission.state == State::kRunning ? queue.running : queue.ahead;
}

bool has_room(const StreamQueue &queue) {
  return queue.waiting.size() + queue.ahead.size() + queue.running.size() <
         queue.options.max_pending;
}

// A worker may take the stream's next request.
bool is_ready(const StreamQueue &queue) {
  return !queue.ahead.empty() && queue.ahead.front()->state == State::kPrepared;
}

std::uint64_t picture_bytes(const Request &request) {
  return request.image ? request.image->pixels.size() : 0;
}

}  // namespace

void Submission::drop() {
  request = {};
  preparation = nullptr;
  memory = nullptr;
}

std::shared_ptr<StreamQueue> Scheduler::open(const StreamOptions &options,
                                             std::shared_ptr<StreamMemory> memory) {
  auto queue = std::make_shared<StreamQueue>(options);
  queue->memory = std::move(memory);
  const std::lock_guard lock(mutex_);
  // Behind the others, which have waited longer.
  streams_.push_back(queue);
  return queue;
}

void Scheduler::close(const std::shared_ptr<StreamQueue> &queue) { end_all(queue, true); }

std::shared_ptr<Submission> Scheduler::submit(const std::shared_ptr<StreamQueue> &queue,
                                              Request request, Callback callback) {
  auto submission = std::make_shared<Submission>();
  submission->has_picture = request.image || request.make_image;
  submission->bytes = picture_bytes(request);
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
      Submissions *const oldest = replaceable(*queue);
      why = oldest ? kReplaced : kAllRunning;
      Submissions &from = oldest ? *oldest : entering;
      retire(*from.front(), from, finished);
    }
    totals_.cancelled += finished.size();
    queue->blocked.splice(queue->blocked.end(), entering);
    advance(*queue);
    if (!is_engine_thread) {
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
    advance(*submission->queue);
  }
  call_cancelled(finished, kCancelled);
}

void Scheduler::cancel_all(const std::shared_ptr<StreamQueue> &queue) { end_all(queue, false); }

std::shared_ptr<Submission> Scheduler::take_unprepared(std::stop_token stop) {
  is_engine_thread = true;
  std::unique_lock lock(mutex_);
  pictures_.wait(lock, stop, [this] { return next_to_prepare() != nullptr; });
  if (stop.stop_requested()) return nullptr;
  StreamQueue &queue = *next_to_prepare();
  const std::shared_ptr<Submission> submission = queue.waiting.front();
  queue.ahead.splice(queue.ahead.end(), queue.waiting, submission->place);
  submission->state = State::kPreparing;
  submission->taken = true;
  advance(queue);
  return submission;
}

void Scheduler::prepared(const std::shared_ptr<Submission> &submission) {
  const std::uint64_t bytes =
      picture_bytes(submission->request) +
      (submission->preparation ? submission->preparation->bytes() : std::uint64_t{0});
  {
    const std::lock_guard lock(mutex_);
    if (submission->state != State::kFinished) {
      submission->state = State::kPrepared;
      submission->taken = false;
      submission->bytes = bytes;
      work_.notify_one();
      return;
    }
  }
  submission->drop();
}

std::vector<std::shared_ptr<Submission>> Scheduler::take(std::size_t max, std::stop_token stop) {
  is_engine_thread = true;
  std::vector<std::shared_ptr<Submission>> batch;
  batch.reserve(max);
  std::unique_lock lock(mutex_);
  ++idle_;
  work_.wait(lock, stop, [this] { return can_run(); });
  --idle_;
  if (stop.stop_requested()) return batch;
  // Served streams go to the end, so the loop is bounded by how many there were.
  auto next = streams_.begin();
  for (std::size_t left = streams_.size(); left > 0 && batch.size() < max; --left) {
    const auto stream = next++;
    StreamQueue &queue = **stream;
    if (!is_ready(queue)) continue;
    const auto &submission = batch.emplace_back(queue.ahead.front());
    queue.running.splice(queue.running.end(), queue.ahead, submission->place);
    submission->state = State::kRunning;
    submission->taken = true;
    submission->memory = queue.memory;
    streams_.splice(streams_.end(), streams_, stream);
  }
  if (can_run()) work_.notify_one();
  return batch;
}

void Scheduler::finish(const std::shared_ptr<Submission> &submission, Outcome outcome) {
  submission->drop();
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
    advance(*submission->queue);
  }
  call(*submission, std::move(outcome));
}

EngineStats Scheduler::stats() const {
  EngineStats stats;
  std::vector<std::shared_ptr<StreamMemory>> memories;
  {
    const std::lock_guard lock(mutex_);
    stats = totals_;
    stats.streams = streams_.size();
    stats.idle_workers = idle_;
    for (const auto &queue : streams_) {
      if (queue->memory) memories.push_back(queue->memory);
      stats.waiting += queue->blocked.size() + queue->waiting.size();
      stats.running += queue->running.size();
      for (const auto &submission : queue->ahead) {
        ++(submission->state == State::kPreparing ? stats.preparing : stats.prepared);
      }
      for (const Submissions *list :
           {&queue->blocked, &queue->waiting, &queue->ahead, &queue->running}) {
        for (const auto &submission : *list) stats.request_bytes += submission->bytes;
      }
    }
  }
  // A memory may have to wait for what runs.
  for (const auto &memory : memories) stats.stream_bytes += memory->bytes();
  return stats;
}

void Scheduler::end_all(const std::shared_ptr<StreamQueue> &queue, bool close) {
  Submissions finished;
  std::shared_ptr<StreamMemory> memory;  // freed without the lock
  {
    const std::lock_guard lock(mutex_);
    if (close) {
      queue->closed = true;
      memory = std::move(queue->memory);
      streams_.remove(queue);
    }
    retire_all(queue->running, finished);
    retire_all(queue->ahead, finished);
    retire_all(queue->waiting, finished);
    retire_all(queue->blocked, finished);
    totals_.cancelled += finished.size();
    advance(*queue);
  }
  call_cancelled(finished, kCancelled);
}

void Scheduler::retire(Submission &submission, Submissions &from, Submissions &finished) {
  finished.splice(finished.end(), from, submission.place);
  submission.state = State::kFinished;
}

void Scheduler::retire_all(Submissions &from, Submissions &finished) {
  while (!from.empty()) retire(*from.front(), from, finished);
}

// The list whose first request a new one replaces; null: none. What an idle worker is about to take
// runs, in effect.
Submissions *Scheduler::replaceable(StreamQueue &queue) const {
  if (idle_ == 0 && !queue.ahead.empty()) return &queue.ahead;
  return queue.waiting.empty() ? nullptr : &queue.waiting;
}

// The stream whose next picture a worker would take first.
StreamQueue *Scheduler::next_to_prepare() const {
  StreamQueue *best = nullptr;
  for (const auto &queue : streams_) {
    if (queue->waiting.empty()) continue;
    if (!best || queue->ahead.size() < best->ahead.size()) best = queue.get();
  }
  return best;
}

bool Scheduler::can_run() const {
  return std::ranges::any_of(streams_, [](const auto &queue) { return is_ready(*queue); });
}

// Moves the stream's requests on as far as no thread has to do anything for it. Called whenever one
// entered or left a list.
void Scheduler::advance(StreamQueue &queue) {
  while (!queue.blocked.empty() && has_room(queue)) {
    Submission &submission = *queue.blocked.front();
    queue.waiting.splice(queue.waiting.end(), queue.blocked, submission.place);
    submission.state = State::kWaiting;
  }
  queue.unblocked.notify_all();
  while (!queue.waiting.empty() && !queue.waiting.front()->has_picture) {
    Submission &submission = *queue.waiting.front();
    queue.ahead.splice(queue.ahead.end(), queue.waiting, submission.place);
    submission.state = State::kPrepared;
  }
  if (!queue.waiting.empty()) pictures_.notify_one();
  if (is_ready(queue)) work_.notify_one();
}

}  // namespace moondream
