// A scripted model for tests of what uses an Engine.
//
//   MockModel model;                          // Engine::acquire() now gives this
//   model.next(after(10ms, answers()));       // script of the first request
//   model.always(hangs_until_cancelled());    // and of all others
//
// Thread-safety: every function is safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend.h"
#include "gate.h"
#include "types.h"

namespace moondream {

// What the mock does with one job: returns its outcome, or throws. Of a result, the request's
// on_text is then given each text as one piece.
using Behaviour = std::function<Outcome(const Job &job)>;

// One result of the right kind for each prompt: the texts "a mock caption" and "mock answer: "
// before the question, one box (0.25, 0.25, 0.75, 0.75) of score 0.9, one point (0.5, 0.25) of
// score 0.8, a gaze at (0.5, 0.5), of each such box from (0.5, 0.4), a
// triangle in such a box.
Result mock_result(const Request &request);

Behaviour answers();  // with mock_result()
Behaviour answers(Result result);
Behaviour fails(ErrorKind kind, const std::string &text);
// What a broken model could say, for the prompts of each request:
Behaviour answers_garbage_text();                // bytes that are no UTF-8, NUL among them
Behaviour answers_broken_boxes();                // NaN, infinite, negative, inverted, out of range
Behaviour answers_many_boxes(std::size_t many);  // boxes or points

// Waits first; ends with kCancelled as soon as the job is cancelled.
Behaviour after(std::chrono::milliseconds delay, Behaviour behaviour);
Behaviour hangs_until_cancelled();
// Ignores that the job is cancelled.
Behaviour hangs_until(Gate gate, Behaviour behaviour = answers());

// Throws it out of Backend::run(), whatever type it is of.
template <typename T>
Behaviour throws(T what) {
  return [what = std::move(what)](const Job &) -> Outcome { throw what; };
}

// What Preparation::bytes() and StreamMemory::bytes() of the mock are.
constexpr std::uint64_t kMockPreparationBytes = 1000, kMockMemoryBytes = 100;

// While it lives, Engine::acquire() loads backends that follow its script. Backends may outlive it.
class MockModel {
 public:
  // What a job was, noted when it began.
  struct Run {
    std::vector<Prompt> prompts;
    GenerationSettings settings;
    std::weak_ptr<const Image> image;  // expired: none
    bool prepared = false;             // by prepare(), of this request's image
    StreamMemory *memory = nullptr;    // to compare, not to use
    int threads = 0;
  };

  MockModel();
  ~MockModel();
  MockModel(const MockModel &) = delete;
  MockModel &operator=(const MockModel &) = delete;

  // Scripts one more job, the first that has no script yet.
  void next(Behaviour behaviour);
  // Scripts all jobs that next() does not. Initially answers().
  void always(Behaviour behaviour);
  // Replaces Backend::prepare() for all requests. May block, throw and return null. Initially it
  // makes a preparation of kMockPreparationBytes.
  void on_prepare(
      std::function<std::unique_ptr<const Preparation>(const Request &, const Image &)> prepare);
  // Called by each Backend::open_stream() before it makes a memory of kMockMemoryBytes. May throw.
  void on_open_stream(std::function<void()> open);
  // Replaces Backend::run() as a whole.
  void on_batch(std::function<std::vector<Outcome>(std::span<const Job>)> run);
  // Called by each load before it makes its backend. May block or throw.
  void on_load(std::function<void(const ModelSpec &spec, std::stop_token cancelled)> load);

  std::vector<Run> runs() const;
  Gate preparing() const;  // counts the calls of Backend::prepare()
  Gate started() const;    // counts the jobs that began
  Gate ended() const;      // counts the jobs that ended
  Gate loading() const;    // counts the loads that began
  Gate freed() const;      // counts the backends that were destroyed
  // Backends, preparations and streams' memories that exist. A backend that is freed before one of
  // the others aborts the program.
  std::size_t alive() const;
  std::size_t preparations() const;
  std::size_t memories() const;

 private:
  struct Script;
  class MockBackend;
  std::shared_ptr<Script> script_;  // shared with the backends
  BackendLoader previous_;
};

}  // namespace moondream
