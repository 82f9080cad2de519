// Ends a test program that hangs, with words.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace moondream {

// Thread-safety: one thread calls begin().
class Watchdog {
 public:
  explicit Watchdog(std::chrono::seconds patience) : patience_(patience) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
  }

  // From now on this is what is done. The program aborts if it is not followed by something else
  // in time.
  void begin(std::string what) {
    {
      const std::lock_guard lock(mutex_);
      what_ = std::move(what);
      ++steps_;
    }
    changed_.notify_all();
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (!over_) {
      const auto step = steps_;
      if (changed_.wait_for(lock, patience_, [&] { return over_ || steps_ != step; })) continue;
      std::fprintf(stderr, "hangs: %s\n", what_.c_str());
      std::abort();
    }
  }

  const std::chrono::seconds patience_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string what_ = "the beginning";  // mutex_, and what follows
  std::size_t steps_ = 0;
  bool over_ = false;
  std::jthread thread_{[this] { watch(); }};
};

}  // namespace moondream
