// What the tests of the engine share.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine.h"
#include "gate.h"
#include "inbox.h"
#include "mock_backend.h"

namespace moondream {

inline Request query(const std::string &question) {
  return {.image = nullptr, .prompts = {QueryPrompt{.question = question}}, .settings = {}};
}

inline Request about_image(std::vector<Prompt> prompts) {
  return {.image = std::make_shared<Image>(Image{2, 1, {1, 2, 3, 4, 5, 6}}),
          .prompts = std::move(prompts),
          .settings = {}};
}

// Requests that have not begun to run.
inline std::size_t queued(const EngineStats &stats) {
  return stats.waiting + stats.preparing + stats.prepared;
}

// The question of a query() and its mock answer.
inline std::string question(const MockModel::Run &run) {
  return std::get<QueryPrompt>(run.prompts.at(0)).question;
}
inline std::string answer(const Result &result) {
  return std::get<QueryResult>(result.prompts.at(0)).answer;
}

// Waits for what no gate tells of.
template <typename Predicate>
[[nodiscard]] bool eventually(Predicate predicate) {
  const auto deadline = std::chrono::steady_clock::now() + kTestPatience;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// How long a test watches that something does not happen: a wrong engine does it at once.
constexpr std::chrono::milliseconds kWatch(50);

// A mock model, and an engine with it.
class EngineTest : public testing::Test {
 protected:
  MockModel model;
  std::shared_ptr<Engine> engine = Engine::acquire({.model = "mock"});
};

}  // namespace moondream
