// Texts in pieces, from a real model of small weights through an engine: they are what the result
// is, and whatever the listener does disturbs nobody else.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <stdexcept>

#include "engine_test.h"
#include "test_support.h"
#include "utf8.h"

namespace moondream {
namespace {

const std::filesystem::path kTiny =
    std::filesystem::path(MOONDREAM_TEST_DATA) / "golden" / "moondream2-tiny";

// What a listener was told. Copies share one content. Thread-safety: safe.
class Told {
 public:
  std::function<void(TextPiece)> listener() const {
    return [content = content_](TextPiece piece) {
      const std::lock_guard lock(content->mutex);
      content->pieces.push_back(std::move(piece));
      content->threads.push_back(std::this_thread::get_id());
    };
  }
  std::vector<TextPiece> pieces() const {
    const std::lock_guard lock(content_->mutex);
    return content_->pieces;
  }
  std::vector<std::thread::id> threads() const {
    const std::lock_guard lock(content_->mutex);
    return content_->threads;
  }
  std::string text(std::size_t prompt, bool reasoning) const {
    std::string text;
    for (const TextPiece &piece : pieces()) {
      if (piece.prompt == prompt && piece.reasoning == reasoning) text += piece.text;
    }
    return text;
  }

 private:
  struct Content {
    std::mutex mutex;
    std::vector<TextPiece> pieces;         // mutex
    std::vector<std::thread::id> threads;  // mutex
  };
  std::shared_ptr<Content> content_ = std::make_shared<Content>();
};

// Drawn from all of the vocabulary, so that spaces, line feeds and parts of characters come.
Request request(std::vector<Prompt> prompts, std::uint64_t seed = 1) {
  Request made = about_image(std::move(prompts));
  made.settings.temperature = 1.5;
  made.settings.top_p = 1;
  made.settings.seed = seed;
  made.settings.max_tokens = 40;
  return made;
}

class Streaming : public testing::Test {
 protected:
  Result answer(const Request &asked) {
    const Inbox inbox;
    stream->submit(asked, inbox.callback());
    return inbox.result();
  }

  std::shared_ptr<Engine> engine =
      Engine::acquire({.model = kTiny.string(), .device = "cpu", .precision = Precision::kFloat32});
  std::unique_ptr<Stream> stream = engine->open_stream({.max_pending = 4});
};

TEST_F(Streaming, PiecesInARowAreTheTextsOfTheResult) {
  std::size_t most = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Told told;
    Request asked = request({CaptionPrompt{}, DetectPrompt{"face"},
                             QueryPrompt{"What is it?", false, {}}, QueryPrompt{"Why?", true, {}}},
                            seed);
    asked.reuse_result = false;
    const Result alone = answer(asked);
    asked.on_text = told.listener();
    const Result result = answer(asked);

    const auto &caption = std::get<CaptionResult>(result.prompts[0]);
    const auto &query = std::get<QueryResult>(result.prompts[2]);
    const auto &thought = std::get<QueryResult>(result.prompts[3]);
    EXPECT_EQ(told.text(0, false), caption.text);
    EXPECT_EQ(told.text(2, false), query.answer);
    EXPECT_EQ(told.text(3, true), thought.reasoning.value().text);
    EXPECT_EQ(told.text(3, false), thought.answer);
    EXPECT_EQ(told.text(0, true) + told.text(1, false) + told.text(1, true) + told.text(2, true),
              "");
    for (const TextPiece &piece : told.pieces()) {
      EXPECT_FALSE(piece.text.empty());
      EXPECT_EQ(piece.text, to_valid_utf8(piece.text));
    }
    most = std::max(most, told.pieces().size());
    // Who listens changes nothing.
    EXPECT_EQ(std::get<CaptionResult>(alone.prompts[0]).text, caption.text);
    EXPECT_EQ(std::get<QueryResult>(alone.prompts[3]).reasoning.value().text,
              thought.reasoning->text);
  }
  // Words come one by one, not each text at its end: those would be 4 pieces.
  EXPECT_GE(most, 12u);
}

TEST_F(Streaming, ReasoningComesBeforeItsAnswer) {
  const Told told;
  Request asked = request({QueryPrompt{"Why?", true, {}}});
  asked.on_text = told.listener();
  answer(asked);
  const auto pieces = told.pieces();
  ASSERT_TRUE(std::ranges::any_of(pieces, &TextPiece::reasoning));
  ASSERT_FALSE(std::ranges::all_of(pieces, &TextPiece::reasoning));
  EXPECT_TRUE(std::ranges::is_partitioned(pieces, std::identity(), &TextPiece::reasoning));
}

TEST_F(Streaming, ItIsToldOnTheThreadThatThenCallsTheCallback) {
  const Told told;
  const Inbox inbox;
  Request asked = request({CaptionPrompt{}});
  asked.on_text = told.listener();
  stream->submit(asked, inbox.callback());
  const std::thread::id thread = inbox.letter().thread;
  ASSERT_FALSE(told.threads().empty());
  EXPECT_NE(thread, std::this_thread::get_id());
  EXPECT_TRUE(std::ranges::all_of(told.threads(), [&](auto id) { return id == thread; }));
}

TEST_F(Streaming, AReusedResultComesAsOnePieceForEachText) {
  Request asked = request({QueryPrompt{"What is it?", false, {}}, QueryPrompt{"Why?", true, {}}});
  const Result first = answer(asked);
  const Told told;
  asked.on_text = told.listener();
  const Result second = answer(asked);
  ASSERT_TRUE(second.effort.reused);
  const auto &query = std::get<QueryResult>(first.prompts[0]);
  const auto &thought = std::get<QueryResult>(first.prompts[1]);
  EXPECT_EQ(told.pieces(), (std::vector<TextPiece>{{0, false, query.answer},
                                                   {1, true, thought.reasoning.value().text},
                                                   {1, false, thought.answer}}));
}

TEST_F(Streaming, WhatTheListenerThrowsIsTheOutcomeAndItIsNotCalledAgain) {
  std::atomic<int> calls = 0;
  Request asked = request({CaptionPrompt{}, QueryPrompt{"What is it?", false, {}}});
  asked.on_text = [&](const TextPiece &) {
    ++calls;
    throw std::runtime_error("the pipe is closed");
  };
  // Beside another stream's, which may run in the same batch.
  const auto other = engine->open_stream();
  const Request quiet = request({CaptionPrompt{}});
  const Inbox failed, fine;
  stream->submit(asked, failed.callback());
  other->submit(quiet, fine.callback());
  EXPECT_EQ(failed.error().kind(), ErrorKind::kFailed);
  EXPECT_TRUE(test::says(failed.error(), "the pipe is closed")) << failed.error().what();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(std::get<CaptionResult>(fine.result().prompts[0]).text,
            std::get<CaptionResult>(answer(quiet).prompts[0]).text);
}

TEST_F(Streaming, AnErrorThatTheListenerThrowsIsPassedOnAsItIsAlsoOfAReusedResult) {
  Request asked = request({CaptionPrompt{}});
  answer(asked);
  asked.on_text = [](const TextPiece &) { throw Error(ErrorKind::kNoMemory, "enough"); };
  for (const bool reuse : {true, false}) {
    asked.reuse_result = reuse;
    const Inbox inbox;
    stream->submit(asked, inbox.callback());
    EXPECT_EQ(inbox.error().kind(), ErrorKind::kNoMemory);
    EXPECT_STREQ(inbox.error().what(), "enough");
  }
}

TEST_F(Streaming, TheListenerMayCancelItsRequestAndHearsNoMore) {
  struct Shared {
    Gate submitted;
    Ticket ticket;
    std::atomic<int> calls = 0;
  };
  const auto shared = std::make_shared<Shared>();
  Request asked = request({CaptionPrompt{}, QueryPrompt{"What is it?", false, {}}});
  asked.on_text = [shared](const TextPiece &) {
    if (!shared->submitted.wait()) throw std::runtime_error("never submitted");
    ++shared->calls;
    shared->ticket.cancel();
  };
  const Inbox inbox;
  shared->ticket = stream->submit(asked, inbox.callback());
  shared->submitted.open();
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
  // The worker is done with it once it ran another.
  answer(request({CaptionPrompt{}}));
  EXPECT_EQ(shared->calls, 1);
}

TEST_F(Streaming, AListenerThatHangsDoesNotKeepACancelWaiting) {
  Gate hanging, let_go;
  std::atomic<int> calls = 0;
  Request asked = request({CaptionPrompt{}, QueryPrompt{"What is it?", false, {}}});
  asked.on_text = [&](const TextPiece &) {
    ++calls;
    hanging.open();
    if (!let_go.wait()) throw std::runtime_error("nobody let go");
  };
  const Inbox inbox;
  const Ticket ticket = stream->submit(asked, inbox.callback());
  ASSERT_TRUE(hanging.wait());
  ticket.cancel();
  EXPECT_EQ(inbox.count(), 1u);
  EXPECT_EQ(inbox.error().kind(), ErrorKind::kCancelled);
  let_go.open();
  answer(request({CaptionPrompt{}}));
  EXPECT_EQ(calls, 1);
}

TEST_F(Streaming, ASlowListenerGetsTheSameAndMaySubmit) {
  const Told told;
  const Inbox inner;
  Request asked = request({CaptionPrompt{}});
  const Result expected = answer(asked);
  asked.reuse_result = false;
  const Request another = asked;
  std::atomic<int> calls = 0;
  // A full stream would have anybody else wait for the request that runs here.
  const auto full = engine->open_stream({.max_pending = 1, .overflow = Overflow::kWait});
  asked.on_text = [&, listen = told.listener()](TextPiece piece) {
    if (++calls == 1) full->submit(another, inner.callback());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    listen(std::move(piece));
  };
  const Inbox inbox;
  full->submit(asked, inbox.callback());
  const auto &text = std::get<CaptionResult>(expected.prompts[0]).text;
  EXPECT_EQ(std::get<CaptionResult>(inbox.result().prompts[0]).text, text);
  EXPECT_EQ(told.text(0, false), text);
  EXPECT_EQ(std::get<CaptionResult>(inner.result().prompts[0]).text, text);
}

TEST_F(Streaming, TheListenerIsDestroyedWithTheRequest) {
  auto owned = std::make_shared<int>();
  const std::weak_ptr<int> watch = owned;
  Request asked = request({CaptionPrompt{}});
  asked.on_text = [owned = std::move(owned)](const TextPiece &) {};
  const Inbox inbox;
  stream->submit(std::exchange(asked, {}), inbox.callback());
  inbox.result();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace moondream
