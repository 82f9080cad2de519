#include "background_thread.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "types.h"

namespace moondream {

using std::chrono::steady_clock;

struct BackgroundThread::State {
  std::stop_source stop;
  std::shared_future<void> ended;  // set once, before the thread starts
};

namespace {

struct Threads {
  std::mutex mutex;
  std::vector<std::shared_ptr<BackgroundThread::State>> started;  // mutex; ended ones may linger
};

// Never destroyed: threads and exit handlers come to it while statics are being destroyed.
Threads &threads() {
  static Threads *const all = new Threads;
  return *all;
}

thread_local const BackgroundThread::State *current = nullptr;

bool has_ended(const std::shared_ptr<BackgroundThread::State> &state) {
  return state->ended.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

bool await(const BackgroundThread::State &state, steady_clock::time_point deadline) {
  return &state != current && state.ended.wait_until(deadline) == std::future_status::ready;
}

// Tells that a thread has ended when it is destroyed.
struct Farewell {
  mutable std::promise<void> ended;
  ~Farewell() { ended.set_value(); }
};

// Long enough for a model to notice between two blocks of its slowest stage, short enough for a
// person who waits for a prompt.
constexpr std::chrono::seconds kExitPatience(5);

// A forked child has none of its parent's threads and nothing to wait for.
pid_t threads_process() {
  static const pid_t process = getpid();
  return process;
}

void await_at_exit() {
  if (getpid() != threads_process()) return;
  // One deadline for all registrations of this handler.
  static const auto deadline = steady_clock::now() + kExitPatience;
  stop_background_threads(deadline);
}

}  // namespace

BackgroundThread::BackgroundThread(const char *name, Body body)
    : state_(std::make_shared<State>()) {
  await_background_threads_at_exit();
  std::promise<void> ended;
  state_->ended = ended.get_future().share();
  {
    const std::lock_guard lock(threads().mutex);
    std::erase_if(threads().started, has_ended);
    threads().started.push_back(state_);
  }
  try {
    std::thread([state = state_, body = std::move(body), ended = std::move(ended),
                 name = std::string(name)]() mutable {
      // The first thread-local object to be made is the last to be destroyed. (Not by
      // set_value_at_thread_exit(): libstdc++ gives that up when process exit begins.)
      thread_local const Farewell farewell{std::move(ended)};
      current = state.get();
      pthread_setname_np(pthread_self(), name.c_str());
      body(state->stop.get_token());
      body = nullptr;
    }).detach();
  } catch (const std::system_error &error) {
    const std::lock_guard lock(threads().mutex);
    std::erase(threads().started, state_);
    throw Error(ErrorKind::kFailed, std::string("cannot start a thread: ") + error.what());
  }
}

BackgroundThread::~BackgroundThread() {
  if (state_) request_stop();
}

void BackgroundThread::request_stop() { state_->stop.request_stop(); }

bool BackgroundThread::wait_until(steady_clock::time_point deadline) const {
  return await(*state_, deadline);
}

bool stop_background_threads(steady_clock::time_point deadline) {
  std::vector<std::shared_ptr<BackgroundThread::State>> started;
  {
    const std::lock_guard lock(threads().mutex);
    started = threads().started;
  }
  for (const auto &state : started) {
    if (state.get() != current) state->stop.request_stop();
  }
  bool all = true;
  for (const auto &state : started) {
    if (state.get() != current) all = await(*state, deadline) && all;
  }
  return all;
}

void await_background_threads_at_exit() {
  // Exit handlers cannot be given back. A process that loads models for years must not collect
  // them, and it is the first uses of a library that make its statics.
  constexpr int kMost = 16;
  static std::atomic<int> registered = 0;
  if (registered >= kMost) return;
  ++registered;
  threads_process();
  std::atexit(await_at_exit);
}

}  // namespace moondream
