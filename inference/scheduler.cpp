#include "scheduler.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace moondream {
namespace {

using Clock = std::chrono::steady_clock;
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

// How many it may take one after the other.
std::size_t ready_requests(const StreamQueue &queue) {
  const auto not_ready = [](const auto &next) { return next->state != State::kPrepared; };
  const auto end = std::ranges::find_if(queue.ahead, not_ready);
  return static_cast<std::size_t>(std::distance(queue.ahead.begin(), end));
}

// A request of the stream may be ready soon, though none is now.
bool may_join(const StreamQueue &queue, Clock::time_point now) {
  const bool under_way = !queue.waiting.empty() || !queue.ahead.empty();
  const bool may_submit =
      now < queue.active_until && queue.running.size() < queue.options.max_pending;
  return under_way || may_submit;
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

  const Clock::time_point now = Clock::now();
  Submissions finished;
  const char *why = kCancelled;
  {
    std::unique_lock lock(mutex_);
    ++totals_.submitted;
    queue->active_until = now + recent_;
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
      submission->prepared_at = Clock::now();
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
  for (;;) {
    work_.wait(lock, stop, [this] { return can_run() || workers_ > wanted_workers(); });
    if (stop.stop_requested() || !can_run()) {
      --idle_, --workers_;
      return batch;
    }
    const auto latest = latest_start(max);
    if (latest <= Clock::now()) break;
    gathering_ = true;
    work_.wait_until(lock, stop, latest, [&] { return latest_start(max) != latest; });
    gathering_ = false;
  }
  // What is ready is shared with the other idle workers.
  std::size_t ready = 0;
  for (const auto &queue : streams_) ready += ready_requests(*queue);
  const std::size_t share = std::min(max, (ready + idle_ - 1) / idle_);
  --idle_;
  // Each round takes one request of each stream. Served streams go to the end, so a round is
  // bounded by how many there were.
  while (batch.size() < share) {
    auto next = streams_.begin();
    for (std::size_t left = streams_.size(); left > 0 && batch.size() < share; --left) {
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
  }
  ++totals_.batches;
  totals_.batched += batch.size();
  if (can_run()) work_.notify_one();
  return batch;
}

bool Scheduler::hire() {
  const std::lock_guard lock(mutex_);
  if (workers_ >= wanted_workers()) return false;
  ++workers_;
  return true;
}

void Scheduler::dismiss() {
  const std::lock_guard lock(mutex_);
  --workers_;
}

std::size_t Scheduler::workers() const {
  const std::lock_guard lock(mutex_);
  return std::max<std::size_t>(1, workers_);
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
    stats.workers = workers_;
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
      work_.notify_all();  // there may be too many workers now
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

std::size_t Scheduler::wanted_workers() const {
  std::size_t wanted = 0;
  for (const auto &queue : streams_) wanted = std::max(wanted, queue->options.workers);
  return wanted;
}

// When a worker must run what is ready, even if more is to be expected; the past if it need not
// wait at all.
Clock::time_point Scheduler::latest_start(std::size_t max) const {
  const Clock::time_point now = Clock::now();
  Clock::time_point latest = Clock::time_point::max();
  std::size_t ready = 0;
  bool more = false;
  for (const auto &queue : streams_) {
    if (is_ready(*queue)) {
      ready += ready_requests(*queue);
      latest = std::min(latest, queue->ahead.front()->prepared_at + queue->options.batch_window);
    } else {
      more = more || may_join(*queue, now);
    }
  }
  const bool wait = ready > 0 && ready < max && more && idle_ == 1;
  return wait ? latest : Clock::time_point::min();
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
    submission.prepared_at = Clock::now();
  }
  if (!queue.waiting.empty()) pictures_.notify_one();
  // Who gathers wants to know of requests that cannot join any more, too.
  if (is_ready(queue) || gathering_) work_.notify_one();
}

}  // namespace moondream
