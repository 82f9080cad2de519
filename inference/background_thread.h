// A thread that its owner can leave behind, since it may be inside a call that does not return.
//
// Process exit stops every such thread and waits for it (5 s at most, all together), so that none
// runs in libraries whose statics are being destroyed.
// Thread-safety: each handle is used by one thread at a time; the functions below it are safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>

namespace moondream {

class BackgroundThread {
 public:
  using Body = std::function<void(std::stop_token stop)>;

  // Runs `body`, which must not throw, on a new thread called `name` (at most 15 characters).
  // Throws Error{kFailed} if the system has no thread left.
  BackgroundThread(const char *name, Body body);
  BackgroundThread(BackgroundThread &&) = default;
  BackgroundThread &operator=(BackgroundThread &&) = delete;

  // Asks the thread to stop and leaves it; does not wait.
  ~BackgroundThread();

  // Stops the body's token.
  void request_stop();

  // Waits until the thread has ended, with its body, what that owned and the thread-local objects
  // that it made, or until `deadline`. False: not yet; so at once on the thread itself.
  bool wait_until(std::chrono::steady_clock::time_point deadline) const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

// Stops all background threads of the process and waits for them, except the calling one, until
// `deadline`. False: one has not ended by then.
bool stop_background_threads(std::chrono::steady_clock::time_point deadline);

// Has process exit wait for the background threads before it destroys any static that exists now.
// Starting a thread does this too; a thread does it again once what it uses made its own statics.
void await_background_threads_at_exit();

}  // namespace moondream
