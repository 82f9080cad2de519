// What tests wait with: something that happens once, or a number that grows.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

namespace moondream {

// No correct test waits this long; a hanging one ends with a message instead.
constexpr std::chrono::seconds kTestPatience(20);

// Copies share one state. Thread-safety: safe.
class Gate {
 public:
  void open() { add(1); }
  void add(std::size_t n) {
    // Whoever waits may destroy this gate as soon as the lock is free.
    const auto state = state_;
    {
      const std::lock_guard lock(state->mutex);
      state->count += n;
    }
    state->grew.notify_all();
  }

  std::size_t count() const {
    const std::lock_guard lock(state_->mutex);
    return state_->count;
  }

  // Waits until open() was called `n` times. False: it was not in time.
  [[nodiscard]] bool wait(std::size_t n = 1, std::chrono::milliseconds time = kTestPatience) const {
    std::unique_lock lock(state_->mutex);
    return state_->grew.wait_for(lock, time, [&] { return state_->count >= n; });
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable grew;
    std::size_t count = 0;  // mutex
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace moondream
