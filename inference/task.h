// A coroutine that yields one value: what a skill is written as, so that it reads from top to
// bottom while the decoder runs many of them as one batch.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace moondream {

// Starts when it is first resumed or awaited. Owns its frame: destroying a Task that has not ended
// destroys whatever it awaits with it. Thread-safety: one thread at a time.
template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct promise_type {
    std::optional<T> value;
    std::exception_ptr error;
    std::coroutine_handle<> waiter = std::noop_coroutine();

    struct ReturnToWaiter {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(Handle handle) const noexcept {
        return handle.promise().waiter;
      }
      void await_resume() const noexcept {}
    };

    Task get_return_object() { return Task(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    ReturnToWaiter final_suspend() const noexcept { return {}; }
    void return_value(T result) { value = std::move(result); }
    void unhandled_exception() { error = std::current_exception(); }
  };

  Task(Task &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task &operator=(Task &&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // Runs until the first suspension. Call it once, on a task that nobody awaits.
  void start() { handle_.resume(); }
  bool done() const { return handle_.done(); }

  // The value of a task that is done, or its exception.
  T take() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return std::move(*handle_.promise().value);
  }

  // Awaiting a task runs it to its end.
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
    handle_.promise().waiter = waiter;
    return handle_;
  }
  T await_resume() { return take(); }

 private:
  explicit Task(Handle handle) : handle_(handle) {}

  Handle handle_;
};

}  // namespace moondream
