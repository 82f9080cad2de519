#include "ask.h"

#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "output.h"
#include "result_json.h"

namespace moondream::cli {
namespace {

// Prints pieces of a text as they come, which together are what answers_text() makes of it: behind
// a heading, and a reasoning, if there is one, on lines of its own before the answer.
class Printer {
 public:
  Printer(std::string heading, bool reasoning)
      : heading_(std::move(heading)), is_reasoning_(reasoning) {}

  void piece(const TextPiece &piece) {
    printed_ = true;
    print(std::exchange(heading_, {}));
    if (!piece.reasoning) end_reasoning();
    print(piece.text);
  }
  // Reasoning and answer may be empty.
  void end() {
    print(std::exchange(heading_, {}));
    end_reasoning();
    print("\n");
  }
  // Of none: what was printed ends its line.
  void fail() {
    if (printed_) print("\n");
  }

 private:
  void end_reasoning() {
    if (std::exchange(is_reasoning_, false)) print("\n\n");
  }

  std::string heading_;
  bool is_reasoning_;  // of what comes next
  bool printed_ = false;
};

bool thinks(const Prompt &prompt) {
  const auto *query = std::get_if<QueryPrompt>(&prompt);
  return query && query->reasoning;
}

class Asker {
 public:
  Asker(const Question &question, std::size_t pictures)
      : question_(question), many_(pictures > 1), count_(pictures) {
    progress_.show("Loading " + question.spec.model + " ...");
    engine_ = Engine::acquire(question.spec);
    stream_ = engine_->open_stream({.overflow = Overflow::kWait});
  }

  // Throws Error.
  void about(const std::string &picture, std::size_t number) {
    if (many_) {
      progress_.show("Picture " + std::to_string(number) + " of " + std::to_string(count_) + ": " +
                     picture);
    } else {
      progress_.show("Looking ...");
    }
    const auto image = std::make_shared<const Image>(read_picture(picture));
    const Result result = run(image, many_ ? picture + ": " : "");
    // Before anything is printed: a picture has one line of JSON, its answers or an error.
    if (!question_.overlay.empty()) {
      save_overlay(question_.overlay, *image, overlay_of(question_.prompts, result));
    }
    if (question_.json) {
      print_json(
          answers_json(picture, image.get(), engine_->info().name, question_.prompts, result));
    } else if (!question_.stream) {
      print_text(picture, result);
    }
  }

  void about_nothing() {
    const Result result = run(nullptr, "");
    if (question_.json) {
      print_json(answers_json("", nullptr, engine_->info().name, question_.prompts, result));
    } else if (!question_.stream) {
      print(answers_text(question_.prompts, result));
    }
  }

  void clear_progress() { progress_.clear(); }

 private:
  Result run(std::shared_ptr<const Image> image, const std::string &heading) {
    // The callback may still be returning when its result is here.
    const auto promise = std::make_shared<std::promise<Outcome>>();
    // No piece comes after the result.
    Printer printer(heading, thinks(question_.prompts[0]));
    Request request{.image = std::move(image),
                    .prompts = question_.prompts,
                    .settings = question_.settings,
                    .grid = question_.grid};
    if (question_.stream) {
      request.on_text = [this, &printer](const TextPiece &piece) {
        progress_.clear();  // this thread's own waits for the result
        printer.piece(piece);
      };
    }
    std::future<Outcome> outcome = promise->get_future();
    stream_->submit(std::move(request),
                    [promise](Outcome result) { promise->set_value(std::move(result)); });
    Outcome got = outcome.get();
    progress_.clear();
    if (const Error *error = std::get_if<Error>(&got)) {
      printer.fail();
      throw *error;
    }
    if (question_.stream) printer.end();
    return std::get<Result>(std::move(got));
  }

  static void print_json(const nlohmann::ordered_json &json) { print(to_line(json) + "\n"); }

  // Each line behind the picture's name, where there are several.
  void print_text(const std::string &picture, const Result &result) {
    const std::string text = answers_text(question_.prompts, result);
    if (!many_) {
      print(text);
      return;
    }
    std::string lines;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin) + 1;
      lines += picture + ": " + text.substr(begin, end - begin);
      begin = end;
    }
    print(lines);
  }

  const Question &question_;
  const bool many_;
  const std::size_t count_;
  Progress progress_;
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace

int ask(const Question &question, const std::vector<std::string> &pictures) {
  Asker asker(question, pictures.size());
  if (pictures.empty()) {
    asker.about_nothing();
    return 0;
  }
  int status = 0;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    try {
      asker.about(pictures[i], i + 1);
    } catch (const Error &error) {
      asker.clear_progress();
      const std::string text = error.what();
      // Reading names the file already.
      const bool named = text.starts_with(pictures[i] + ":") || text.starts_with("standard input:");
      complain(named ? text : pictures[i] + ": " + text);
      if (question.json) print(to_line({{"image", pictures[i]}, {"error", text}}) + "\n");
      status = 1;
    }
  }
  return status;
}

}  // namespace moondream::cli
