// The text model: a transformer with parallel attention and MLP, rotary positions and a
// bidirectional image prefix. Port of moondream/torch/text.py @ 44146f1.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "kv_cache.h"
#include "layers.h"
#include "moe.h"
#include "survivors.h"

namespace moondream {

// New tokens of one sequence, as part of a batch.
struct TextSegment {
  const KvCache *prefix;  // an image's, seen by all tokens and not copied; null: none
  KvCache *cache;         // the sequence's own; the new tokens are appended
  std::int64_t tokens;    // how many of the batch's rows are this sequence's, at least 1

  std::int64_t position() const { return (prefix ? prefix->length() : 0) + cache->length(); }
};

// Letters: T tokens of all sequences, B sequences, D text dim (2048), V vocabulary.
// Tensors have the dtype and device of the weights. Thread-safety: safe; weights are only read.
class TextModel {
 public:
  explicit TextModel(const WeightSource &weights);

  const TextConfig &config() const { return config_; }
  c10::TensorOptions options() const { return wte_.options(); }

  // Port of text_encoder. -> [ids, D]. The ids must be in the vocabulary.
  at::Tensor embed(std::span<const std::int64_t> ids) const;

  // Runs image prefixes, whose positions all see each other unless the model is causal throughout,
  // and keeps their keys and values.
  // x: [n, prefix, D]. Returns one cache for each image. An image that is `cancelled` leaves the
  // batch before the next block; its cache has length 0.
  std::vector<KvCache> prefill_images(const at::Tensor &x, const CancelCheck &cancelled = {}) const;

  // Runs one batch of new tokens. x: [T, D], the segments' rows one after the other.
  // Returns the raw output (before post_ln) of each segment's last token: [B, D].
  // The caller sees to it that no position reaches max_context.
  at::Tensor forward(const at::Tensor &x, std::span<const TextSegment> segments) const;

  // hidden: [B, D], raw -> float32 logits [B, V].
  at::Tensor lm_head(const at::Tensor &hidden) const;

 private:
  // How much of a head's queries and values a token and its position take. Moondream 3 alone.
  struct Tau {
    at::Tensor wq, wv;  // [H, qkv_dim]
    at::Tensor alpha;   // [H]
  };
  // What positions bring with them.
  struct Positions {
    at::Tensor freqs_cis;  // [T, rotary_dim / 2, 2]
    at::Tensor log;        // [T, 1]: log(position + 1), dtype of the weights
  };
  struct Block {
    LayerNorm ln;
    Linear qkv;
    // What a variant adds to it is of the block's normed input, not of proj's own: so in the
    // reference, and variants are trained with it.
    Linear proj;
    std::optional<Tau> tau;
    std::variant<Mlp, Moe> mlp;

    at::Tensor apply_mlp(const at::Tensor &x) const {
      return std::visit([&](const auto &layers) { return layers(x); }, mlp);
    }
  };
  struct Qkv {
    at::Tensor q, k, v;  // [T, H, head_dim], q and k rotated
  };

  // positions: int64 [T] on the CPU.
  Positions look_up(const at::Tensor &positions) const;
  Qkv project_qkv(const Block &block, const at::Tensor &x, const Positions &positions) const;

  const TextConfig config_;
  const at::Tensor wte_;  // [V, D]
  std::vector<Block> blocks_;
  const LayerNorm post_ln_;
  const Linear lm_head_;
  at::Tensor freqs_cis_;  // [max_context, rotary_dim / 2, 2] float32
};

}  // namespace moondream
