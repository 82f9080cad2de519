// What an Engine runs requests on. The real one wraps a Model; tests bring their own.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <variant>
#include <vector>

#include "types.h"

namespace moondream {

// One picture and all that is asked of it. The picture is encoded once for all prompts.
struct Request {
  std::shared_ptr<const Image> image;  // null: only queries, answered without a picture
  std::vector<Prompt> prompts;         // at least one
  GenerationSettings settings;
};

struct Result {
  std::vector<PromptResult> prompts;  // same order and kinds as the request's
};

// What became of a request.
using Outcome = std::variant<Result, Error>;

// A request on its way through a backend.
struct Job {
  const Request *request;     // outlives the call
  std::stop_token cancelled;  // once stopped, the job ends soon with Error{kCancelled}
};

// Thread-safety: every method may be called from several threads at once.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual ModelInfo info() const = 0;

  // Runs the jobs as one batch and returns one outcome for each, in order. A job that fails or is
  // cancelled does not disturb the others. Throws only what concerns the batch as a whole; what is
  // no Error becomes Error{kNoMemory} (std::bad_alloc) or Error{kFailed}.
  virtual std::vector<Outcome> run(std::span<const Job> jobs) = 0;
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
