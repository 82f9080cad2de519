// Everything at once, from many threads, many times: no request may be lost, answered twice or
// left behind, and nothing may be freed early, twice or never. Run it under ThreadSanitizer.

#include <atomic>
#include <barrier>
#include <mutex>
#include <random>
#include <stdexcept>

#include "engine_test.h"

namespace moondream {
namespace {

constexpr std::size_t kThreads = 6;

struct Counts {
  std::atomic<std::uint64_t> submitted = 0, called = 0;
};

// A callback that must be called once, wherever that is.
Callback counted(Counts &counts) {
  return [&counts, calls = std::make_shared<std::atomic<int>>(0)](const Outcome &) {
    if (++*calls == 1) ++counts.called;
    EXPECT_EQ(*calls, 1);
  };
}

// Random behaviour of a model, mostly quick.
Behaviour moody(unsigned seed) {
  auto random = std::make_shared<std::mt19937>(seed);
  auto mutex = std::make_shared<std::mutex>();
  return [random, mutex](const Job &job) -> Outcome {
    const unsigned mood = [&] {
      const std::lock_guard lock(*mutex);
      return (*random)() % 16;
    }();
    if (mood == 0) throw 1;
    if (mood == 1) throw std::runtime_error("moody");
    if (mood == 2) return Error(ErrorKind::kFailed, "moody");
    if (mood == 3) return Result{};
    if (mood < 6) return after(std::chrono::milliseconds(1), answers())(job);
    return mock_result(*job.request);
  };
}

// One thread's life: streams of shared engines opened, used, cancelled and dropped.
void live(unsigned seed, std::size_t steps, Counts &counts) {
  std::mt19937 random(seed);
  const auto chance = [&](unsigned one_in) { return random() % one_in == 0; };
  std::shared_ptr<Engine> engine;
  std::unique_ptr<Stream> stream;
  std::vector<Ticket> tickets;
  for (std::size_t step = 0; step < steps; ++step) {
    if (!engine || chance(20)) {
      std::stop_source stop;
      const std::jthread canceller([&, cancel = chance(4)] {
        if (cancel) stop.request_stop();
      });
      try {
        engine = Engine::acquire({.model = chance(2) ? "a" : "b"}, stop.get_token());
      } catch (const Error &error) {
        EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
        continue;
      }
    }
    if (!stream || chance(10)) {
      stream =
          engine->open_stream({.max_pending = 1 + random() % 3,
                               .overflow = chance(2) ? Overflow::kWait : Overflow::kReplaceOldest});
    }
    ++counts.submitted;
    tickets.push_back(stream->submit(query("?"), counted(counts)));
    if (chance(3)) tickets[random() % tickets.size()].cancel();
    if (chance(15)) stream->cancel_all();
    if (chance(25)) engine.reset();
    if (chance(25)) stream.reset();
    const EngineStats stats = stream && engine ? engine->stats() : EngineStats{};
    EXPECT_EQ(stats.submitted,
              stats.completed + stats.failed + stats.cancelled + queued(stats) + stats.running);
  }
}

TEST(EngineStorm, ThreadsThatShareEnginesLoseNoRequestAndNoBackend) {
  MockModel model;
  model.always(moody(1));
  Counts counts;
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&counts, i] { live(100 + i, 400, counts); });
    }
  }
  // A worker may still be in a callback that its stream's destruction did not wait for.
  EXPECT_TRUE(eventually([&] { return counts.called == counts.submitted; }));
  EXPECT_TRUE(eventually([&] { return model.alive() == 0; }));
}

// Cancelling, answering, replacing and destroying race for one request.
TEST(EngineStorm, EveryRequestIsAnsweredOnceWhoeverIsFirst) {
  MockModel model;
  Counts counts;
  const auto engine = Engine::acquire({.model = "mock"});
  for (unsigned round = 0; round < 300; ++round) {
    auto stream = engine->open_stream({.max_pending = 2});
    ++counts.submitted;
    const Ticket ticket = stream->submit(query("?"), counted(counts));
    std::barrier start(3);
    const std::jthread canceller([&] {
      start.arrive_and_wait();
      ticket.cancel();
    });
    const std::jthread second([&] {
      start.arrive_and_wait();
      ticket.cancel();
    });
    start.arrive_and_wait();
    if (round % 2 == 0) stream->cancel_all();
    stream.reset();
  }
  EXPECT_TRUE(eventually([&] { return counts.called == counts.submitted; }));
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.submitted, 300u);
  EXPECT_EQ(stats.completed + stats.cancelled, 300u);
}

// The last release on one thread meets the next acquire on another.
TEST(EngineStorm, AcquireAndReleaseMeetWithoutHarm) {
  MockModel model;
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([] {
        for (int round = 0; round < 100; ++round) {
          const auto engine = Engine::acquire({.model = "mock"});
          EXPECT_EQ(engine->info().name, "mock");
        }
      });
    }
  }
  EXPECT_EQ(model.alive(), 0u);
}

}  // namespace
}  // namespace moondream
