#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <list>
#include <mutex>
#include <stop_token>
#include <vector>

#include "background_thread.h"

namespace moondream {
namespace {

using std::chrono::steady_clock;

// More parts than threads, so that one that comes late or is interrupted has fewer to do.
constexpr std::int64_t kPartsOfAThread = 2;
// How long a thread looks for something to do before it sleeps: the time between two loops of a
// model, and about what being woken takes. Longer would be at the cost of other threads.
constexpr std::chrono::microseconds kLook(20);

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether `found` became true within kLook.
template <typename Found>
bool look(const Found &found) {
  const auto end = steady_clock::now() + kLook;
  do {
    for (int i = 0; i < 32; ++i) {
      if (found()) return true;
      relax();
    }
  } while (steady_clock::now() < end);
  return false;
}

thread_local int threads_of_loops = 1;
thread_local bool in_part = false;

// A loop that runs. Lives in its caller's frame.
struct Loop {
  const std::function<void(std::int64_t, std::int64_t)> &body;
  const std::int64_t end;
  const std::int64_t size;         // of a part
  std::atomic<std::int64_t> next;  // beginning of the first part that nobody has taken
  int room;                        // Helpers::mutex_; threads that may still come
  std::atomic<int> helpers = 0;    // written under Helpers::mutex_; threads that are at it
  std::condition_variable left;    // Helpers::mutex_; helpers became 0
  std::exception_ptr error;        // Helpers::mutex_ while there are helpers

  bool has_parts() const { return next.load(std::memory_order_relaxed) < end; }
};

// Takes parts of a loop until there is none. Returns what one threw.
std::exception_ptr run_parts(Loop &loop) {
  in_part = true;
  std::exception_ptr error;
  try {
    while (loop.has_parts()) {
      const std::int64_t first = loop.next.fetch_add(loop.size, std::memory_order_relaxed);
      if (first >= loop.end) break;
      loop.body(first, std::min(loop.end, first + loop.size));
    }
  } catch (...) {
    error = std::current_exception();
    loop.next.store(loop.end, std::memory_order_relaxed);
  }
  in_part = false;
  return error;
}

// The threads that help with loops.
class Helpers {
 public:
  // Never destroyed: its threads may outlive statics.
  static Helpers &all() {
    static Helpers *const helpers = new Helpers;
    return *helpers;
  }

  void start(int count) {
    const std::lock_guard lock(mutex_);
    while (static_cast<int>(threads_.size()) < count) {
      threads_.emplace_back("moondream-loop", [this](std::stop_token stop) { help(stop); });
    }
  }

  // Until close(), helpers come to it.
  void open(Loop &loop) {
    int wanted;
    {
      const std::lock_guard lock(mutex_);
      loops_.push_back(&loop);
      opened_.fetch_add(1, std::memory_order_relaxed);
      wanted = std::min(loop.room, sleeping_);
    }
    for (; wanted > 0; --wanted) wake_.notify_one();
  }

  // Waits for those that are at it. Nobody takes a part of it afterwards.
  void close(Loop &loop) {
    look([&] { return loop.helpers.load(std::memory_order_relaxed) == 0; });
    std::unique_lock lock(mutex_);
    std::erase(loops_, &loop);
    loop.left.wait(lock, [&] { return loop.helpers.load(std::memory_order_relaxed) == 0; });
  }

 private:
  void help(const std::stop_token &stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      const auto loop = std::find_if(loops_.begin(), loops_.end(), [](const Loop *candidate) {
        return candidate->room > 0 && candidate->has_parts();
      });
      if (loop == loops_.end()) {
        await_loop(lock, stop);
        continue;
      }
      Loop &joined = **loop;
      --joined.room;
      ++joined.helpers;
      lock.unlock();
      const std::exception_ptr error = run_parts(joined);
      lock.lock();
      if (error) joined.error = error;
      if (--joined.helpers == 0) joined.left.notify_one();
    }
  }

  // Returns once a loop was opened since the lock was taken, or stop was requested.
  void await_loop(std::unique_lock<std::mutex> &lock, const std::stop_token &stop) {
    const unsigned known = opened_.load(std::memory_order_relaxed);
    const auto opened = [&] { return opened_.load(std::memory_order_relaxed) != known; };
    lock.unlock();
    look(opened);
    lock.lock();
    ++sleeping_;
    wake_.wait(lock, stop, opened);
    --sleeping_;
  }

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::list<BackgroundThread> threads_;  // mutex_
  std::vector<Loop *> loops_;            // mutex_; in the order of their callers
  std::atomic<unsigned> opened_ = 0;     // written under mutex_; loops so far
  int sleeping_ = 0;                     // mutex_
};

}  // namespace

int loop_threads() { return threads_of_loops; }

void set_loop_threads(int count) {
  if (count > 1) Helpers::all().start(count - 1);
  threads_of_loops = count;
}

void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)> &body) {
  if (begin >= end) return;
  const std::int64_t most = std::max<std::int64_t>(1, (end - begin) / grain);
  const std::int64_t threads = std::min<std::int64_t>(threads_of_loops, most);
  if (threads == 1 || in_part) return body(begin, end);

  const std::int64_t parts = std::min(most, threads * kPartsOfAThread);
  Loop loop{.body = body,
            .end = end,
            .size = (end - begin + parts - 1) / parts,
            .next = begin,
            .room = static_cast<int>(threads) - 1,
            .left = {},
            .error = {}};
  Helpers::all().open(loop);
  const std::exception_ptr error = run_parts(loop);
  Helpers::all().close(loop);
  if (error) std::rethrow_exception(error);
  if (loop.error) std::rethrow_exception(loop.error);
}

}  // namespace moondream
