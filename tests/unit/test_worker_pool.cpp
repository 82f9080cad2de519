// How many workers there are, what they share, and which requests run in one batch.

#include "worker_pool.h"

#include <algorithm>
#include <new>
#include <optional>

#include "engine_test.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

// Longer than any test: what waits for it fails.
constexpr auto kForever = 1h;
// A stream whose requests wait for others' as long as there is hope.
constexpr StreamOptions kPatient{.workers = 1, .batch_window = kForever};

class WorkerPoolTest : public testing::Test {
 protected:
  // Makes a backend of the mock model, as an engine does.
  std::shared_ptr<Backend> load() {
    const BackendLoader loader = set_backend_loader(nullptr);
    set_backend_loader(loader);
    return loader({.model = "mock"}, {});
  }

  void make_pool(const WorkerOptions &options) { pool.emplace(load(), scheduler, options); }

  std::shared_ptr<StreamQueue> open(const StreamOptions &options = {.workers = 1}) {
    auto queue = scheduler->open(options);
    if (pool) pool->staff();
    return queue;
  }

  // To a stream of its own.
  std::shared_ptr<Submission> submit(const std::string &text, const Inbox &inbox) {
    return scheduler->submit(open(), query(text), inbox.callback());
  }

  bool have_workers(std::size_t number) {
    return eventually([&] { return scheduler->stats().workers == number; });
  }

  MockModel model;
  std::shared_ptr<Scheduler> scheduler = std::make_shared<Scheduler>(kForever);
  std::optional<WorkerPool> pool;
};

// ---- Numbers
// -------------------------------------------------------------------------------------

TEST(SuitableWorkers, AreOneForEightCoresOfACpuAndOneForAnotherDevice) {
  const auto workers = [](const char *device, std::size_t cores) {
    return suitable_workers({.name = "", .device = device, .precision = ""}, cores).workers;
  };
  EXPECT_EQ(workers("cpu", 1), 1u);
  EXPECT_EQ(workers("cpu", 15), 1u);
  EXPECT_EQ(workers("cpu", 16), 2u);
  EXPECT_EQ(workers("cpu", 64), 8u);
  EXPECT_EQ(workers("cuda:1", 64), 1u);
  EXPECT_GE(available_cores(), 1u);
}

TEST_F(WorkerPoolTest, AreAsManyAsTheOpenStreamThatAsksForMost) {
  make_pool({});
  EXPECT_EQ(scheduler->stats().workers, 0u);
  const auto one = open({.workers = 1});
  EXPECT_EQ(scheduler->stats().workers, 1u);
  const auto three = open({.workers = 3});
  EXPECT_EQ(scheduler->stats().workers, 3u);
  const auto two = open({.workers = 2});
  EXPECT_EQ(scheduler->stats().workers, 3u);
  scheduler->close(three);
  EXPECT_TRUE(have_workers(2));
  scheduler->close(one);
  EXPECT_EQ(scheduler->stats().workers, 2u);
  scheduler->close(two);
  EXPECT_TRUE(have_workers(0));
  const auto again = open({.workers = 1});
  Inbox inbox;
  scheduler->submit(again, query("again"), inbox.callback());
  EXPECT_EQ(answer(inbox.result()), "mock answer: again");
}

TEST_F(WorkerPoolTest, ASurplusWorkerFinishesWhatItRuns) {
  make_pool({});
  const auto one = open({.workers = 1});
  const auto two = open({.max_pending = 2, .workers = 2});
  Gate hang;
  model.always(hangs_until(hang));
  Inbox inbox;
  scheduler->submit(one, query("1"), inbox.callback());
  ASSERT_TRUE(model.started().wait(1));
  scheduler->submit(two, query("2"), Inbox().callback());
  ASSERT_TRUE(model.started().wait(2));
  scheduler->close(two);
  EXPECT_EQ(scheduler->stats().workers, 2u);
  hang.open();
  EXPECT_TRUE(have_workers(1));
  EXPECT_EQ(answer(inbox.result()), "mock answer: 1");
}

TEST_F(WorkerPoolTest, WorkersDivideTheCores) {
  make_pool({.cores = 8});
  const auto threads_with = [&](std::size_t workers) {
    const auto stream = open({.workers = workers});
    Inbox inbox;
    scheduler->submit(stream, query("?"), inbox.callback());
    EXPECT_TRUE(inbox.wait());
    const int threads = model.runs().back().threads;
    scheduler->close(stream);
    EXPECT_TRUE(have_workers(1));
    return threads;
  };
  const auto stream = open({.workers = 1});
  EXPECT_EQ(threads_with(1), 8);
  EXPECT_EQ(threads_with(2), 4);
  EXPECT_EQ(threads_with(3), 2);
  EXPECT_EQ(threads_with(8), 1);
  EXPECT_EQ(threads_with(20), 1);
}

TEST_F(WorkerPoolTest, EnginesHireForTheirStreams) {
  const auto engine = Engine::acquire({.model = "mock"});
  const auto automatic = engine->open_stream();
  EXPECT_EQ(engine->stats().workers, 1u);  // the mock is no CPU
  auto four = engine->open_stream({.workers = 4});
  EXPECT_EQ(engine->stats().workers, 4u);
  four.reset();
  EXPECT_TRUE(eventually([&] { return engine->stats().workers == 1; }));
}

TEST_F(WorkerPoolTest, OptionsOutOfRangeOpenNoStream) {
  const auto engine = Engine::acquire({.model = "mock"});
  for (const StreamOptions &options :
       {StreamOptions{.max_pending = 0}, StreamOptions{.workers = 65},
        StreamOptions{.batch_window = -1us}, StreamOptions{.batch_window = 1000001us}}) {
    try {
      engine->open_stream(options);
      ADD_FAILURE() << "opened";
    } catch (const Error &error) {
      EXPECT_EQ(error.kind(), ErrorKind::kSettings);
    }
  }
  EXPECT_EQ(engine->stats().streams, 0u);
  EXPECT_EQ(model.memories(), 0u);
}

// ---- Several workers
// -----------------------------------------------------------------------------

TEST_F(WorkerPoolTest, WorkersRunRequestsAtTheSameTime) {
  // Each waits for the other.
  Gate begun;
  model.always([begun](const Job &job) mutable -> Outcome {
    begun.open();
    if (!begun.wait(2)) return Error(ErrorKind::kFailed, "ran alone");
    return mock_result(*job.request);
  });
  make_pool({.max_batch = 4});
  const auto stream = open({.max_pending = 2, .workers = 2});
  ASSERT_TRUE(eventually([&] { return scheduler->stats().idle_workers == 2; }));
  Inbox inbox;
  for (const char *text : {"1", "2"}) scheduler->submit(stream, query(text), inbox.callback());
  EXPECT_NO_THROW(inbox.result(0));
  EXPECT_NO_THROW(inbox.result(1));
}

TEST_F(WorkerPoolTest, AHungBackendCostsOneWorker) {
  Gate hang;
  model.next(hangs_until(hang));
  make_pool({});
  const auto stream = open({.workers = 2});
  Inbox hung, inbox;
  const auto submission = submit("hangs", hung);
  ASSERT_TRUE(model.started().wait());
  for (const char *text : {"1", "2", "3"}) submit(text, inbox);
  EXPECT_TRUE(inbox.wait(3));
  scheduler->cancel(submission);
  EXPECT_EQ(hung.count(), 1u);
  hang.open();
}

// ---- Batches
// -------------------------------------------------------------------------------------

class Batches : public WorkerPoolTest {
 protected:
  // Lets requests gather behind one that runs.
  void occupy(const Gate &hang) {
    model.next(hangs_until(hang));
    submit("occupies", Inbox());
    ASSERT_TRUE(model.started().wait());
  }

  // Notes the questions of each batch that begins from now on.
  void note_batches() {
    model.on_batch([this](std::span<const Job> jobs) {
      std::vector<Outcome> outcomes;
      auto &batch = batches.emplace_back();
      for (const Job &job : jobs) {
        batch.push_back(std::get<QueryPrompt>(job.request->prompts[0]).question);
        outcomes.push_back(mock_result(*job.request));
      }
      return outcomes;
    });
  }

  // Opens streams that were active just now, so that the worker, which is idle, would wait for
  // them.
  // There must be room for one request of each in a batch.
  std::vector<std::shared_ptr<StreamQueue>> active_streams(
      const std::vector<StreamOptions> &options) {
    Gate hang;
    model.next(hangs_until(hang));
    const auto occupier = open();
    scheduler->submit(occupier, query("occupies"), Inbox().callback());
    EXPECT_TRUE(model.started().wait());
    std::vector<std::shared_ptr<StreamQueue>> streams;
    Inbox inbox;
    for (const StreamOptions &each : options) {
      streams.push_back(open(each));
      scheduler->submit(streams.back(), query("warm up"), inbox.callback());
    }
    scheduler->close(occupier);
    hang.open();
    EXPECT_TRUE(inbox.wait(streams.size()));
    EXPECT_TRUE(eventually([&] {
      const EngineStats stats = scheduler->stats();
      return stats.idle_workers == stats.workers;
    }));
    return streams;
  }

  std::vector<std::vector<std::string>> batches;  // only the one worker, then this thread
};

TEST_F(Batches, HoldOneRequestOfEachStreamUpToTheLimit) {
  make_pool({.max_batch = 3});
  Gate hang;
  occupy(hang);
  note_batches();
  Inbox inbox;
  const auto a = open({.max_pending = 9, .workers = 1});
  const auto b = open({.max_pending = 9, .workers = 1});
  for (const char *text : {"a1", "a2", "a3"}) scheduler->submit(a, query(text), inbox.callback());
  for (const char *text : {"b1", "b2"}) scheduler->submit(b, query(text), inbox.callback());
  submit("c1", inbox);
  submit("d1", inbox);
  hang.open();
  ASSERT_TRUE(inbox.wait(7));
  EXPECT_EQ(batches, (std::vector<std::vector<std::string>>{
                         {"a1", "b1", "c1"}, {"d1", "a2", "b2"}, {"a3"}}));
  // Outcomes went to the requests that they are of, in order.
  EXPECT_EQ(answer(inbox.result(0)), "mock answer: a1");
  EXPECT_EQ(answer(inbox.result(3)), "mock answer: d1");
}

TEST_F(Batches, OneBadOutcomeDoesNotDisturbTheOthers) {
  make_pool({.max_batch = 3});
  Gate hang;
  occupy(hang);
  model.next(answers());
  model.next(fails(ErrorKind::kSettings, "bad prompt"));
  model.next(answers(Result{}));
  Inbox good, bad, wrong;
  submit("good", good);
  submit("bad", bad);
  submit("wrong", wrong);
  hang.open();
  EXPECT_EQ(answer(good.result()), "mock answer: good");
  EXPECT_EQ(bad.error().kind(), ErrorKind::kSettings);
  EXPECT_EQ(wrong.error().kind(), ErrorKind::kFailed);
}

TEST_F(Batches, WhatABackendThrowsIsTheOutcomeOfEachRequest) {
  make_pool({.max_batch = 2});
  Gate hang;
  occupy(hang);
  model.next(throws(Error(ErrorKind::kNoMemory, "full")));
  Inbox first, second;
  submit("1", first);
  submit("2", second);
  hang.open();
  EXPECT_EQ(first.error().kind(), ErrorKind::kNoMemory);
  EXPECT_EQ(second.error().kind(), ErrorKind::kNoMemory);
}

TEST_F(Batches, CancellingOneRequestLeavesTheOthersOfItsBatch) {
  make_pool({.max_batch = 2});
  Gate hang, second_hang;
  occupy(hang);
  model.next(hangs_until_cancelled());
  model.next(hangs_until(second_hang));
  Inbox cancelled, other;
  const auto submission = submit("cancelled", cancelled);
  submit("other", other);
  hang.open();
  ASSERT_TRUE(model.started().wait(3));
  scheduler->cancel(submission);
  EXPECT_EQ(cancelled.count(), 1u);
  second_hang.open();
  EXPECT_EQ(answer(other.result()), "mock answer: other");
  EXPECT_EQ(cancelled.count(), 1u);
}

TEST_F(Batches, AStreamThatAsksForMuchDoesNotKeepOthersOut) {
  make_pool({.max_batch = 4});
  Gate hang;
  occupy(hang);
  note_batches();
  const auto flood = open({.max_pending = 50, .workers = 1});
  const auto b = open({.workers = 1});
  const auto c = open({.workers = 1});
  Inbox inbox;
  for (int i = 0; i < 20; ++i) scheduler->submit(flood, query("flood"), inbox.callback());
  scheduler->submit(b, query("b"), inbox.callback());
  scheduler->submit(c, query("c"), inbox.callback());
  hang.open();
  ASSERT_TRUE(inbox.wait(22));
  ASSERT_EQ(batches.size(), 6u);
  EXPECT_EQ(batches[0], (std::vector<std::string>{"flood", "b", "c", "flood"}));
}

TEST_F(Batches, AreCountedWithTheirRequests) {
  make_pool({.max_batch = 3});
  Gate hang;
  occupy(hang);
  Inbox inbox;
  for (const char *text : {"1", "2", "3", "4"}) submit(text, inbox);
  hang.open();
  ASSERT_TRUE(inbox.wait(4));
  EXPECT_EQ(scheduler->stats().batches, 3u);
  EXPECT_EQ(scheduler->stats().batched, 5u);
}

// ---- Waiting for a larger batch
// ------------------------------------------------------------------

// Whenever each of them comes.
TEST_F(Batches, OfStreamsThatSubmitAtOnceAreOne) {
  make_pool({.max_batch = 8});
  const auto streams = active_streams({kPatient, kPatient, kPatient, kPatient});
  note_batches();
  Inbox inbox;
  for (std::size_t i = 0; i < 4; ++i) {
    scheduler->submit(streams[i], query(std::to_string(i)), inbox.callback());
  }
  ASSERT_TRUE(inbox.wait(4));
  EXPECT_EQ(batches, (std::vector<std::vector<std::string>>{{"0", "1", "2", "3"}}));
}

TEST_F(Batches, OfALoneStreamDoNotWait) {
  make_pool({.max_batch = 8});
  const auto stream = open({.max_pending = 9, .workers = 1, .batch_window = kForever});
  Inbox inbox;
  for (std::size_t i = 1; i < 5; ++i) {
    scheduler->submit(stream, query("?"), inbox.callback());
    ASSERT_TRUE(inbox.wait(i));
  }
}

TEST_F(Batches, DoNotWaitForStreamsThatAreSilent) {
  scheduler = std::make_shared<Scheduler>(0s);  // as soon as they submitted
  make_pool({.max_batch = 8});
  const auto never = open(kPatient);
  const auto streams = active_streams({kPatient, kPatient});
  Inbox inbox;
  scheduler->submit(streams[0], query("?"), inbox.callback());
  EXPECT_TRUE(inbox.wait());
}

TEST_F(Batches, DoNotWaitForStreamsThatMayNotSubmit) {
  make_pool({.max_batch = 8});
  const auto streams = active_streams({kPatient, {.workers = 2, .batch_window = kForever}});
  Gate hang;
  model.next(hangs_until(hang));
  Inbox hung, inbox;
  scheduler->submit(streams[0], query("hangs"), hung.callback());
  // One worker runs all that this stream may have, the other one is idle.
  ASSERT_TRUE(eventually([&] { return scheduler->stats().running == 1; }));
  scheduler->submit(streams[1], query("?"), inbox.callback());
  EXPECT_EQ(answer(inbox.result()), "mock answer: ?");
  hang.open();
  EXPECT_TRUE(hung.wait());
}

TEST_F(Batches, DoNotWaitWhileASecondWorkerIsIdle) {
  make_pool({.max_batch = 8});
  const auto streams = active_streams({kPatient, {.workers = 2, .batch_window = kForever}});
  Inbox inbox;
  scheduler->submit(streams[0], query("?"), inbox.callback());
  EXPECT_TRUE(inbox.wait());
}

TEST_F(Batches, DoNotWaitOnceTheyAreFull) {
  make_pool({.max_batch = 2});
  StreamOptions two = kPatient;
  two.max_pending = 2;
  const auto streams = active_streams({two, kPatient});
  note_batches();
  Inbox inbox;
  for (const char *text : {"1", "2"}) {
    scheduler->submit(streams[0], query(text), inbox.callback());
  }
  ASSERT_TRUE(inbox.wait(2));
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].size(), 2u);
}

TEST_F(Batches, WaitNoLongerThanTheWindowOfAStream) {
  make_pool({.max_batch = 8});
  const auto streams = active_streams({{.workers = 1, .batch_window = 1ms}, kPatient, kPatient});
  Inbox inbox;
  scheduler->submit(streams[1], query("patient"), inbox.callback());
  EXPECT_EQ(inbox.count(), 0u);
  scheduler->submit(streams[0], query("impatient"), inbox.callback());
  EXPECT_TRUE(inbox.wait(2));
}

TEST_F(Batches, WaitForPicturesThatAreBeingPrepared) {
  scheduler = std::make_shared<Scheduler>(0s);
  make_pool({.max_batch = 8});
  const auto a = open(kPatient);
  const auto b = open(kPatient);
  note_batches();
  Gate slow;
  Request with_picture = query("b");
  with_picture.make_image = [slow]() -> std::shared_ptr<const Image> {
    if (!slow.wait()) throw 0;
    return std::make_shared<Image>(Image{1, 1, {1, 2, 3}});
  };
  Inbox inbox;
  scheduler->submit(b, std::move(with_picture), inbox.callback());
  scheduler->submit(a, query("a"), inbox.callback());
  std::this_thread::sleep_for(kWatch);
  EXPECT_EQ(inbox.count(), 0u);
  slow.open();
  ASSERT_TRUE(inbox.wait(2));
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].size(), 2u);
}

TEST_F(Batches, DoNotHoldWhatIsCancelledWhileTheyWait) {
  make_pool({.max_batch = 8});
  const auto streams = active_streams({kPatient, kPatient});
  note_batches();
  Inbox cancelled, inbox;
  const auto submission = scheduler->submit(streams[0], query("cancelled"), cancelled.callback());
  std::this_thread::sleep_for(kWatch);  // so that the worker waits; the test holds if it does not
  EXPECT_EQ(scheduler->stats().prepared, 1u);
  scheduler->cancel(submission);
  ASSERT_EQ(cancelled.count(), 1u);
  EXPECT_EQ(cancelled.letter().thread, std::this_thread::get_id());
  scheduler->submit(streams[1], query("1"), inbox.callback());
  scheduler->submit(streams[0], query("0"), inbox.callback());
  ASSERT_TRUE(inbox.wait(2));
  ASSERT_EQ(batches.size(), 1u);
  std::ranges::sort(batches[0]);
  EXPECT_EQ(batches[0], (std::vector<std::string>{"0", "1"}));
}

TEST_F(Batches, StopWaitingForAStreamThatCloses) {
  make_pool({.max_batch = 8});
  const auto streams = active_streams({kPatient, kPatient});
  Inbox inbox;
  scheduler->submit(streams[0], query("?"), inbox.callback());
  std::this_thread::sleep_for(kWatch);
  EXPECT_EQ(inbox.count(), 0u);
  scheduler->close(streams[1]);
  EXPECT_EQ(answer(inbox.result()), "mock answer: ?");
}

TEST_F(Batches, ThatWaitDoNotKeepThePoolFromEnding) {
  make_pool({.max_batch = 8});
  const auto streams = active_streams({kPatient, kPatient});
  Inbox inbox;
  scheduler->submit(streams[0], query("?"), inbox.callback());
  pool.reset();
  EXPECT_EQ(model.alive(), 0u);
  scheduler->close(streams[0]);  // as an engine's streams do before it ends
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
}

TEST_F(WorkerPoolTest, APoolFreesItsBackendWhenItEnds) {
  make_pool({});
  open({.workers = 4});
  pool.reset();
  EXPECT_EQ(model.alive(), 0u);
}

}  // namespace
}  // namespace moondream
