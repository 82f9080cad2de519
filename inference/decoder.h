// Runs many generations, each a coroutine, as one batch.
//
// A generation asks for one thing at a time: run these embeddings through the text model, or apply
// that head to the last output. The decoder lets every generation run until it asks, then serves
// equal wishes together, so that the weights are read once for all.
#pragma once

#include <ATen/core/Tensor.h>

#include <coroutine>
#include <optional>
#include <span>
#include <stop_token>
#include <variant>
#include <vector>

#include "kv_cache.h"
#include "region.h"
#include "task.h"
#include "text.h"
#include "trace.h"
#include "types.h"

namespace moondream {

// One generation's side of the decoder. Thread-safety: one thread at a time.
class Sequence {
 public:
  // `prefix` (null: none) and `trace` must outlive it; `index` is its place in the batch.
  Sequence(const TextModel &text, const KvCache *prefix, std::stop_token cancelled,
           const Trace &trace, std::size_t index);
  Sequence(const Sequence &) = delete;
  Sequence &operator=(const Sequence &) = delete;

  // co_await one of these; a head looks at the output of the last advance().
  struct Wish {
    Sequence *sequence;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) const noexcept {
      sequence->waiting_ = handle;
    }
    at::Tensor await_resume() const { return std::move(sequence->answer_); }
  };
  // Runs embeddings [T, D] through the text model. Answers nothing. Throws Error{kSettings} if
  // they do not fit into the context.
  Wish advance(at::Tensor embeddings);
  Wish logits();      // answers float32 [V]
  Wish coordinate();  // answers float32 [coord_bins]
  Wish size();        // answers float32 [2, size_bins]

  // Positions that are still free.
  std::int64_t room() const;
  bool has_prefix() const { return prefix_ != nullptr; }

  // Tells the trace of a chosen token or bin.
  void observe(const char *name, std::int64_t value) const;

 private:
  friend class Decoder;
  enum class Want { kNothing, kAdvance, kLogits, kCoordinate, kSize };

  Wish want(Want what) {
    want_ = what;
    return {this};
  }

  const TextModel &text_;
  const KvCache *prefix_;
  KvCache cache_;
  const std::stop_token cancelled_;
  const Trace &trace_;
  const std::size_t index_;

  Want want_ = Want::kNothing;
  std::coroutine_handle<> waiting_;
  at::Tensor embeddings_;  // [T, D], of an advance that is wanted
  at::Tensor hidden_;      // [1, D], raw output of the last advance
  at::Tensor answer_;
  bool traced_logits_ = false;
};

// What became of one generation.
using Generated = std::variant<PromptResult, Error>;

class Decoder {
 public:
  // Both must outlive it.
  Decoder(const TextModel &text, const RegionModel &region) : text_(text), region_(region) {}

  // Runs the tasks to their ends; `sequences` are what they co_await, in the same order. A task
  // whose sequence is cancelled ends with Error{kCancelled} before the next token, one that throws
  // with that, made an Error; neither disturbs the others. Thread-safety: safe.
  std::vector<Generated> run(std::span<Task<PromptResult>> tasks,
                             std::span<Sequence *const> sequences) const;

 private:
  void serve(Sequence::Want want, std::span<Sequence *const> sequences) const;

  const TextModel &text_;
  const RegionModel &region_;
};

}  // namespace moondream
