// Several workers, and several requests at once.

#include "worker_pool.h"

#include "engine_test.h"

namespace moondream {
namespace {

class WorkerPoolTest : public testing::Test {
 protected:
  // Makes a backend of the mock model, as an engine does.
  std::shared_ptr<Backend> load() {
    const BackendLoader loader = set_backend_loader(nullptr);
    set_backend_loader(loader);
    return loader({.model = "mock"}, {});
  }

  std::shared_ptr<Submission> submit(const std::string &text, const Inbox &inbox) {
    return scheduler->submit(scheduler->open({}), query(text), inbox.callback());
  }

  MockModel model;
  std::shared_ptr<Scheduler> scheduler = std::make_shared<Scheduler>();
};

TEST_F(WorkerPoolTest, WorkersRunRequestsAtTheSameTime) {
  // Each waits for the other.
  Gate begun;
  model.always([begun](const Job &job) mutable -> Outcome {
    begun.open();
    if (!begun.wait(2)) return Error(ErrorKind::kFailed, "ran alone");
    return mock_result(*job.request);
  });
  const WorkerPool pool(load(), scheduler, {.workers = 2});
  Inbox inbox;
  submit("1", inbox);
  submit("2", inbox);
  EXPECT_NO_THROW(inbox.result(0));
  EXPECT_NO_THROW(inbox.result(1));
}

TEST_F(WorkerPoolTest, AHungBackendCostsOneWorker) {
  Gate hang;
  model.next(hangs_until(hang));
  const WorkerPool pool(load(), scheduler, {.workers = 2});
  Inbox hung, inbox;
  const auto submission = submit("hangs", hung);
  ASSERT_TRUE(model.started().wait());
  for (const char *text : {"1", "2", "3"}) submit(text, inbox);
  EXPECT_TRUE(inbox.wait(3));
  scheduler->cancel(submission);
  EXPECT_EQ(hung.count(), 1u);
  hang.open();
}

class Batches : public WorkerPoolTest {
 protected:
  // Lets requests gather behind one that runs.
  void occupy(const Gate &hang) {
    model.next(hangs_until(hang));
    submit("occupies", Inbox());
    ASSERT_TRUE(model.started().wait());
  }
};

TEST_F(Batches, HoldOneRequestOfEachStreamUpToTheLimit) {
  const WorkerPool pool(load(), scheduler, {.workers = 1, .max_batch = 3});
  Gate hang;
  occupy(hang);
  std::vector<std::vector<std::string>> batches;  // only the one worker, then this thread
  model.on_batch([&](std::span<const Job> jobs) {
    std::vector<Outcome> outcomes;
    auto &batch = batches.emplace_back();
    for (const Job &job : jobs) {
      batch.push_back(std::get<QueryPrompt>(job.request->prompts[0]).question);
      outcomes.push_back(mock_result(*job.request));
    }
    return outcomes;
  });
  Inbox inbox;
  const auto a = scheduler->open({.max_pending = 9});
  const auto b = scheduler->open({.max_pending = 9});
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
  const WorkerPool pool(load(), scheduler, {.workers = 1, .max_batch = 3});
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
  const WorkerPool pool(load(), scheduler, {.workers = 1, .max_batch = 2});
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
  const WorkerPool pool(load(), scheduler, {.workers = 1, .max_batch = 2});
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

TEST_F(WorkerPoolTest, APoolFreesItsBackendWhenItEnds) {
  { const WorkerPool pool(load(), scheduler, {.workers = 4}); }
  EXPECT_EQ(model.alive(), 0u);
}

}  // namespace
}  // namespace moondream
