#include "decoder.h"

#include <ATen/ATen.h>

#include <utility>

#include "caught_error.h"

namespace moondream {

Sequence::Sequence(const TextModel &text, const KvCache *prefix, std::stop_token cancelled,
                   const Trace &trace, std::size_t index)
    : text_(text),
      prefix_(prefix),
      cache_(static_cast<std::size_t>(text.config().n_layers)),
      cancelled_(std::move(cancelled)),
      trace_(trace),
      index_(index) {
  // Enough for most prompts with their answers, so that few of them copy their cache to grow.
  cache_.reserve(64);
}

std::int64_t Sequence::room() const {
  return text_.config().max_context - (prefix_ ? prefix_->length() : 0) - cache_.length();
}

Sequence::Wish Sequence::advance(at::Tensor embeddings) {
  if (embeddings.size(0) > room()) {
    throw Error(ErrorKind::kSettings,
                "the prompt is too long: it has " + std::to_string(embeddings.size(0)) +
                    " tokens, and the model's context has room for " + std::to_string(room()));
  }
  embeddings_ = std::move(embeddings);
  return want(Want::kAdvance);
}

Sequence::Wish Sequence::logits() { return want(Want::kLogits); }
Sequence::Wish Sequence::coordinate() { return want(Want::kCoordinate); }
Sequence::Wish Sequence::size() { return want(Want::kSize); }

void Sequence::observe(const char *name, std::int64_t value) const {
  if (trace_) trace_(name, index_, at::scalar_tensor(value, at::kLong));
}

void Decoder::serve(Sequence::Want want, std::span<Sequence *const> sequences) const {
  std::vector<at::Tensor> rows;
  if (want == Sequence::Want::kAdvance) {
    std::vector<TextSegment> segments;
    for (Sequence *sequence : sequences) {
      rows.push_back(std::move(sequence->embeddings_));
      segments.push_back({sequence->prefix_, &sequence->cache_, rows.back().size(0)});
    }
    const at::Tensor hidden = text_.forward(at::cat(rows), segments);
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      sequences[i]->hidden_ = hidden.narrow(0, static_cast<std::int64_t>(i), 1);
    }
    return;
  }
  for (const Sequence *sequence : sequences) rows.push_back(sequence->hidden_);
  const at::Tensor hidden = at::cat(rows);
  const at::Tensor answers = want == Sequence::Want::kLogits ? text_.lm_head(hidden)
                             : want == Sequence::Want::kCoordinate
                                 ? region_.decode_coordinate(hidden)
                                 : region_.decode_size(hidden);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    Sequence &sequence = *sequences[i];
    sequence.answer_ = answers[static_cast<std::int64_t>(i)];
    if (want == Sequence::Want::kLogits && sequence.trace_ && !sequence.traced_logits_) {
      // Who generates may forbid tokens in them.
      sequence.trace_("logits", sequence.index_, sequence.answer_.clone());
      sequence.traced_logits_ = true;
    }
  }
}

std::vector<Generated> Decoder::run(std::span<Task<PromptResult>> tasks,
                                    std::span<Sequence *const> sequences) const {
  using Want = Sequence::Want;
  for (Task<PromptResult> &task : tasks) task.start();

  std::vector<bool> cancelled(tasks.size(), false);
  while (true) {
    // Heads before advances: once nobody waits for a head, every generation that is left wants to
    // advance, and none misses the batch.
    std::vector<Sequence *> wishing;
    for (const Want want : {Want::kLogits, Want::kCoordinate, Want::kSize, Want::kAdvance}) {
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        if (tasks[i].done() || cancelled[i] || sequences[i]->want_ != want) continue;
        if (sequences[i]->cancelled_.stop_requested()) {
          cancelled[i] = true;
        } else {
          wishing.push_back(sequences[i]);
        }
      }
      if (!wishing.empty()) {
        serve(want, wishing);
        break;
      }
    }
    if (wishing.empty()) break;
    for (Sequence *sequence : wishing) {
      sequence->want_ = Want::kNothing;
      sequence->waiting_.resume();
    }
  }

  std::vector<Generated> results;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (cancelled[i]) {
      results.emplace_back(Error(ErrorKind::kCancelled, "cancelled while generating"));
      continue;
    }
    try {
      results.emplace_back(tasks[i].take());
    } catch (...) {
      results.emplace_back(caught_error("generating"));
    }
  }
  return results;
}

}  // namespace moondream
