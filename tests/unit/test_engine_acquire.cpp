// Which engine Engine::acquire() gives, when it loads one and when that is freed.

#include <new>
#include <optional>
#include <stdexcept>

#include "engine_test.h"

namespace moondream {
namespace {

const ModelSpec kSpec{.model = "models/mock"};

// Runs Engine::acquire() on its own thread.
class Caller {
 public:
  explicit Caller(const ModelSpec &spec = kSpec)
      : thread_([this, spec](std::stop_token stop) {
          try {
            engine_ = Engine::acquire(spec, std::move(stop));
          } catch (const Error &error) {
            error_ = error;
          }
          returned_.open();
        }) {}

  void cancel() { thread_.request_stop(); }
  bool has_returned_within(std::chrono::milliseconds time) const { return returned_.wait(1, time); }
  // These wait for the return.
  std::shared_ptr<Engine> engine() const { return returned_.wait() ? engine_ : nullptr; }
  Error error() const {
    return returned_.wait() ? error_.value() : throw std::runtime_error("hangs");
  }

 private:
  std::shared_ptr<Engine> engine_;  // before returned_ opens: thread_
  std::optional<Error> error_;      // as engine_
  Gate returned_;
  std::jthread thread_;  // last: it uses the others
};

// Waits until `n` callers are in acquire(): each but the first leaves no trace there, so this gives
// them time. A test passes without it, but would not try what it says.
void let_callers_arrive() { std::this_thread::sleep_for(kWatch); }

TEST(EngineAcquire, EqualSpecsShareAnEngineAndOthersDoNot) {
  const MockModel model;
  const auto engine = Engine::acquire(kSpec);
  EXPECT_EQ(engine, Engine::acquire(ModelSpec{kSpec}));
  const auto other_device = Engine::acquire({.model = kSpec.model, .device = "cuda:1"});
  const auto other_precision =
      Engine::acquire({.model = kSpec.model, .precision = Precision::kFloat32});
  const auto other_tokenizer = Engine::acquire({.model = kSpec.model, .tokenizer = "t"});
  const auto other_model = Engine::acquire({.model = "models/other"});
  EXPECT_EQ(model.loading().count(), 5u);
  EXPECT_EQ(model.alive(), 5u);
}

TEST(EngineAcquire, InfoIsTheBackends) {
  const MockModel model;
  const auto engine = Engine::acquire(kSpec);
  EXPECT_EQ(engine->info().name, "mock");
  EXPECT_EQ(engine->info().device, "mock");
  EXPECT_EQ(engine->info().precision, "float32");
  EXPECT_EQ(engine->info().weight_bytes, 1234u);
}

TEST(EngineAcquire, ConcurrentCallersWaitForOneLoad) {
  MockModel model;
  Gate load;
  model.on_load([load](const ModelSpec &, const std::stop_token &) { (void)load.wait(); });
  const Caller first, second, third;
  ASSERT_TRUE(model.loading().wait());
  let_callers_arrive();
  load.open();
  EXPECT_NE(first.engine(), nullptr);
  EXPECT_EQ(first.engine(), second.engine());
  EXPECT_EQ(first.engine(), third.engine());
  EXPECT_EQ(model.loading().count(), 1u);
}

// Loads of different models do not wait for each other.
TEST(EngineAcquire, ALoadDoesNotHoldUpAnother) {
  MockModel model;
  Gate load;
  model.on_load([load](const ModelSpec &spec, const std::stop_token &) {
    if (spec == kSpec) (void)load.wait();
  });
  const Caller slow;
  ASSERT_TRUE(model.loading().wait());
  EXPECT_NE(Engine::acquire({.model = "models/other"}), nullptr);
  load.open();
}

TEST(EngineAcquire, TheLastReleaseFreesTheBackendBeforeItReturns) {
  const MockModel model;
  auto engine = Engine::acquire(kSpec);
  auto again = Engine::acquire(kSpec);
  engine.reset();
  EXPECT_EQ(model.alive(), 1u);
  again.reset();
  EXPECT_EQ(model.alive(), 0u);
}

TEST(EngineAcquire, AStreamKeepsItsEngineAliveAndToBeFound) {
  const MockModel model;
  auto engine = Engine::acquire(kSpec);
  auto stream = engine->open_stream();
  const Engine *address = engine.get();
  engine.reset();
  EXPECT_EQ(Engine::acquire(kSpec).get(), address);
  EXPECT_EQ(model.alive(), 1u);
  stream.reset();
  EXPECT_EQ(model.alive(), 0u);
}

TEST(EngineAcquire, AfterTheLastReleaseTheNextCallLoadsAnew) {
  const MockModel model;
  Engine::acquire(kSpec).reset();
  EXPECT_NE(Engine::acquire(kSpec), nullptr);
  EXPECT_EQ(model.loading().count(), 2u);
}

// A hung backend keeps its memory, but nobody gets it again.
TEST(EngineAcquire, WhileAnEngineIsDyingTheNextCallLoadsAnew) {
  MockModel model;
  Gate hang;
  model.next(hangs_until(hang));
  auto engine = Engine::acquire(kSpec);
  auto stream = engine->open_stream();
  stream->submit(query("hang"), Inbox().callback());
  ASSERT_TRUE(model.started().wait());
  stream.reset();
  const std::weak_ptr<Engine> old = engine;
  std::jthread releasing([engine = std::move(engine)]() mutable { engine.reset(); });
  ASSERT_TRUE(eventually([&] { return old.expired(); }));
  const auto next = Engine::acquire(kSpec);
  EXPECT_EQ(next->stats().submitted, 0u);
  EXPECT_EQ(model.loading().count(), 2u);
  EXPECT_EQ(model.alive(), 2u);
  hang.open();
  EXPECT_TRUE(model.freed().wait());
  EXPECT_EQ(Engine::acquire(kSpec), next);
}

// ---- Errors ----------------------------------------------------------------------------------

template <typename T>
Error error_of_load_that_throws(const T &what) {
  MockModel model;
  Gate load;
  model.on_load([load, what](const ModelSpec &, const std::stop_token &) {
    (void)load.wait();
    throw what;
  });
  const Caller first, second;
  EXPECT_TRUE(model.loading().wait());
  let_callers_arrive();
  load.open();
  EXPECT_EQ(first.error().kind(), second.error().kind());
  EXPECT_STREQ(first.error().what(), second.error().what());
  EXPECT_EQ(model.loading().count(), 1u);
  EXPECT_EQ(model.alive(), 0u);
  return first.error();
}

TEST(EngineAcquire, EveryCallerGetsTheErrorOfTheLoad) {
  for (const ErrorKind kind :
       {ErrorKind::kSettings, ErrorKind::kNotFound, ErrorKind::kRead, ErrorKind::kNoDevice,
        ErrorKind::kNoMemory, ErrorKind::kMismatch, ErrorKind::kFailed}) {
    const Error error = error_of_load_that_throws(Error(kind, "config.json: broken"));
    EXPECT_EQ(error.kind(), kind);
    EXPECT_STREQ(error.what(), "config.json: broken");
  }
}

TEST(EngineAcquire, AForeignExceptionOfTheLoadBecomesAnErrorThatNamesTheModel) {
  const Error standard = error_of_load_that_throws(std::runtime_error("disk on fire"));
  EXPECT_EQ(standard.kind(), ErrorKind::kFailed);
  EXPECT_STREQ(standard.what(), "loading models/mock: disk on fire");
  const Error integer = error_of_load_that_throws(7);
  EXPECT_EQ(integer.kind(), ErrorKind::kFailed);
  EXPECT_STREQ(integer.what(), "loading models/mock: an exception of unknown type");
  const Error memory = error_of_load_that_throws(std::bad_alloc());
  EXPECT_EQ(memory.kind(), ErrorKind::kNoMemory);
  EXPECT_STREQ(memory.what(), "loading models/mock: out of memory");
}

TEST(EngineAcquire, ALoaderWithoutABackendIsAnError) {
  const BackendLoader before =
      set_backend_loader([](const ModelSpec &, const std::stop_token &) { return nullptr; });
  const Caller caller;
  EXPECT_EQ(caller.error().kind(), ErrorKind::kFailed);
  set_backend_loader(before);
}

TEST(EngineAcquire, AfterAFailedLoadTheNextCallTriesAgain) {
  MockModel model;
  model.on_load([](const ModelSpec &, const std::stop_token &) {
    throw Error(ErrorKind::kNotFound, "not yet");
  });
  EXPECT_THROW(Engine::acquire(kSpec), Error);
  model.on_load(nullptr);
  EXPECT_NE(Engine::acquire(kSpec), nullptr);
}

// ---- Cancelling ------------------------------------------------------------------------------

TEST(EngineAcquire, ACancelledCallerLeavesTheOthersTheirLoad) {
  MockModel model;
  Gate load;
  bool stopped = true;  // written by the load, read after it
  model.on_load([&, load](const ModelSpec &, const std::stop_token &stop) {
    (void)load.wait();
    stopped = stop.stop_requested();
  });
  const Caller patient;
  ASSERT_TRUE(model.loading().wait());
  Caller impatient;
  let_callers_arrive();
  impatient.cancel();
  EXPECT_EQ(impatient.error().kind(), ErrorKind::kCancelled);
  EXPECT_FALSE(patient.has_returned_within(kWatch));
  load.open();
  EXPECT_NE(patient.engine(), nullptr);
  EXPECT_FALSE(stopped);
  EXPECT_EQ(model.loading().count(), 1u);
}

TEST(EngineAcquire, ALoadThatNobodyWaitsForIsCancelled) {
  MockModel model;
  Gate stopped;
  model.on_load([stopped](const ModelSpec &, std::stop_token stop) mutable {
    const std::stop_callback on_stop(stop, [&] { stopped.open(); });
    (void)stopped.wait();
    throw Error(ErrorKind::kCancelled, "as asked");
  });
  Caller first, second;
  ASSERT_TRUE(model.loading().wait());
  let_callers_arrive();
  first.cancel();
  EXPECT_EQ(first.error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(stopped.count(), 0u);
  second.cancel();
  EXPECT_EQ(second.error().kind(), ErrorKind::kCancelled);
  EXPECT_TRUE(stopped.wait());
}

// Both the caller and the load that nobody waits for are left alone by a loader that hangs.
TEST(EngineAcquire, AHangingLoadKeepsNeitherItsCallerNorTheNextOne) {
  MockModel model;
  Gate load;
  model.on_load([load](const ModelSpec &, const std::stop_token &) { (void)load.wait(); });
  Caller caller;
  ASSERT_TRUE(model.loading().wait());
  caller.cancel();
  EXPECT_EQ(caller.error().kind(), ErrorKind::kCancelled);
  model.on_load(nullptr);
  const auto engine = Engine::acquire(kSpec);
  EXPECT_EQ(model.loading().count(), 2u);
  // What the first load brings in the end is freed, and does not take the place of the other.
  load.open();
  EXPECT_TRUE(model.freed().wait());
  EXPECT_EQ(Engine::acquire(kSpec), engine);
}

TEST(EngineAcquire, AStoppedTokenGetsALiveEngineButStartsNoLoad) {
  const MockModel model;
  std::stop_source stop;
  stop.request_stop();
  try {
    Engine::acquire(kSpec, stop.get_token());
    ADD_FAILURE() << "acquire() returned";
  } catch (const Error &error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  }
  EXPECT_EQ(model.loading().count(), 0u);
  const auto engine = Engine::acquire(kSpec);
  EXPECT_EQ(Engine::acquire(kSpec, stop.get_token()), engine);
}

TEST(SetBackendLoader, ReturnsTheLoaderBefore) {
  BackendLoader before = set_backend_loader(
      [](const ModelSpec &, const std::stop_token &) { return std::unique_ptr<Backend>(); });
  const BackendLoader mine = set_backend_loader(before);
  ASSERT_TRUE(mine);
  EXPECT_EQ(mine(kSpec, {}), nullptr);
}

}  // namespace
}  // namespace moondream
