// How pictures are made and prepared before their requests run, and what streams keep.

#include <new>
#include <stdexcept>

#include "engine_test.h"

namespace moondream {
namespace {

using MakeImage = decltype(Request::make_image);

std::shared_ptr<const Image> picture() {
  return std::make_shared<Image>(Image{2, 1, {1, 2, 3, 4, 5, 6}});
}

// A query about a picture that is still to be made.
Request about(const std::string &question, MakeImage make_image = picture) {
  Request request = query(question);
  request.make_image = std::move(make_image);
  return request;
}

MakeImage makes_after(Gate gate, Gate begun = {}) {
  return [gate, begun]() mutable {
    begun.open();
    if (!gate.wait()) throw 0;
    return picture();
  };
}

class EnginePictures : public EngineTest {
 protected:
  Outcome outcome_of(Request request) {
    Inbox inbox;
    stream->submit(std::move(request), inbox.callback());
    return inbox.letter().outcome;
  }
  Error error_of(Request request) { return std::get<Error>(outcome_of(std::move(request))); }

  // Keeps the only worker busy until `hang` opens.
  void occupy_worker() {
    model.next(hangs_until(hang));
    occupier->submit(query("occupies"), Inbox().callback());
    ASSERT_TRUE(model.started().wait());
  }
  bool reach(std::size_t preparing, std::size_t prepared) {
    return eventually([&] {
      const EngineStats stats = engine->stats();
      return stats.preparing == preparing && stats.prepared == prepared;
    });
  }

  Gate hang;
  std::unique_ptr<Stream> occupier = engine->open_stream();
  std::unique_ptr<Stream> stream = engine->open_stream({.max_pending = 9});
};

// ---- Making
// --------------------------------------------------------------------------------------

TEST_F(EnginePictures, AreMadeOnAThreadOfTheEngineAndReachTheBackend) {
  std::thread::id thread;  // written before the outcome, read after it
  std::weak_ptr<const Image> made;
  const auto result = outcome_of(about("?", [&] {
    thread = std::this_thread::get_id();
    const auto image = picture();
    made = image;
    return image;
  }));
  EXPECT_TRUE(std::holds_alternative<Result>(result));
  EXPECT_NE(thread, std::this_thread::get_id());
  EXPECT_NE(thread, std::thread::id());
  const auto run = model.runs().at(0);
  // Freed since, but still known to be the same.
  EXPECT_FALSE(run.image.owner_before(made) || made.owner_before(run.image));
  EXPECT_TRUE(run.prepared);
  EXPECT_TRUE(made.expired());
}

TEST_F(EnginePictures, ThatAreGivenAreNotMade) {
  Gate called;
  Request request = about_image({CaptionPrompt{}});
  auto capture = std::make_shared<int>();
  const std::weak_ptr<int> captured = capture;
  request.make_image = [called, capture = std::move(capture)]() mutable {
    called.open();
    return picture();
  };
  const auto image = request.image;
  model.always([captured](const Job &job) -> Outcome {
    EXPECT_TRUE(captured.expired());
    return mock_result(*job.request);
  });
  EXPECT_TRUE(std::holds_alternative<Result>(outcome_of(std::move(request))));
  EXPECT_EQ(called.count(), 0u);
  EXPECT_EQ(model.runs().at(0).image.lock(), image);
  EXPECT_TRUE(model.runs().at(0).prepared);
}

TEST_F(EnginePictures, WithoutOneARequestIsNotPrepared) {
  outcome_of(query("?"));
  EXPECT_EQ(model.preparing().count(), 0u);
  EXPECT_FALSE(model.runs().at(0).prepared);
}

// Both own frames of video, of which a decoder may have few.
TEST_F(EnginePictures, MakersAreFreedBeforeTheRequestRuns) {
  std::vector<std::weak_ptr<int>> captured;
  for (int i = 0; i < 2; ++i) {
    auto capture = std::make_shared<int>();
    captured.push_back(capture);
    model.next([watch = captured.back()](const Job &job) -> Outcome {
      EXPECT_TRUE(watch.expired());
      return mock_result(*job.request);
    });
    const bool fails = i == 1;
    const Outcome outcome = outcome_of(about("?", [capture = std::move(capture), fails] {
      if (fails) throw std::runtime_error("no picture");
      return picture();
    }));
    EXPECT_EQ(std::holds_alternative<Error>(outcome), fails);
    EXPECT_TRUE(captured[i].expired());
  }
}

TEST_F(EnginePictures, WhatAMakerThrowsIsTheRequestsError) {
  const Error own = error_of(about("?", []() -> std::shared_ptr<const Image> {
    throw Error(ErrorKind::kSettings, "the frame is upside down");
  }));
  EXPECT_EQ(own.kind(), ErrorKind::kSettings);
  EXPECT_STREQ(own.what(), "the frame is upside down");
  const Error standard = error_of(
      about("?", []() -> std::shared_ptr<const Image> { throw std::runtime_error("cannot map"); }));
  EXPECT_EQ(standard.kind(), ErrorKind::kFailed);
  EXPECT_STREQ(standard.what(), "making the picture: cannot map");
  const Error memory =
      error_of(about("?", []() -> std::shared_ptr<const Image> { throw std::bad_alloc(); }));
  EXPECT_EQ(memory.kind(), ErrorKind::kNoMemory);
  const Error integer = error_of(about("?", []() -> std::shared_ptr<const Image> { throw 7; }));
  EXPECT_EQ(integer.kind(), ErrorKind::kFailed);
  // And the thread lives on.
  EXPECT_TRUE(std::holds_alternative<Result>(outcome_of(about("?"))));
  EXPECT_EQ(engine->stats().failed, 4u);
  EXPECT_EQ(model.started().count(), 1u);
}

TEST_F(EnginePictures, OfWrongSizeOrAbsentAreTheRequestsError) {
  const Error absent = error_of(about("?", [] { return nullptr; }));
  EXPECT_EQ(absent.kind(), ErrorKind::kFailed);
  EXPECT_STREQ(absent.what(), "making the picture: there is none");
  const Error small = error_of(about("?", [] {
    return std::make_shared<Image>(Image{2, 2, std::vector<std::uint8_t>(11)});
  }));
  EXPECT_EQ(small.kind(), ErrorKind::kSettings);
  EXPECT_STREQ(small.what(), "an image of 2x2 RGB pixels cannot have 11 bytes");
  EXPECT_EQ(model.preparing().count(), 0u);
}

// ---- Preparing
// -----------------------------------------------------------------------------------

TEST_F(EnginePictures, ArePreparedWhileAnotherRequestRuns) {
  occupy_worker();
  Inbox inbox;
  stream->submit(about("?"), inbox.callback());
  EXPECT_TRUE(reach(0, 1));
  EXPECT_EQ(model.preparing().count(), 1u);
  EXPECT_EQ(model.started().count(), 1u);
  hang.open();
  EXPECT_EQ(answer(inbox.result()), "mock answer: ?");
}

TEST_F(EnginePictures, WhatPreparingThrowsIsTheRequestsError) {
  model.on_prepare([](const Request &, const Image &) -> std::unique_ptr<const Preparation> {
    throw std::runtime_error("too wide");
  });
  const Error standard = error_of(about("?"));
  EXPECT_EQ(standard.kind(), ErrorKind::kFailed);
  EXPECT_STREQ(standard.what(), "preparing the picture: too wide");
  model.on_prepare([](const Request &, const Image &) -> std::unique_ptr<const Preparation> {
    throw Error(ErrorKind::kNoMemory, "full");
  });
  EXPECT_STREQ(error_of(about("?")).what(), "full");
  EXPECT_EQ(model.started().count(), 0u);
}

TEST_F(EnginePictures, ABackendMayPrepareNothing) {
  model.on_prepare([](const Request &, const Image &) { return nullptr; });
  EXPECT_TRUE(std::holds_alternative<Result>(outcome_of(about("?"))));
  EXPECT_FALSE(model.runs().at(0).prepared);
}

// With two threads that prepare, a later picture may be ready first, or need nothing.
TEST_F(EnginePictures, ThatTakeLongKeepTheirPlaceInTheirStream) {
  Gate slow, slow_begun;
  Inbox inbox;
  stream->submit(about("slow", makes_after(slow, slow_begun)), inbox.callback());
  ASSERT_TRUE(slow_begun.wait());
  stream->submit(about("quick"), inbox.callback());
  stream->submit(query("without"), inbox.callback());
  EXPECT_TRUE(reach(1, 2));
  // Other streams go on.
  Inbox other;
  occupier->submit(about("other"), other.callback());
  EXPECT_EQ(answer(other.result()), "mock answer: other");
  EXPECT_EQ(inbox.count(), 0u);
  slow.open();
  ASSERT_TRUE(inbox.wait(3));
  std::vector<std::string> questions;
  for (const auto &run : model.runs()) questions.push_back(question(run));
  EXPECT_EQ(questions, (std::vector<std::string>{"other", "slow", "quick", "without"}));
}

// The pictures that are prepared first are those that run first.
TEST_F(EnginePictures, ArePreparedForStreamsInTurn) {
  Gate slow, begun;
  occupy_worker();
  const auto blocker = engine->open_stream({.max_pending = 9});
  for (int i = 0; i < 2; ++i)
    blocker->submit(about("", makes_after(slow, begun)), Inbox().callback());
  ASSERT_TRUE(begun.wait(2));  // both threads
  std::mutex mutex;
  std::vector<std::string> made;  // mutex
  const auto noted = [&](const std::string &name) {
    return about(name, [&, name] {
      const std::lock_guard lock(mutex);
      made.push_back(name);
      return picture();
    });
  };
  // Both threads prepare: "first" holds one of them until the other has done all else.
  Gate first_begun, done;
  stream->submit(about("first", makes_after(done, first_begun)), Inbox().callback());
  const auto b = engine->open_stream({.max_pending = 9});
  const auto c = engine->open_stream({.max_pending = 9});
  Inbox inbox;
  for (const char *name : {"b1", "b2", "b3"}) b->submit(noted(name), inbox.callback());
  for (const char *name : {"c1", "c2"}) c->submit(noted(name), inbox.callback());
  slow.open();
  ASSERT_TRUE(first_begun.wait());
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return made.size() == 5;
  }));
  EXPECT_EQ(made, (std::vector<std::string>{"b1", "c1", "b2", "c2", "b3"}));
  done.open();
  hang.open();
  EXPECT_TRUE(inbox.wait(5));
}

// ---- Replacing
// -----------------------------------------------------------------------------------

TEST_F(EnginePictures, APreparedRequestIsReplacedByANewerOne) {
  occupy_worker();
  const auto latest = engine->open_stream({.max_pending = 1});
  Inbox first, second;
  latest->submit(about("1"), first.callback());
  ASSERT_TRUE(reach(0, 1));
  EXPECT_EQ(model.preparations(), 1u);
  latest->submit(about("2"), second.callback());
  EXPECT_EQ(first.error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(first.letter().thread, std::this_thread::get_id());
  ASSERT_TRUE(reach(0, 1));
  EXPECT_EQ(model.preparations(), 1u);
  hang.open();
  EXPECT_EQ(answer(second.result()), "mock answer: 2");
}

TEST_F(EnginePictures, ARequestThatIsBeingPreparedIsReplacedWhileNoWorkerIsIdle) {
  occupy_worker();
  const auto latest = engine->open_stream({.max_pending = 1});
  Gate slow, begun;
  Inbox first, second;
  latest->submit(about("1", makes_after(slow, begun)), first.callback());
  ASSERT_TRUE(begun.wait());
  latest->submit(about("2"), second.callback());
  EXPECT_EQ(first.error().kind(), ErrorKind::kCancelled);
  slow.open();
  hang.open();
  EXPECT_EQ(answer(second.result()), "mock answer: 2");
  EXPECT_EQ(model.started().count(), 2u);
}

// A stream that submits faster than its pictures are prepared must get results all the same.
TEST_F(EnginePictures, ARequestThatIsBeingPreparedForAnIdleWorkerIsNotReplaced) {
  const auto latest = engine->open_stream({.max_pending = 1});
  ASSERT_TRUE(eventually([&] { return engine->stats().idle_workers == 1; }));
  Gate slow, begun;
  Inbox first, second;
  latest->submit(about("1", makes_after(slow, begun)), first.callback());
  ASSERT_TRUE(begun.wait());
  latest->submit(about("2"), second.callback());
  EXPECT_EQ(second.error().kind(), ErrorKind::kCancelled);
  slow.open();
  EXPECT_EQ(answer(first.result()), "mock answer: 1");
}

// ---- Cancelling
// ----------------------------------------------------------------------------------

TEST_F(EnginePictures, ARequestIsCancelledAtOnceThoughItsMakerHangs) {
  Gate slow, begun;
  Inbox inbox;
  auto capture = std::make_shared<int>();
  const std::weak_ptr<int> captured = capture;
  const Ticket ticket = stream->submit(
      about("?",
            [make = makes_after(slow, begun), capture = std::move(capture)] { return make(); }),
      inbox.callback());
  ASSERT_TRUE(begun.wait());
  ticket.cancel();
  ASSERT_EQ(inbox.count(), 1u);
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(inbox.letter().thread, std::this_thread::get_id());
  EXPECT_EQ(engine->stats().preparing, 0u);
  slow.open();
  EXPECT_TRUE(eventually([&] { return captured.expired(); }));
  // What comes late is neither prepared nor run.
  EXPECT_TRUE(std::holds_alternative<Result>(outcome_of(about("next"))));
  EXPECT_EQ(inbox.count(), 1u);
  EXPECT_EQ(model.preparing().count(), 1u);
  EXPECT_EQ(model.started().count(), 1u);
}

TEST_F(EnginePictures, ThePreparationOfACancelledRequestIsDropped) {
  Gate slow, begun;
  model.on_prepare([slow, begun](const Request &, const Image &) mutable {
    struct Watched : Preparation {
      explicit Watched(Gate gate) : freed(std::move(gate)) {}
      ~Watched() override { freed.open(); }
      std::uint64_t bytes() const override { return 0; }
      Gate freed;
    };
    begun.open();
    EXPECT_TRUE(slow.wait());
    return std::make_unique<Watched>(begun);
  });
  Inbox inbox;
  const auto image = picture();
  const Ticket ticket = stream->submit(about("?", [image] { return image; }), inbox.callback());
  ASSERT_TRUE(begun.wait());
  ticket.cancel();
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
  slow.open();
  EXPECT_TRUE(begun.wait(2));
  EXPECT_TRUE(eventually([&] { return image.use_count() == 1; }));
  EXPECT_EQ(model.started().count(), 0u);
}

TEST_F(EnginePictures, CancelledRequestsThatWaitAreNotMade) {
  Gate slow, begun, made;
  for (int i = 0; i < 2; ++i)
    stream->submit(about("", makes_after(slow, begun)), Inbox().callback());
  ASSERT_TRUE(begun.wait(2));  // both threads
  auto capture = std::make_shared<int>();
  const std::weak_ptr<int> captured = capture;
  Inbox inbox;
  const Ticket ticket = stream->submit(about("cancelled",
                                             [made, capture = std::move(capture)]() mutable {
                                               made.open();
                                               return picture();
                                             }),
                                       inbox.callback());
  EXPECT_EQ(engine->stats().waiting, 1u);
  ticket.cancel();
  EXPECT_EQ(inbox.count(), 1u);
  EXPECT_TRUE(captured.expired());
  Inbox last;
  stream->submit(about("last"), last.callback());
  slow.open();
  EXPECT_EQ(answer(last.result()), "mock answer: last");
  EXPECT_EQ(made.count(), 0u);
}

// What comes behind a cancelled request need not wait for its maker.
TEST_F(EnginePictures, CancellingTheOldestLetsTheNextRun) {
  Gate slow, begun;
  Inbox first, second;
  const Ticket ticket = stream->submit(about("1", makes_after(slow, begun)), first.callback());
  ASSERT_TRUE(begun.wait());
  stream->submit(about("2"), second.callback());
  ASSERT_TRUE(reach(1, 1));
  ticket.cancel();
  EXPECT_EQ(answer(second.result()), "mock answer: 2");
  slow.open();
}

TEST_F(EnginePictures, ACallbackOnAThreadThatPreparesMaySubmitToAFullStream) {
  const auto full = engine->open_stream({.max_pending = 1, .overflow = Overflow::kWait});
  Inbox inbox;
  full->submit(about("0", [] { return nullptr; }), [&](const Outcome &) {
    for (const char *text : {"1", "2"}) full->submit(about(text), inbox.callback());
  });
  EXPECT_EQ(answer(inbox.result(1)), "mock answer: 2");
}

// ---- Ending
// --------------------------------------------------------------------------------------

// A pipeline that stops must not wait for a picture that does not come.
TEST_F(EnginePictures, ReleasingAnEngineWhoseMakerHangsReturnsPromptly) {
  Gate slow, begun;
  Inbox inbox;
  stream->submit(about("?", makes_after(slow, begun)), inbox.callback());
  ASSERT_TRUE(begun.wait());
  const auto start = std::chrono::steady_clock::now();
  stream.reset();
  EXPECT_EQ(inbox.count(), 1u);
  occupier.reset();
  engine.reset();
  // Far above the 100 ms that it gives its threads, for busy machines; far below the maker's.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(model.alive(), 1u);
  slow.open();
  EXPECT_TRUE(model.freed().wait());
}

TEST_F(EnginePictures, ReleasingAnEngineWhosePreparationHangsReturnsPromptly) {
  Gate slow;
  model.on_prepare([slow](const Request &, const Image &) -> std::unique_ptr<const Preparation> {
    EXPECT_TRUE(slow.wait());
    return nullptr;
  });
  Inbox inbox;
  stream->submit(about("?"), inbox.callback());
  ASSERT_TRUE(model.preparing().wait());
  const auto start = std::chrono::steady_clock::now();
  stream.reset();
  EXPECT_EQ(inbox.count(), 1u);
  occupier.reset();
  engine.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(model.alive(), 1u);
  slow.open();
  EXPECT_TRUE(model.freed().wait());
}

// ---- Streams' memories
// ---------------------------------------------------------------------------

TEST_F(EnginePictures, EachStreamHasItsOwnMemoryInAllItsRequests) {
  outcome_of(about("1"));
  outcome_of(query("2"));
  Inbox inbox;
  occupier->submit(about("3"), inbox.callback());
  ASSERT_TRUE(inbox.wait());
  const auto runs = model.runs();
  EXPECT_NE(runs.at(0).memory, nullptr);
  EXPECT_EQ(runs.at(0).memory, runs.at(1).memory);
  EXPECT_NE(runs.at(2).memory, nullptr);
  EXPECT_NE(runs.at(2).memory, runs.at(0).memory);
}

TEST_F(EnginePictures, AMemoryIsFreedWithItsStreamThoughATicketIsKept) {
  EXPECT_EQ(model.memories(), 2u);
  Inbox inbox;
  const Ticket ticket = stream->submit(about("?"), inbox.callback());
  ASSERT_TRUE(inbox.wait());
  stream.reset();
  EXPECT_EQ(model.memories(), 1u);
}

TEST_F(EnginePictures, AMemoryThatARunUsesLivesUntilItEnds) {
  model.next(hangs_until(hang));
  stream->submit(about("?"), Inbox().callback());
  ASSERT_TRUE(model.started().wait());
  stream.reset();
  EXPECT_EQ(model.memories(), 2u);
  hang.open();
  EXPECT_TRUE(eventually([&] { return model.memories() == 1; }));
}

TEST_F(EnginePictures, AStreamWhoseMemoryCannotBeMadeIsNotOpened) {
  model.on_open_stream([] { throw std::bad_alloc(); });
  try {
    engine->open_stream();
    ADD_FAILURE() << "opened";
  } catch (const Error &error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNoMemory);
  }
  EXPECT_EQ(engine->stats().streams, 2u);
}

// ---- Stats
// ---------------------------------------------------------------------------------------

TEST_F(EnginePictures, StatsTellTheStagesAndTheBytes) {
  const std::uint64_t picture_bytes = picture()->pixels.size();
  EXPECT_EQ(engine->stats().stream_bytes, 2 * kMockMemoryBytes);
  EXPECT_EQ(engine->stats().weight_bytes, 1234u);
  EXPECT_EQ(engine->stats().request_bytes, 0u);
  occupy_worker();
  stream->submit(about("prepared"), Inbox().callback());
  ASSERT_TRUE(reach(0, 1));
  EXPECT_EQ(engine->stats().request_bytes, picture_bytes + kMockPreparationBytes);
  // What is still to be made occupies nothing, what is given does.
  Gate slow, begun;
  for (int i = 0; i < 2; ++i)
    stream->submit(about("", makes_after(slow, begun)), Inbox().callback());
  ASSERT_TRUE(begun.wait(2));
  stream->submit(about("waits"), Inbox().callback());
  stream->submit(about_image({CaptionPrompt{}}), Inbox().callback());
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.waiting, 2u);
  EXPECT_EQ(stats.preparing, 2u);
  EXPECT_EQ(stats.prepared, 1u);
  EXPECT_EQ(stats.running, 1u);
  EXPECT_EQ(stats.request_bytes, 2 * picture_bytes + kMockPreparationBytes);
  slow.open();
  ASSERT_TRUE(reach(0, 5));
  EXPECT_EQ(engine->stats().request_bytes, 5 * (picture_bytes + kMockPreparationBytes));
  stream->cancel_all();
  EXPECT_EQ(engine->stats().request_bytes, 0u);
  EXPECT_EQ(model.preparations(), 0u);
  hang.open();
}

}  // namespace
}  // namespace moondream
