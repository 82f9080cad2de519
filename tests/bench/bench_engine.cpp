// What the engine itself costs, with a mock for a model.
//
//   build/tests/bench/engine
//
// round_trip: from submit() to the callback of a model that answers at once. picture: one is made
//             and prepared on the way.              items: requests
// batches:    streams that always have a request, on a model that takes 5 ms for a batch however
//             large it is; batch: requests of each. items: requests
// cancel:     from Ticket::cancel() to its return, callback included, with a model that ignores it;
//             p50, p99 and most in microseconds.    items: requests
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "engine.h"
#include "inbox.h"
#include "mock_backend.h"

namespace moondream::bench {
namespace {

using Clock = std::chrono::steady_clock;

Request query() { return {.prompts = {QueryPrompt{.question = "?"}}}; }

void round_trip(benchmark::State &state) {
  const MockModel model;
  const auto stream = Engine::acquire({.model = "mock"})->open_stream();
  const auto image = std::make_shared<Image>(Image{1, 1, {1, 2, 3}});
  std::int64_t answers = 0;
  for (auto _ : state) {
    Request request = query();
    if (state.range(0)) request.make_image = [image] { return image; };
    Inbox inbox;
    stream->submit(std::move(request), inbox.callback());
    if (!inbox.result().prompts.empty()) ++answers;
  }
  if (answers != state.iterations()) throw std::runtime_error("a request got no answer");
  state.SetItemsProcessed(state.iterations());
}

// Submits the next request when one is answered, until told to stop.
class User : public std::enable_shared_from_this<User> {
 public:
  User(Engine &engine, std::chrono::microseconds window)
      : stream_(engine.open_stream({.max_pending = 2, .batch_window = window})) {}

  void submit() {
    if (stopped_) return;
    // Callbacks keep it alive.
    stream_->submit(query(), [self = shared_from_this()](const Outcome &) { self->submit(); });
  }
  void stop() {
    stopped_ = true;
    stream_->cancel_all();
  }

 private:
  std::atomic<bool> stopped_ = false;
  const std::unique_ptr<Stream> stream_;
};

void batches(benchmark::State &state) {
  MockModel model;
  model.on_batch([](std::span<const Job> jobs) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::vector<Outcome> outcomes;
    for (const Job &job : jobs) outcomes.push_back(mock_result(*job.request));
    return outcomes;
  });
  const auto engine = Engine::acquire({.model = "mock"});
  std::vector<std::shared_ptr<User>> users;
  for (int i = 0; i < state.range(0); ++i) {
    users.push_back(std::make_shared<User>(*engine, std::chrono::microseconds(state.range(1))));
    users.back()->submit();
  }
  const EngineStats before = engine->stats();
  for (auto _ : state) std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const EngineStats after = engine->stats();
  for (const auto &user : users) user->stop();
  const auto requests = static_cast<double>(after.batched - before.batched);
  state.SetItemsProcessed(static_cast<std::int64_t>(after.completed - before.completed));
  state.counters["batch"] = requests / static_cast<double>(after.batches - before.batches);
}

void cancel(benchmark::State &state) {
  MockModel model;
  std::vector<double> took;
  for (auto _ : state) {
    Gate hang;
    model.next(hangs_until(hang));
    const auto engine = Engine::acquire({.model = "mock"});
    const auto stream = engine->open_stream();
    const std::size_t begun = model.started().count();
    Inbox inbox;
    const Ticket ticket = stream->submit(query(), inbox.callback());
    if (!model.started().wait(begun + 1)) throw std::runtime_error("the request does not run");
    const auto start = Clock::now();
    ticket.cancel();
    const std::chrono::duration<double> seconds = Clock::now() - start;
    if (inbox.count() != 1) throw std::runtime_error("the request is not cancelled");
    state.SetIterationTime(seconds.count());
    took.push_back(seconds.count() * 1e6);
    hang.open();
  }
  std::ranges::sort(took);
  state.SetItemsProcessed(state.iterations());
  state.counters["p50"] = took[took.size() / 2];
  state.counters["p99"] = took[took.size() * 99 / 100];
  state.counters["most"] = took.back();
}

BENCHMARK(round_trip)->ArgName("picture")->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(batches)
    ->ArgNames({"streams", "window_us"})
    ->ArgsProduct({{1, 2, 4, 8}, {0, 5000}})
    ->Iterations(4)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(cancel)->Iterations(2000)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace moondream::bench

BENCHMARK_MAIN();
