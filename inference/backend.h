// What an Engine runs requests on. The real one wraps a Model; tests bring their own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <variant>
#include <vector>

#include "types.h"

namespace moondream {

// Overlapping parts of a picture that are looked at as pictures of their own, besides the whole
// one.
struct Grid {
  static constexpr int kMaxSide = 4;  // each part costs a model as much as a picture
  int columns = 1, rows = 1;          // [1, kMaxSide] each; 1x1: only the whole picture

  bool operator==(const Grid &) const = default;
};

// One picture and all that is asked of it. The picture is encoded once for all prompts.
struct Request {
  // Both null: only queries, answered without a picture.
  std::shared_ptr<const Image> image;
  // Gives the image if it is null above: called at most once, on a thread of the engine, so that
  // who submits need not wait for it. It must own what it uses, and is destroyed once it returned,
  // or once the request ends without it. What it throws is the request's error; null, or an image
  // of another size than its pixels, is one too. It is not told of a cancel.
  std::function<std::shared_ptr<const Image>()> make_image;
  std::vector<Prompt> prompts;  // at least one
  // Called with each piece of the captions, answers and reasonings as soon as it is certain; empty:
  // nobody listens. The pieces of one text come in order and are, in a row, exactly the text of
  // the result; prompts are answered together, so that theirs mix. A result that is reused, or
  // otherwise known at once, comes as one piece for each text.
  //
  // It is called on the thread of the engine that runs the request, never twice at a time, and
  // before the callback with the result. The requests of the same batch wait until it returns: who
  // has much to do hands the text on. It may submit, cancel and release what the callback may. If
  // another thread cancels the request, one call may still run or be about to; none follows. What
  // it throws becomes the request's outcome, as an Error, and it is not called again. It must own
  // what it uses, and is destroyed with the request.
  std::function<void(TextPiece piece)> on_text;
  GenerationSettings settings;
  Grid grid;  // where detect and point prompts look for small objects, too
  // [0, 1]: a crop of the picture that differs from the stream's last encoded one by no more than
  // this, as the mean absolute difference of its pixels' values over 255, is taken to be the same.
  // 0: only if it is equal.
  double change_threshold = 0;
  // If no crop changed since the stream's last result, and neither what is asked, this is that
  // result again. False: looks anew.
  bool reuse_result = true;
};

// What a result took.
struct Effort {
  int crops = 0;          // of the picture and its parts
  int crops_encoded = 0;  // of them; the features of the others were known
  bool reused = false;    // the result is the stream's last one
};

struct Result {
  std::vector<PromptResult> prompts;  // same order and kinds as the request's
  Effort effort;
};

// What became of a request.
using Outcome = std::variant<Result, Error>;

// What a backend made of a request's picture ahead of run(). Immutable. Freed before its backend.
class Preparation {
 public:
  virtual ~Preparation() = default;
  virtual std::uint64_t bytes() const = 0;  // that it occupies
};

// What a backend keeps of one stream from request to request, such as the features of parts of the
// picture. It is freed with the stream, or with the stream's last request that runs then; before
// its backend in any case. Thread-safety: safe; requests of one stream may run at the same time.
class StreamMemory {
 public:
  virtual ~StreamMemory() = default;
  virtual std::uint64_t bytes() const = 0;  // that it occupies now
};

// A request on its way through a backend.
struct Job {
  const Request *request;                    // outlives the call, and so does all below
  const Image *image = nullptr;              // of the request; null: it has none
  const Preparation *preparation = nullptr;  // by this backend, of this request; null: none
  StreamMemory *memory = nullptr;            // by this backend; null: nothing is kept
  std::stop_token cancelled;                 // once stopped, the job ends soon with kCancelled
};

// Thread-safety: every method may be called from several threads at once.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual ModelInfo info() const = 0;

  // For a new stream. Null: nothing is kept. What it throws, Engine::open_stream() throws.
  virtual std::shared_ptr<StreamMemory> open_stream() { return nullptr; }

  // Does what can be done before run(), beside other requests' run(): scales the picture and cuts
  // it into crops. Null: nothing. Throws Error as the outcome of the request. `request.image` is
  // `image`, and request.make_image empty. Called for every request with a picture that is not
  // cancelled before.
  virtual std::unique_ptr<const Preparation> prepare(const Request &request, const Image &image) {
    (void)request, (void)image;
    return nullptr;
  }

  // Runs the jobs as one batch, calls their on_text, and returns one outcome for each, in order. A
  // job that fails or is cancelled does not disturb the others. Throws only what concerns the batch
  // as a whole; what is no Error becomes Error{kNoMemory} (std::bad_alloc) or Error{kFailed}.
  // threads: >= 1, of the CPU, that this call may keep busy; other calls have theirs.
  virtual std::vector<Outcome> run(std::span<const Job> jobs, int threads) = 0;
};

// Loads the model that `spec` names. Throws Error: kSettings, kNotFound, kRead, kNoDevice,
// kNoMemory or kMismatch; kCancelled when `cancelled` is stopped before the load is done.
using BackendLoader =
    std::function<std::unique_ptr<Backend>(const ModelSpec &spec, std::stop_token cancelled)>;

// The real loader: a Model behind the Backend interface.
std::unique_ptr<Backend> load_model_backend(const ModelSpec &spec, std::stop_token cancelled);

// Makes Engine::acquire() load through `loader` from now on (empty: load_model_backend again) and
// returns the one before (empty: load_model_backend). For tests. Thread-safety: safe.
BackendLoader set_backend_loader(BackendLoader loader);

}  // namespace moondream
