#include "mock_backend.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <iostream>
#include <limits>
#include <mutex>

#include "caught_error.h"
#include "request_rules.h"

namespace moondream {
namespace {

template <typename... T>
struct Overloaded : T... {
  using T::operator()...;
};
template <typename... T>
Overloaded(T...) -> Overloaded<T...>;

// A result whose texts are `text` and whose detect and point prompts found `boxes`.
Result result_with(const Request &request, const std::string &text,
                   const std::vector<ScoredBox> &boxes) {
  std::vector<ScoredPoint> points;
  for (const ScoredBox &box : boxes) points.push_back({{box.box.x_max, box.box.y_min}, box.score});
  Result result;
  for (const Prompt &prompt : request.prompts) {
    result.prompts.push_back(
        std::visit(Overloaded{
                       [&](const CaptionPrompt &) -> PromptResult { return CaptionResult{text}; },
                       [&](const QueryPrompt &) -> PromptResult {
                         return QueryResult{text, {}};
                       },
                       [&](const DetectPrompt &) -> PromptResult { return DetectResult{boxes}; },
                       [&](const PointPrompt &) -> PromptResult { return PointResult{points}; },
                       [&](const FaceGazePrompt &) -> PromptResult {
                         FaceGazeResult gazes;
                         for (const ScoredBox &face : boxes) {
                           gazes.faces.push_back({face, {0.5, 0.4}, Point{0.5, 0.5}});
                         }
                         return gazes;
                       },
                       [&](const GazePrompt &) -> PromptResult {
                         return GazeResult{Point{0.5, 0.5}};
                       },
                       [&](const SegmentPrompt &) -> PromptResult {
                         return SegmentResult{Box{0.25, 0.25, 0.75, 0.75}, "M 0 0 L 1 0 L 1 1 Z"};
                       },
                   },
                   prompt));
  }
  return result;
}

// Waits for `delay`; true: the job was cancelled before.
bool cancelled_within(const Job &job, std::chrono::milliseconds delay) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, job.cancelled, delay, [] { return false; });
  return job.cancelled.stop_requested();
}

// Each text of a result as one piece, to who listens.
void pass_on_texts(const Request &request, Outcome &outcome) {
  const Result *result = std::get_if<Result>(&outcome);
  if (!result || !request.on_text) return;
  try {
    for (TextPiece &piece : whole_texts(result->prompts)) request.on_text(std::move(piece));
  } catch (...) {
    outcome = caught_error("passing on a text");
  }
}

Error cancelled() { return Error(ErrorKind::kCancelled, "the mock noticed that it is cancelled"); }

}  // namespace

Result mock_result(const Request &request) {
  Result result =
      result_with(request, "a mock caption", {{.box = {0.25, 0.25, 0.75, 0.75}, .score = 0.9}});
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    if (const auto *query = std::get_if<QueryPrompt>(&request.prompts[i])) {
      result.prompts[i] = QueryResult{"mock answer: " + query->question, {}};
    } else if (std::holds_alternative<PointPrompt>(request.prompts[i])) {
      result.prompts[i] = PointResult{{{.point = {0.5, 0.25}, .score = 0.8}}};
    }
  }
  return result;
}

Behaviour answers() {
  return [](const Job &job) -> Outcome { return mock_result(*job.request); };
}

Behaviour answers(Result result) {
  return [result = std::move(result)](const Job &) -> Outcome { return result; };
}

Behaviour fails(ErrorKind kind, const std::string &text) {
  return [error = Error(kind, text)](const Job &) -> Outcome { return error; };
}

Behaviour answers_garbage_text() {
  // A lone continuation byte, a cut sequence, an overlong one, a surrogate, NUL, no such byte.
  using namespace std::string_literals;
  const std::string text = "a\x80\xe2\x82 \xc0\xaf \xed\xa0\x80 \0 \xff<b>&amp;"s;
  return [text](const Job &job) -> Outcome { return result_with(*job.request, text, {}); };
}

Behaviour answers_broken_boxes() {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<ScoredBox> boxes = {
      {{kNan, kNan, kNan, kNan}, kNan},
      {{0.1, kNan, 0.9, 0.9}, 0.5},
      {{-kInfinity, -kInfinity, kInfinity, kInfinity}, kInfinity},
      {{-0.5, -0.25, 1.5, 1.25}, 2},   // around the picture
      {{0.75, 0.75, 0.25, 0.25}, -1},  // inverted
      {{0.5, 0.5, 0.5, 0.5}, 0},       // empty
      {{7, 7, 8, 8}, 0.5},             // beside the picture
      {{-1e300, 0, 1e300, 1}, 0.5},    // pixels that no integer holds
  };
  return [boxes](const Job &job) -> Outcome { return result_with(*job.request, "", boxes); };
}

Behaviour answers_many_boxes(std::size_t many) {
  std::vector<ScoredBox> boxes;
  for (std::size_t i = 0; i < many; ++i) {
    const double at = static_cast<double>(i) / static_cast<double>(many);
    boxes.push_back({{at / 2, at / 3, at / 2 + 0.5, at / 3 + 0.5}, 1 - at});
  }
  return [boxes](const Job &job) -> Outcome { return result_with(*job.request, "many", boxes); };
}

Behaviour after(std::chrono::milliseconds delay, Behaviour behaviour) {
  return [delay, behaviour = std::move(behaviour)](const Job &job) -> Outcome {
    if (cancelled_within(job, delay)) return cancelled();
    return behaviour(job);
  };
}

Behaviour hangs_until_cancelled() { return after(kTestPatience, throws(0)); }

Behaviour hangs_until(Gate gate, Behaviour behaviour) {
  return [gate = std::move(gate), behaviour = std::move(behaviour)](const Job &job) -> Outcome {
    if (!gate.wait()) throw 0;
    return behaviour(job);
  };
}

// ---- MockModel -------------------------------------------------------------------------------

namespace {

using Counter = std::shared_ptr<std::atomic<std::size_t>>;

// Counts its own life: for all backends of a script, and for the one that made its owner.
class Life {
 public:
  Life(Counter all, Counter own) : all_(std::move(all)), own_(std::move(own)) { ++*all_, ++*own_; }
  ~Life() { --*all_, --*own_; }
  Life(const Life &) = delete;
  Life &operator=(const Life &) = delete;

 private:
  const Counter all_, own_;
};

struct MockPreparation : Preparation {
  MockPreparation(const Image *of, Counter all, Counter own)
      : image(of), life(std::move(all), std::move(own)) {}
  std::uint64_t bytes() const override { return kMockPreparationBytes; }

  const Image *image;
  Life life;
};

struct MockMemory : StreamMemory {
  MockMemory(Counter all, Counter own) : life(std::move(all), std::move(own)) {}
  std::uint64_t bytes() const override { return kMockMemoryBytes; }

  Life life;
};

}  // namespace

struct MockModel::Script {
  mutable std::mutex mutex;
  // mutex protects what follows.
  std::deque<Behaviour> next;
  Behaviour always = answers();
  std::function<std::vector<Outcome>(std::span<const Job>)> batch;
  std::function<void(const ModelSpec &, std::stop_token)> load;
  std::function<std::unique_ptr<const Preparation>(const Request &, const Image &)> prepare;
  std::function<void()> open_stream;
  std::vector<Run> runs;
  std::size_t made = 0;
  // Safe by themselves.
  Gate preparing, started, ended, loading, freed;
  const Counter preparations = std::make_shared<Counter::element_type>(0);
  const Counter memories = std::make_shared<Counter::element_type>(0);

  Behaviour begin(const Job &job, int threads) {
    const auto *own = dynamic_cast<const MockPreparation *>(job.preparation);
    const std::lock_guard lock(mutex);
    runs.push_back({job.request->prompts, job.request->settings, job.request->image,
                    own && own->image == job.image, job.memory, threads});
    if (next.empty()) return always;
    Behaviour first = std::move(next.front());
    next.pop_front();
    return first;
  }
};

class MockModel::MockBackend : public Backend {
 public:
  MockBackend(const ModelSpec &spec, std::shared_ptr<Script> script)
      : name_(std::filesystem::path(spec.model).filename().string()), script_(std::move(script)) {}
  ~MockBackend() override {
    if (*made_ != 0) {
      std::cerr << "a backend was freed before what it made" << std::endl;
      std::abort();
    }
    script_->freed.open();
  }

  ModelInfo info() const override { return {name_, "mock", "float32", 1234}; }

  std::shared_ptr<StreamMemory> open_stream() override {
    const auto open = [&] {
      const std::lock_guard lock(script_->mutex);
      return script_->open_stream;
    }();
    if (open) open();
    return std::make_shared<MockMemory>(script_->memories, made_);
  }

  std::unique_ptr<const Preparation> prepare(const Request &request, const Image &image) override {
    const auto prepare = [&] {
      const std::lock_guard lock(script_->mutex);
      return script_->prepare;
    }();
    script_->preparing.open();
    if (prepare) return prepare(request, image);
    return std::make_unique<MockPreparation>(&image, script_->preparations, made_);
  }

  std::vector<Outcome> run(std::span<const Job> jobs, int threads) override {
    struct Ended {
      Gate gate;
      std::size_t jobs;
      ~Ended() { gate.add(jobs); }
    } const ended{script_->ended, jobs.size()};

    const auto batch = [&] {
      const std::lock_guard lock(script_->mutex);
      return script_->batch;
    }();
    std::vector<Behaviour> behaviours;
    for (const Job &job : jobs) behaviours.push_back(script_->begin(job, threads));
    script_->started.add(jobs.size());
    if (batch) return batch(jobs);
    std::vector<Outcome> outcomes;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      outcomes.push_back(behaviours[i](jobs[i]));
      pass_on_texts(*jobs[i].request, outcomes.back());
    }
    return outcomes;
  }

 private:
  std::string name_;
  std::shared_ptr<Script> script_;
  const Counter made_ = std::make_shared<Counter::element_type>(0);  // that is not freed yet
};

MockModel::MockModel() : script_(std::make_shared<Script>()) {
  previous_ = set_backend_loader([script = script_](const ModelSpec &spec, std::stop_token stop) {
    const auto load = [&] {
      const std::lock_guard lock(script->mutex);
      return script->load;
    }();
    script->loading.open();
    if (load) load(spec, stop);
    {
      const std::lock_guard lock(script->mutex);
      ++script->made;
    }
    return std::make_unique<MockBackend>(spec, script);
  });
}

MockModel::~MockModel() { set_backend_loader(std::move(previous_)); }

void MockModel::next(Behaviour behaviour) {
  const std::lock_guard lock(script_->mutex);
  script_->next.push_back(std::move(behaviour));
}

void MockModel::always(Behaviour behaviour) {
  const std::lock_guard lock(script_->mutex);
  script_->always = std::move(behaviour);
}

void MockModel::on_batch(std::function<std::vector<Outcome>(std::span<const Job>)> run) {
  const std::lock_guard lock(script_->mutex);
  script_->batch = std::move(run);
}

void MockModel::on_load(std::function<void(const ModelSpec &, std::stop_token)> load) {
  const std::lock_guard lock(script_->mutex);
  script_->load = std::move(load);
}

void MockModel::on_prepare(
    std::function<std::unique_ptr<const Preparation>(const Request &, const Image &)> prepare) {
  const std::lock_guard lock(script_->mutex);
  script_->prepare = std::move(prepare);
}

void MockModel::on_open_stream(std::function<void()> open) {
  const std::lock_guard lock(script_->mutex);
  script_->open_stream = std::move(open);
}

std::vector<MockModel::Run> MockModel::runs() const {
  const std::lock_guard lock(script_->mutex);
  return script_->runs;
}

Gate MockModel::preparing() const { return script_->preparing; }
Gate MockModel::started() const { return script_->started; }
Gate MockModel::ended() const { return script_->ended; }
Gate MockModel::loading() const { return script_->loading; }
Gate MockModel::freed() const { return script_->freed; }

std::size_t MockModel::alive() const {
  const std::lock_guard lock(script_->mutex);
  return script_->made - script_->freed.count();
}

std::size_t MockModel::preparations() const { return *script_->preparations; }
std::size_t MockModel::memories() const { return *script_->memories; }

}  // namespace moondream
