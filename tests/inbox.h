// Collects what callbacks are given.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "engine.h"
#include "gate.h"

namespace moondream {

// Copies share one content. Thread-safety: safe.
class Inbox {
 public:
  struct Letter {
    Outcome outcome;
    std::thread::id thread;  // that the callback was called on
  };

  // A callback that puts its outcome here; any number of requests may use it.
  Callback callback() const {
    return [content = content_, arrived = arrived_](Outcome outcome) mutable {
      {
        const std::lock_guard lock(content->mutex);
        content->letters.push_back({std::move(outcome), std::this_thread::get_id()});
      }
      arrived.open();
    };
  }

  // Waits for the first `n` outcomes. False: they did not come in time.
  [[nodiscard]] bool wait(std::size_t n = 1) const { return arrived_.wait(n); }

  std::size_t count() const { return arrived_.count(); }

  // The `i`th outcome, for which it waits. Throws std::runtime_error if it does not come.
  Letter letter(std::size_t i = 0) const {
    if (!wait(i + 1)) throw std::runtime_error("no outcome came");
    const std::lock_guard lock(content_->mutex);
    return content_->letters[i];
  }
  Result result(std::size_t i = 0) const { return std::get<Result>(letter(i).outcome); }
  Error error(std::size_t i = 0) const { return std::get<Error>(letter(i).outcome); }

 private:
  struct Content {
    std::mutex mutex;
    std::vector<Letter> letters;  // mutex
  };
  std::shared_ptr<Content> content_ = std::make_shared<Content>();
  Gate arrived_;
};

}  // namespace moondream
