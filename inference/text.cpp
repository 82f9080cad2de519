#include "text.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>

#include "rope.h"

namespace moondream {
namespace {

// Images that go through the blocks together: with more, a cancelled one would only wait longer for
// the end of its block.
constexpr std::int64_t kMaxImages = 4;

}  // namespace

TextModel::TextModel(const WeightSource &weights)
    : config_(weights.config().text),
      wte_(weights.tensor("text.wte")),
      post_ln_(weights.layer_norm("text.post_ln")),
      lm_head_(weights.linear("text.lm_head")),
      freqs_cis_(precompute_freqs_cis(config_.rotary_dim(), config_.max_context, config_.rope_theta)
                     .to(weights.device())) {
  for (std::int64_t i = 0; i < config_.n_layers; ++i) {
    const std::string name = "text.blocks." + std::to_string(i);
    Block block{.ln = weights.layer_norm(name + ".ln"),
                .qkv = weights.linear(name + ".attn.qkv"),
                .proj = weights.linear(name + ".attn.proj")};
    if (config_.tau_attn) {
      const std::string tau = name + ".attn.tau.";
      block.tau = Tau{weights.tensor(tau + "wq"), weights.tensor(tau + "wv"),
                      weights.tensor(tau + "alpha")};
    }
    if (config_.has_experts(i)) {
      block.mlp = Moe(weights, name + ".mlp");
    } else {
      block.mlp = weights.mlp(name + ".mlp");
    }
    blocks_.push_back(std::move(block));
  }
}

TextModel::Positions TextModel::look_up(const at::Tensor &positions) const {
  const at::Tensor here = positions.to(freqs_cis_.device());
  // In the type of the weights before the logarithm, as in the reference: bfloat16 rounds positions
  // above 256, and the model was trained so.
  const at::Tensor numbers = here.to(options().dtype()) + 1;
  return {freqs_cis_.index_select(0, here), numbers.log().unsqueeze(1)};
}

at::Tensor TextModel::embed(std::span<const std::int64_t> ids) const {
  const at::Tensor index = at::tensor(at::ArrayRef<std::int64_t>(ids.data(), ids.size()));
  return wte_.index_select(0, index.to(wte_.device()));
}

TextModel::Qkv TextModel::project_qkv(const Block &block, const at::Tensor &x,
                                      const Positions &positions) const {
  const std::int64_t tokens = x.size(0), dim = config_.head_dim();
  const at::Tensor flat = block.qkv(x);
  const at::Tensor qkv = flat.view({tokens, config_.n_heads + 2 * config_.n_kv_heads, dim});
  if (block.tau) {
    const auto &[wq, wv, alpha] = *block.tau;
    const at::Tensor features = at::gelu(flat);
    const at::Tensor by_position = at::sigmoid(alpha * positions.log) + 0.5;
    const auto scale = [&](const at::Tensor &w, std::int64_t first_head) {
      const at::Tensor by_token = at::tanh(ops::linear(features, w, {}));
      qkv.narrow(1, first_head, config_.n_heads).mul_((by_token + by_position).unsqueeze(-1));
    };
    scale(wq, 0);
    scale(wv, config_.n_heads + config_.n_kv_heads);
  }
  // Queries and keys lie side by side and are rotated alike.
  const at::Tensor rotated =
      apply_rotary_emb(qkv.narrow(1, 0, config_.n_heads + config_.n_kv_heads), positions.freqs_cis);
  return {rotated.narrow(1, 0, config_.n_heads),
          rotated.narrow(1, config_.n_heads, config_.n_kv_heads),
          qkv.narrow(1, config_.n_heads + config_.n_kv_heads, config_.n_kv_heads)};
}

std::vector<KvCache> TextModel::prefill_images(const at::Tensor &x,
                                               const CancelCheck &cancelled) const {
  const std::int64_t tokens = x.size(1), dim = config_.head_dim();
  std::vector<KvCache> caches(x.size(0), KvCache(blocks_.size()));
  for (std::int64_t begin = 0; begin < x.size(0); begin += kMaxImages) {
    const std::int64_t count = std::min(kMaxImages, x.size(0) - begin);
    Survivors left(begin, count, cancelled);
    at::Tensor hidden = x.narrow(0, begin, count);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      const Block &block = blocks_[i];
      hidden = left.keep(hidden);
      const std::int64_t images = std::ssize(left.items());
      if (images == 0) break;
      const at::Tensor rows = hidden.reshape({images * tokens, config_.dim});
      const at::Tensor normed = block.ln(rows);
      const auto [q, k, v] =
          project_qkv(block, normed, look_up(at::arange(tokens).repeat({images})));
      for (std::int64_t n = 0; n < images; ++n) {
        caches[left.items()[n]].append(i, k.narrow(0, n * tokens, tokens),
                                       v.narrow(0, n * tokens, tokens));
      }
      // The prefix is known by its keys and values alone: nobody looks at what the last block
      // makes.
      if (i + 1 == blocks_.size()) break;
      // [n P, H, head_dim] -> [n, H, P, head_dim]
      const auto by_head = [&](const at::Tensor &t) {
        return t.reshape({images, tokens, t.size(1), dim}).transpose(1, 2);
      };
      at::Tensor flat;
      if (config_.causal_prefix) {
        std::vector<at::Tensor> mixed;
        for (std::int64_t n = 0; n < images; ++n) {
          const KvCache &cache = caches[left.items()[n]];
          mixed.push_back(ops::cached_attention(q.narrow(0, n * tokens, tokens), {}, {}, cache.k(i),
                                                cache.v(i)));
        }
        flat = at::cat(mixed);
      } else {
        const at::Tensor mixed = ops::attention(by_head(q), by_head(k), by_head(v));
        flat = mixed.transpose(1, 2).reshape({images * tokens, config_.dim});
      }
      hidden = (rows + block.proj(flat, normed) + block.apply_mlp(normed))
                   .view({images, tokens, config_.dim});
    }
  }
  return caches;
}

at::Tensor TextModel::forward(const at::Tensor &x, std::span<const TextSegment> segments) const {
  std::vector<at::Tensor> ranges;
  std::vector<std::int64_t> last_rows;
  for (const TextSegment &segment : segments) {
    ranges.push_back(at::arange(segment.position(), segment.position() + segment.tokens));
    last_rows.push_back((last_rows.empty() ? -1 : last_rows.back()) + segment.tokens);
  }
  const Positions positions = look_up(at::cat(ranges));

  at::Tensor hidden = x;
  std::vector<at::Tensor> mixed(segments.size());
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block &block = blocks_[i];
    const at::Tensor normed = block.ln(hidden);
    const auto [q, k, v] = project_qkv(block, normed, positions);
    std::int64_t row = 0;
    for (std::size_t s = 0; s < segments.size(); ++s) {
      const TextSegment &segment = segments[s];
      segment.cache->append(i, k.narrow(0, row, segment.tokens), v.narrow(0, row, segment.tokens));
      mixed[s] = ops::cached_attention(q.narrow(0, row, segment.tokens),
                                       segment.prefix ? segment.prefix->k(i) : at::Tensor(),
                                       segment.prefix ? segment.prefix->v(i) : at::Tensor(),
                                       segment.cache->k(i), segment.cache->v(i));
      row += segment.tokens;
    }
    hidden = hidden + block.proj(at::cat(mixed), normed) + block.apply_mlp(normed);
  }
  return hidden.index_select(0, at::tensor(last_rows).to(hidden.device()));
}

at::Tensor TextModel::lm_head(const at::Tensor &hidden) const {
  return lm_head_(post_ln_(hidden)).to(at::kFloat);
}

}  // namespace moondream
