// How the requests of streams wait, take turns and make room, and how streams and engines end.

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "engine_test.h"

namespace moondream {
namespace {

class EngineStreams : public EngineTest {
 protected:
  // Keeps the only worker busy, so that what is submitted afterwards waits, until `hang` opens.
  void occupy_worker() {
    const std::size_t before = model.started().count();
    model.next(hangs_until(hang));
    occupier->submit(query("occupies"), Inbox().callback());
    ASSERT_TRUE(model.started().wait(before + 1));
  }

  // The questions that ran, but for the occupier's.
  std::vector<std::string> questions() const {
    std::vector<std::string> all;
    for (const auto &run : model.runs()) all.push_back(question(run));
    if (!all.empty() && all[0] == "occupies") all.erase(all.begin());
    return all;
  }

  Gate hang;
  std::unique_ptr<Stream> occupier = engine->open_stream();
};

using Questions = std::vector<std::string>;

TEST_F(EngineStreams, WithoutRoomForARequestAreRefused) {
  try {
    engine->open_stream({.max_pending = 0});
    ADD_FAILURE() << "opened";
  } catch (const Error &error) {
    EXPECT_EQ(error.kind(), ErrorKind::kSettings);
  }
  EXPECT_EQ(engine->stats().streams, 1u);
}

// ---- Turns ------------------------------------------------------------------------------------

TEST_F(EngineStreams, AreServedInTurnHoweverMuchOneOfThemAsks) {
  occupy_worker();
  const StreamOptions options{.max_pending = 100};
  const auto a = engine->open_stream(options);
  const auto b = engine->open_stream(options);
  const auto c = engine->open_stream(options);
  Inbox inbox;
  for (const char *text : {"a1", "a2", "a3", "a4", "a5"}) a->submit(query(text), inbox.callback());
  for (const char *text : {"b1", "b2", "b3"}) b->submit(query(text), inbox.callback());
  c->submit(query("c1"), inbox.callback());
  hang.open();
  ASSERT_TRUE(inbox.wait(9));
  EXPECT_EQ(questions(), (Questions{"a1", "b1", "c1", "a2", "b2", "a3", "b3", "a4", "a5"}));
}

// A stream that always has something new must not overtake one that waits.
TEST_F(EngineStreams, AStreamThatReplacesItsRequestKeepsItsTurnButGetsNoOther) {
  occupy_worker();
  const auto a = engine->open_stream();
  const auto b = engine->open_stream();
  Inbox inbox;
  a->submit(query("a1"), inbox.callback());
  b->submit(query("b1"), inbox.callback());
  a->submit(query("a2"), inbox.callback());
  a->submit(query("a3"), inbox.callback());
  hang.open();
  ASSERT_TRUE(inbox.wait(4));
  EXPECT_EQ(questions(), (Questions{"a3", "b1"}));
}

// ---- Overflow ---------------------------------------------------------------------------------

TEST_F(EngineStreams, TheOldestWaitingRequestIsReplacedOnTheSubmittingThread) {
  occupy_worker();
  const auto stream = engine->open_stream({.max_pending = 2});
  Inbox first, second, third;
  stream->submit(query("1"), first.callback());
  stream->submit(query("2"), second.callback());
  EXPECT_EQ(first.count(), 0u);
  stream->submit(query("3"), third.callback());
  ASSERT_EQ(first.count(), 1u);
  EXPECT_EQ(first.error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(first.letter().thread, std::this_thread::get_id());
  hang.open();
  EXPECT_EQ(answer(second.result()), "mock answer: 2");
  EXPECT_EQ(answer(third.result()), "mock answer: 3");
}

TEST_F(EngineStreams, RunningRequestsCountAsPendingAndAreNotReplaced) {
  occupy_worker();
  // The occupier's only request runs: the new one has nothing to replace.
  Inbox inbox;
  const Ticket ticket = occupier->submit(query("too many"), inbox.callback());
  ASSERT_EQ(inbox.count(), 1u);
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(inbox.letter().thread, std::this_thread::get_id());
  ticket.cancel();
  EXPECT_EQ(inbox.count(), 1u);
  hang.open();
  EXPECT_TRUE(eventually([&] { return engine->stats().completed == 1; }));
  EXPECT_EQ(questions(), Questions{});
}

TEST_F(EngineStreams, AFullWaitingStreamBlocksSubmitUntilARequestEnds) {
  occupy_worker();
  const auto stream = engine->open_stream({.max_pending = 1, .overflow = Overflow::kWait});
  Inbox inbox;
  stream->submit(query("1"), inbox.callback());
  Gate returned;
  const std::jthread submitter([&] {
    stream->submit(query("2"), inbox.callback());
    returned.open();
  });
  ASSERT_TRUE(eventually([&] { return queued(engine->stats()) == 2; }));
  EXPECT_FALSE(returned.wait(1, kWatch));
  hang.open();
  EXPECT_TRUE(returned.wait());
  ASSERT_TRUE(inbox.wait(2));
  EXPECT_EQ(questions(), (Questions{"1", "2"}));
}

TEST_F(EngineStreams, CancellingARequestMakesRoomForABlockedSubmit) {
  occupy_worker();
  const auto stream = engine->open_stream({.max_pending = 1, .overflow = Overflow::kWait});
  const Ticket ticket = stream->submit(query("1"), Inbox().callback());
  Inbox inbox;
  Gate returned;
  const std::jthread submitter([&] {
    stream->submit(query("2"), inbox.callback());
    returned.open();
  });
  ASSERT_TRUE(eventually([&] { return queued(engine->stats()) == 2; }));
  ticket.cancel();
  EXPECT_TRUE(returned.wait());
  EXPECT_EQ(inbox.count(), 0u);
  hang.open();
  EXPECT_EQ(answer(inbox.result()), "mock answer: 2");
}

TEST_F(EngineStreams, BlockedSubmitsAreServedInTheOrderOfTheirArrival) {
  occupy_worker();
  const auto stream = engine->open_stream({.max_pending = 1, .overflow = Overflow::kWait});
  Inbox inbox;
  stream->submit(query("0"), inbox.callback());
  std::vector<std::jthread> submitters;
  Questions expected{"0"};
  for (std::size_t i = 1; i <= 5; ++i) {
    expected.push_back(std::to_string(i));
    submitters.emplace_back([&, i] { stream->submit(query(expected[i]), inbox.callback()); });
    ASSERT_TRUE(eventually([&] { return queued(engine->stats()) == 1 + i; }));
  }
  hang.open();
  ASSERT_TRUE(inbox.wait(6));
  EXPECT_EQ(questions(), expected);
}

// The one worker would wait for itself for ever.
TEST_F(EngineStreams, SubmitDoesNotBlockInACallbackOnAWorker) {
  const auto stream = engine->open_stream({.max_pending = 1, .overflow = Overflow::kWait});
  Inbox inbox;
  stream->submit(query("0"), [&](const Outcome &) {
    for (const char *text : {"1", "2", "3"}) stream->submit(query(text), inbox.callback());
  });
  ASSERT_TRUE(inbox.wait(3));
  EXPECT_EQ(questions(), (Questions{"0", "1", "2", "3"}));
}

// ---- Cancelling and ending --------------------------------------------------------------------

TEST_F(EngineStreams, CancelAllEndsWhatRunsWaitsAndBlocksButNothingOfOtherStreams) {
  const auto stream = engine->open_stream({.max_pending = 2, .overflow = Overflow::kWait});
  model.next(hangs_until(hang));
  Inbox running, waiting, blocked, other;
  stream->submit(query("runs"), running.callback());
  ASSERT_TRUE(model.started().wait());
  stream->submit(query("waits"), waiting.callback());
  const std::jthread submitter([&] { stream->submit(query("blocks"), blocked.callback()); });
  occupier->submit(query("other"), other.callback());
  ASSERT_TRUE(eventually([&] { return queued(engine->stats()) == 3; }));
  stream->cancel_all();
  for (const Inbox &inbox : {running, waiting, blocked}) {
    ASSERT_EQ(inbox.count(), 1u);
    EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
    EXPECT_EQ(inbox.letter().thread, std::this_thread::get_id());
  }
  EXPECT_EQ(other.count(), 0u);
  hang.open();
  EXPECT_EQ(answer(other.result()), "mock answer: other");
  // And the stream goes on.
  Inbox next;
  stream->submit(query("next"), next.callback());
  EXPECT_EQ(answer(next.result()), "mock answer: next");
  EXPECT_EQ(questions(), (Questions{"runs", "other", "next"}));
}

TEST_F(EngineStreams, DestroyingAStreamCancelsItsRequestsAndWakesItsBlockedSubmit) {
  auto stream = engine->open_stream({.max_pending = 1, .overflow = Overflow::kWait});
  model.next(hangs_until(hang));
  Inbox running, blocked;
  stream->submit(query("runs"), running.callback());
  ASSERT_TRUE(model.started().wait());
  Gate returned;
  const std::jthread submitter([&, stream = stream.get()] {
    stream->submit(query("blocks"), blocked.callback());
    returned.open();
  });
  ASSERT_TRUE(eventually([&] { return queued(engine->stats()) == 1; }));
  stream.reset();
  EXPECT_EQ(running.count(), 1u);
  EXPECT_EQ(blocked.count(), 1u);
  EXPECT_EQ(blocked.error().kind(), ErrorKind::kCancelled);
  EXPECT_TRUE(returned.wait());
  EXPECT_EQ(engine->stats().streams, 1u);
  hang.open();
}

TEST_F(EngineStreams, ACallbackThatSubmitsToItsDyingStreamIsToldThatItIsCancelled) {
  occupy_worker();
  auto stream = engine->open_stream();
  Inbox inbox;
  stream->submit(query("1"), [&, raw = stream.get()](const Outcome &) {
    raw->submit(query("2"), inbox.callback());
  });
  stream.reset();
  EXPECT_EQ(inbox.count(), 1u);
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
  hang.open();
}

TEST_F(EngineStreams, TheLastStreamAndEngineMayBeReleasedByACallbackOnAWorker) {
  occupier.reset();
  auto stream = engine->open_stream();
  Stream *raw = stream.get();
  const std::weak_ptr<Engine> watch = engine;
  raw->submit(query("?"), [stream = std::make_shared<std::unique_ptr<Stream>>(std::move(stream)),
                           engine = std::move(engine)](const Outcome &) mutable {
    stream->reset();
    engine.reset();
  });
  EXPECT_TRUE(model.freed().wait());
  EXPECT_TRUE(watch.expired());
}

TEST_F(EngineStreams, TheLastStreamAndEngineMayBeReleasedByACallbackThatCancels) {
  occupier.reset();
  model.next(hangs_until_cancelled());
  auto stream = engine->open_stream();
  Stream *raw = stream.get();
  const Ticket ticket = raw->submit(
      query("?"), [stream = std::make_shared<std::unique_ptr<Stream>>(std::move(stream)),
                   engine = std::move(engine)](const Outcome &) mutable {
        stream->reset();
        engine.reset();
      });
  ASSERT_TRUE(model.started().wait());
  ticket.cancel();
  EXPECT_TRUE(model.freed().wait());
}

// A pipeline that stops must not wait for a model that does not.
TEST_F(EngineStreams, ReleasingAnEngineWhoseBackendHangsReturnsPromptly) {
  occupy_worker();
  const auto start = std::chrono::steady_clock::now();
  occupier.reset();
  engine.reset();
  // Far above the 100 ms that it gives its workers, for busy machines; far below the backend's.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(model.alive(), 1u);
  hang.open();
  EXPECT_TRUE(model.freed().wait());
}

// Static destructors must not run under the feet of a model. The child leaks all, as a program
// does that calls exit() while its pipelines play.
TEST(EngineAtExit, ARunningRequestIsStoppedAndAwaited) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        static std::chrono::steady_clock::time_point exit_began;
        // Handlers run in reverse order, so this one runs after the engine's.
        std::atexit([] {
          // The engine would give a backend that hangs 5 s.
          const auto took = std::chrono::steady_clock::now() - exit_began;
          std::cerr << (took < std::chrono::seconds(4) ? "promptly" : "late") << std::endl;
        });
        // Static, so that leak checkers find what nobody frees.
        static auto *const model = new MockModel;
        model->always([](const Job &job) -> Outcome {
          (void)hangs_until_cancelled()(job);
          std::cerr << "the backend returned" << std::endl;
          return Error(ErrorKind::kCancelled, "");
        });
        static const auto engine = Engine::acquire({.model = "mock"});
        static auto *const stream = engine->open_stream().release();
        stream->submit(query("?"), [](const Outcome &) {});
        if (!model->started().wait()) std::abort();
        exit_began = std::chrono::steady_clock::now();
        std::exit(0);
      },
      testing::ExitedWithCode(0), "the backend returned.*promptly");
}

// ---- Stats ------------------------------------------------------------------------------------

TEST_F(EngineStreams, StatsCountEachRequestOnce) {
  const auto stream = engine->open_stream({.max_pending = 3});
  Inbox inbox;
  const auto expect = [&](const EngineStats &expected) {
    const EngineStats stats = engine->stats();
    EXPECT_EQ(stats.submitted, expected.submitted);
    EXPECT_EQ(stats.completed, expected.completed);
    EXPECT_EQ(stats.failed, expected.failed);
    EXPECT_EQ(stats.cancelled, expected.cancelled);
    EXPECT_EQ(stats.waiting, expected.waiting);
    EXPECT_EQ(stats.preparing, expected.preparing);
    EXPECT_EQ(stats.prepared, expected.prepared);
    EXPECT_EQ(stats.running, expected.running);
    EXPECT_EQ(stats.streams, expected.streams);
  };
  expect({.streams = 2});
  stream->submit(query("1"), inbox.callback());
  ASSERT_TRUE(inbox.wait(1));
  expect({.submitted = 1, .completed = 1, .streams = 2});
  model.next(fails(ErrorKind::kFailed, ""));
  stream->submit(query("2"), inbox.callback());
  ASSERT_TRUE(inbox.wait(2));
  expect({.submitted = 2, .completed = 1, .failed = 1, .streams = 2});
  occupy_worker();
  expect({.submitted = 3, .completed = 1, .failed = 1, .running = 1, .streams = 2});
  for (const char *text : {"4", "5", "6", "7"}) stream->submit(query(text), inbox.callback());
  expect({.submitted = 7,
          .completed = 1,
          .failed = 1,
          .cancelled = 1,
          .prepared = 3,
          .running = 1,
          .streams = 2});
  occupier.reset();
  expect(
      {.submitted = 7, .completed = 1, .failed = 1, .cancelled = 2, .prepared = 3, .streams = 1});
  hang.open();
  ASSERT_TRUE(inbox.wait(6));
  expect({.submitted = 7, .completed = 4, .failed = 1, .cancelled = 2, .streams = 1});
}

}  // namespace
}  // namespace moondream
