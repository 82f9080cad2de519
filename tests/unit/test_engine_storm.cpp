// Everything at once, from many threads, many times: no request may be lost, answered twice or
// left behind, and nothing may be freed early, twice or never. Run it under ThreadSanitizer.

#include <algorithm>
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

// A request, half of them with a picture that is still to be made, quickly, slowly or not at all.
Request moody_request(std::mt19937 &random) {
  Request request = query("?");
  const unsigned mood = random() % 16;
  if (mood >= 8) return request;
  request.make_image = [mood]() -> std::shared_ptr<const Image> {
    if (mood == 0) throw 1;
    if (mood == 1) throw Error(ErrorKind::kFailed, "moody");
    if (mood == 2) return nullptr;
    if (mood == 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return std::make_shared<Image>(Image{1, 1, {1, 2, 3}});
  };
  return request;
}

// Mostly makes nothing; sometimes slowly, sometimes throws.
std::unique_ptr<const Preparation> moody_preparation(const Request &, const Image &) {
  static std::atomic<unsigned> calls = 0;
  const unsigned mood = calls++ % 8;
  if (mood == 0) throw std::runtime_error("moody");
  if (mood == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return nullptr;
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
                               .overflow = chance(2) ? Overflow::kWait : Overflow::kReplaceOldest,
                               .workers = random() % 5,
                               .batch_window = std::chrono::microseconds(random() % 2000)});
    }
    ++counts.submitted;
    tickets.push_back(stream->submit(moody_request(random), counted(counts)));
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
  model.on_prepare(moody_preparation);
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

// As many elements do, each with a stream of its own.
TEST(EngineStorm, SixteenUsersLoadOnceAndGetTheirOwnAnswers) {
  MockModel model;
  constexpr std::size_t kUsers = 16, kEach = 40;
  // Nobody leaves before all have come.
  std::barrier all(kUsers);
  {
    std::vector<std::jthread> users;
    for (std::size_t user = 0; user < kUsers; ++user) {
      users.emplace_back([&all, user] {
        const auto engine = Engine::acquire({.model = "mock"});
        all.arrive_and_wait();
        const auto stream = engine->open_stream(
            {.max_pending = 4, .overflow = Overflow::kWait, .workers = 1 + user % 4});
        Inbox inbox;
        std::vector<std::string> expected, got;
        for (std::size_t i = 0; i < kEach; ++i) {
          const std::string text = std::to_string(user) + "." + std::to_string(i);
          expected.push_back("mock answer: " + text);
          Request request = query(text);
          request.make_image = [] { return std::make_shared<Image>(Image{1, 1, {1, 2, 3}}); };
          stream->submit(std::move(request), inbox.callback());
        }
        for (std::size_t i = 0; i < kEach; ++i) got.push_back(answer(inbox.result(i)));
        // Several workers may end in another order than they begin.
        std::ranges::sort(expected);
        std::ranges::sort(got);
        EXPECT_EQ(got, expected);
      });
    }
  }
  EXPECT_EQ(model.loading().count(), 1u);
  EXPECT_EQ(model.started().count(), kUsers * kEach);
  EXPECT_EQ(model.alive(), 0u);
  EXPECT_EQ(model.preparations(), 0u);
  EXPECT_EQ(model.memories(), 0u);
}

// A backend, a maker and a preparation that never come back must not keep anyone else from leaving.
TEST(EngineStorm, UsersLeaveAnEngineWhoseThreadsAllHang) {
  MockModel model;
  Gate hang, called;
  model.always(hangs_until(hang));
  model.on_prepare([hang](const Request &, const Image &) -> std::unique_ptr<const Preparation> {
    if (!hang.wait()) throw 0;
    return nullptr;
  });
  constexpr std::size_t kUsers = 8;
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> users;
    for (std::size_t user = 0; user < kUsers; ++user) {
      users.emplace_back([&, user] {
        const auto engine = Engine::acquire({.model = "mock"});
        const auto stream = engine->open_stream({.max_pending = 3, .workers = 1 + user % 4});
        Request made = query("made");
        made.make_image = [hang]() -> std::shared_ptr<const Image> {
          if (!hang.wait()) throw 0;
          return nullptr;
        };
        const auto count = [called](const Outcome &) mutable { called.open(); };
        for (Request request : {query("runs"), made, about_image({CaptionPrompt{}})}) {
          stream->submit(std::move(request), count);
        }
      });
    }
  }
  // Far above the 100 ms that each engine gives its threads, however many were loaded one after the
  // other; far below the time that the threads hang.
  EXPECT_LT(std::chrono::steady_clock::now() - start, kTestPatience / 2);
  EXPECT_EQ(called.count(), 3 * kUsers);
  hang.open();
  EXPECT_TRUE(eventually([&] { return model.alive() == 0; }));
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
