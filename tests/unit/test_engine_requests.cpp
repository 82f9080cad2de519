// What becomes of one request: its outcome, its callback, its cancelling.

#include <limits>
#include <new>
#include <stdexcept>

#include "engine_test.h"

namespace moondream {
namespace {

class EngineRequests : public EngineTest {
 protected:
  // Submits and waits for the outcome.
  Outcome outcome_of(Request request) {
    Inbox inbox;
    stream->submit(std::move(request), inbox.callback());
    return inbox.letter().outcome;
  }
  Error error_of(Request request) { return std::get<Error>(outcome_of(std::move(request))); }

  std::unique_ptr<Stream> stream = engine->open_stream();
};

// ---- What submit() takes ----------------------------------------------------------------------

TEST_F(EngineRequests, WithoutPromptsOrCallbackOrWithABrokenImageAreRefused) {
  const Inbox inbox;
  const auto refusal = [&](Request request, Callback callback) -> std::string {
    try {
      stream->submit(std::move(request), std::move(callback));
    } catch (const Error &error) {
      EXPECT_EQ(error.kind(), ErrorKind::kSettings);
      return error.what();
    }
    return "taken";
  };
  EXPECT_EQ(refusal({}, inbox.callback()), "the request has no prompts");
  EXPECT_EQ(refusal(about_image({}), inbox.callback()), "the request has no prompts");
  for (const Prompt &prompt : {Prompt(CaptionPrompt{}), Prompt(DetectPrompt{"dog"}),
                               Prompt(PointPrompt{"dog"}), Prompt(GazePrompt{})}) {
    Request request = query("and");
    request.prompts.push_back(prompt);
    EXPECT_EQ(refusal(request, inbox.callback()), "without an image only queries can be answered");
  }
  EXPECT_EQ(refusal(query("?"), nullptr), "the request has no callback");
  for (const Image &image :
       {Image{2, 2, std::vector<std::uint8_t>(11)}, Image{0, 5, {}}, Image{-1, -1, {1, 2, 3}},
        Image{3, 1, std::vector<std::uint8_t>(10)},
        Image{std::numeric_limits<int>::max(), std::numeric_limits<int>::max(), {1, 2, 3}}}) {
    Request request = about_image({CaptionPrompt{}});
    request.image = std::make_shared<Image>(image);
    EXPECT_NE(refusal(request, inbox.callback()).find("RGB pixels cannot have"), std::string::npos);
  }
  for (const Box &face : {Box{0.5, 0.1, 0.4, 0.2}, Box{0.1, 0.3, 0.4, 0.2},
                          Box{std::numeric_limits<double>::quiet_NaN(), 0, 1, 1}}) {
    EXPECT_NE(refusal(about_image({GazePrompt{{}, false, face}}), inbox.callback())
                  .find("ends before it begins"),
              std::string::npos);
  }
  for (const Grid grid : {Grid{0, 1}, Grid{1, 0}, Grid{-3, 2}}) {
    Request request = query("?");
    request.grid = grid;
    EXPECT_NE(refusal(request, inbox.callback()).find("a grid of"), std::string::npos);
  }
  for (const double threshold : {-0.001, 1.001, std::numeric_limits<double>::quiet_NaN()}) {
    Request request = query("?");
    request.change_threshold = threshold;
    EXPECT_NE(refusal(request, inbox.callback()).find("change_threshold"), std::string::npos);
  }
  EXPECT_EQ(engine->stats().submitted, 0u);
  EXPECT_EQ(inbox.count(), 0u);
}

TEST_F(EngineRequests, ReachTheBackendAsTheyAre) {
  Request request = about_image({CaptionPrompt{CaptionLength::kShort}, DetectPrompt{"dog"}});
  request.settings = {
      .temperature = 0.5, .top_p = 0.9, .seed = 11, .max_tokens = 3, .max_objects = 7};
  const auto image = request.image;
  outcome_of(request);
  const auto run = model.runs().at(0);
  EXPECT_EQ(run.image.lock(), image);
  ASSERT_EQ(run.prompts.size(), 2u);
  EXPECT_EQ(std::get<CaptionPrompt>(run.prompts[0]).length, CaptionLength::kShort);
  EXPECT_EQ(std::get<DetectPrompt>(run.prompts[1]).object, "dog");
  EXPECT_EQ(run.settings.temperature, 0.5);
  EXPECT_EQ(run.settings.top_p, 0.9);
  EXPECT_EQ(run.settings.seed, 11u);
  EXPECT_EQ(run.settings.max_tokens, 3);
  EXPECT_EQ(run.settings.max_objects, 7);
}

// ---- Outcomes ---------------------------------------------------------------------------------

TEST_F(EngineRequests, GetTheBackendsResultOnAWorkerThread) {
  Inbox inbox;
  stream->submit(query("why?"), inbox.callback());
  EXPECT_EQ(answer(inbox.result()), "mock answer: why?");
  EXPECT_NE(inbox.letter().thread, std::this_thread::get_id());
}

TEST_F(EngineRequests, GetTheBackendsError) {
  model.next(fails(ErrorKind::kSettings, "max_tokens = -1"));
  const Error error = error_of(query("why?"));
  EXPECT_EQ(error.kind(), ErrorKind::kSettings);
  EXPECT_STREQ(error.what(), "max_tokens = -1");
}

// Judging what a model says is for who shows it.
TEST_F(EngineRequests, GetBrokenTextsAndBoxesUnchanged) {
  const Request request = about_image({QueryPrompt{"?"}, DetectPrompt{"dog"}});
  model.next(answers_garbage_text());
  const auto text = std::get<Result>(outcome_of(request));
  EXPECT_EQ(answer(text), answer(std::get<Result>(answers_garbage_text()({&request, {}}))));
  model.next(answers_broken_boxes());
  const auto boxes = std::get<DetectResult>(std::get<Result>(outcome_of(request)).prompts[1]);
  ASSERT_EQ(boxes.objects.size(), 8u);
  EXPECT_NE(boxes.objects[0].score, boxes.objects[0].score);
  EXPECT_EQ(boxes.objects[3].box.x_max, 1.5);
  model.next(answers_many_boxes(5000));
  const auto many = std::get<DetectResult>(std::get<Result>(outcome_of(request)).prompts[1]);
  EXPECT_EQ(many.objects.size(), 5000u);
}

TEST_F(EngineRequests, GetAnErrorOfWhateverTheBackendThrows) {
  model.next(throws(Error(ErrorKind::kNoMemory, "cuda:0 is full")));
  const Error own = error_of(query("?"));
  EXPECT_EQ(own.kind(), ErrorKind::kNoMemory);
  EXPECT_STREQ(own.what(), "cuda:0 is full");
  model.next(throws(std::runtime_error("shape")));
  const Error standard = error_of(query("?"));
  EXPECT_EQ(standard.kind(), ErrorKind::kFailed);
  EXPECT_STREQ(standard.what(), "inference failed: shape");
  model.next(throws(std::bad_alloc()));
  EXPECT_EQ(error_of(query("?")).kind(), ErrorKind::kNoMemory);
  model.next(throws(42));
  EXPECT_EQ(error_of(query("?")).kind(), ErrorKind::kFailed);
  // And the worker lives on.
  EXPECT_TRUE(std::holds_alternative<Result>(outcome_of(query("?"))));
}

TEST_F(EngineRequests, GetAnErrorIfTheBackendMiscountsItsOutcomes) {
  for (const std::size_t count : {0, 2}) {
    model.on_batch([count](std::span<const Job> jobs) {
      return std::vector<Outcome>(count, mock_result(*jobs[0].request));
    });
    const Error error = error_of(query("?"));
    EXPECT_EQ(error.kind(), ErrorKind::kFailed);
    EXPECT_EQ(error.what(),
              "the backend returned " + std::to_string(count) + " outcomes for 1 requests");
  }
}

TEST_F(EngineRequests, GetAnErrorIfTheResultsDoNotFitThePrompts) {
  const Request request = about_image({QueryPrompt{"?"}, DetectPrompt{"dog"}});
  const std::string prefix = "the backend returned a wrong result: ";
  model.next(answers(Result{{QueryResult{}}}));
  EXPECT_EQ(error_of(request).what(), prefix + "1 results for 2 prompts");
  model.next(answers(Result{{QueryResult{}, DetectResult{}, DetectResult{}}}));
  EXPECT_EQ(error_of(request).what(), prefix + "3 results for 2 prompts");
  model.next(answers(Result{{QueryResult{}, PointResult{}}}));
  EXPECT_EQ(error_of(request).what(),
            prefix + "the result of prompt 1 is of another kind than the prompt");
  model.next(answers(Result{{DetectResult{}, QueryResult{}}}));
  EXPECT_EQ(error_of(request).kind(), ErrorKind::kFailed);
}

// ---- Callbacks --------------------------------------------------------------------------------

TEST_F(EngineRequests, ACallbackThatThrowsHarmsNobody) {
  Gate called;
  stream->submit(query("?"), [called](const Outcome &) mutable {
    called.open();
    throw std::runtime_error("promised not to");
  });
  ASSERT_TRUE(called.wait());
  EXPECT_TRUE(std::holds_alternative<Result>(outcome_of(query("?"))));
  // Nor who cancels.
  model.next(hangs_until_cancelled());
  const Ticket ticket = stream->submit(query("?"), [](const Outcome &) { throw 1; });
  EXPECT_NO_THROW(ticket.cancel());
}

// A frame is large, and a ticket small: it must not keep the frame, nor what the callback owns.
TEST_F(EngineRequests, TheImageAndTheCallbackAreFreedWhenARequestEndsThoughItsTicketIsKept) {
  const auto submit = [this](std::weak_ptr<const Image> &image, std::weak_ptr<int> &captured,
                             Gate called) {
    Request request = about_image({CaptionPrompt{}});
    image = request.image;
    auto capture = std::make_shared<int>(1);
    captured = capture;
    return stream->submit(std::move(request),
                          [capture, called](const Outcome &) mutable { called.open(); });
  };
  std::weak_ptr<const Image> image;
  std::weak_ptr<int> captured;
  Gate called;
  const Ticket done = submit(image, captured, called);
  ASSERT_TRUE(called.wait());
  EXPECT_TRUE(image.expired());
  EXPECT_TRUE(eventually([&] { return captured.expired(); }));

  auto other = engine->open_stream();
  model.next(hangs_until_cancelled());
  const Ticket running = other->submit(query("hang"), Inbox().callback());
  ASSERT_TRUE(model.started().wait(2));
  const Ticket waiting = submit(image, captured, called);
  EXPECT_FALSE(image.expired());
  waiting.cancel();
  EXPECT_TRUE(image.expired());
  EXPECT_TRUE(captured.expired());
}

TEST_F(EngineRequests, ACallbackMaySubmitTheNextRequest) {
  Inbox last;
  stream->submit(query("one"), [&](const Outcome &) {
    stream->submit(query("two"),
                   [&](const Outcome &) { stream->submit(query("three"), last.callback()); });
  });
  EXPECT_EQ(answer(last.result()), "mock answer: three");
}

// ---- Cancelling -------------------------------------------------------------------------------

TEST_F(EngineRequests, ACancelledRunningRequestEndsAtOnceOnThisThreadThoughItsBackendHangs) {
  Gate hang;
  model.next(hangs_until(hang));
  Inbox inbox;
  const Ticket ticket = stream->submit(query("hang"), inbox.callback());
  ASSERT_TRUE(model.started().wait());
  ticket.cancel();
  ASSERT_EQ(inbox.count(), 1u);
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(inbox.letter().thread, std::this_thread::get_id());
  // The stream has room again, and the outcome that comes late is dropped.
  Inbox next;
  stream->submit(query("next"), next.callback());
  EXPECT_EQ(next.count(), 0u);
  hang.open();
  EXPECT_EQ(answer(next.result()), "mock answer: next");
  EXPECT_EQ(inbox.count(), 1u);
}

TEST_F(EngineRequests, CancellingARunningRequestStopsItsBackend) {
  model.next(hangs_until_cancelled());
  const Ticket ticket = stream->submit(query("hang"), Inbox().callback());
  ASSERT_TRUE(model.started().wait());
  EXPECT_EQ(model.ended().count(), 0u);
  ticket.cancel();
  EXPECT_TRUE(model.ended().wait());
}

TEST_F(EngineRequests, ACancelledWaitingRequestEndsAtOnceOnThisThreadAndNeverRuns) {
  Gate hang;
  model.next(hangs_until(hang));
  stream->submit(query("runs"), Inbox().callback());
  ASSERT_TRUE(model.started().wait());
  const auto other = engine->open_stream({.max_pending = 2});
  Inbox inbox, last;
  const Ticket ticket = other->submit(query("waits"), inbox.callback());
  other->submit(query("last"), last.callback());
  ticket.cancel();
  ASSERT_EQ(inbox.count(), 1u);
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
  EXPECT_EQ(inbox.letter().thread, std::this_thread::get_id());
  hang.open();
  ASSERT_TRUE(last.wait());
  ASSERT_EQ(model.runs().size(), 2u);
  EXPECT_EQ(question(model.runs()[1]), "last");
}

TEST_F(EngineRequests, CancellingAFinishedRequestHasNoEffect) {
  Inbox inbox;
  const Ticket ticket = stream->submit(query("?"), inbox.callback());
  ASSERT_TRUE(inbox.wait());
  ticket.cancel();
  ticket.cancel();
  EXPECT_EQ(inbox.count(), 1u);
  EXPECT_TRUE(std::holds_alternative<Result>(inbox.letter().outcome));
  EXPECT_EQ(engine->stats().cancelled, 0u);
  EXPECT_EQ(engine->stats().completed, 1u);
  Ticket().cancel();
}

TEST_F(EngineRequests, CopiesOfATicketAreOfOneRequestAndDroppingThemDoesNotCancel) {
  Gate hang;
  model.next(hangs_until(hang));
  Inbox inbox;
  {
    const Ticket ticket = stream->submit(query("?"), inbox.callback());
    const Ticket copy = ticket;  // NOLINT: the copy is what is tested
  }
  ASSERT_TRUE(model.started().wait());
  hang.open();
  EXPECT_TRUE(std::holds_alternative<Result>(inbox.letter().outcome));

  model.next(hangs_until_cancelled());
  Inbox second;
  const Ticket ticket = stream->submit(query("?"), second.callback());
  const Ticket copy = ticket;
  copy.cancel();
  ticket.cancel();
  EXPECT_EQ(second.count(), 1u);
}

TEST_F(EngineRequests, ACallbackMayCancelItsOwnAndOtherRequests) {
  model.next(hangs_until_cancelled());
  const auto other = engine->open_stream();
  Inbox inbox;
  const Ticket running = stream->submit(query("runs"), inbox.callback());
  ASSERT_TRUE(model.started().wait());
  Ticket self;
  Gate called;
  self = other->submit(query("waits"), [&](const Outcome &) {
    self.cancel();
    running.cancel();
    called.open();
  });
  self.cancel();
  EXPECT_EQ(called.count(), 1u);
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
}

// A ticket may be all that is left.
TEST_F(EngineRequests, ATicketMayBeCancelledAfterItsEngineIsGone) {
  Inbox inbox;
  model.next(hangs_until_cancelled());
  const Ticket ticket = stream->submit(query("?"), inbox.callback());
  stream.reset();
  EXPECT_EQ(inbox.count(), 1u);
  engine.reset();
  EXPECT_TRUE(model.freed().wait());
  ticket.cancel();
  EXPECT_EQ(inbox.count(), 1u);
}

}  // namespace
}  // namespace moondream
