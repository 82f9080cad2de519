#include "tensor_names.h"

#include <algorithm>
#include <optional>
#include <tuple>

namespace moondream {
namespace {

constexpr std::int64_t kAffineGroup = 64;

// Collects names and shapes under a prefix that follows the nesting of the modules.
class Lister {
 public:
  void tensor(const std::string &name, std::vector<std::int64_t> shape, bool bytes = false) {
    tensors_.push_back({name, std::move(shape), bytes});
  }
  // group: of packed 4-bit weights; 0: the weight is a matrix.
  void linear(const std::string &name, std::int64_t out, std::int64_t in, std::int64_t group = 0) {
    if (group > 0) {
      const std::int64_t groups = out * in / group;
      tensor(name + ".weight.packed", {groups / 2, group}, true);
      tensor(name + ".weight.scale", {groups, 1});
      tensor(name + ".weight.zero_point", {groups, 1});
    } else {
      tensor(name + ".weight", {out, in});
    }
    tensor(name + ".bias", {out});
  }
  void layer_norm(const std::string &name, std::int64_t dim) {
    tensor(name + ".weight", {dim});
    tensor(name + ".bias", {dim});
  }
  void mlp(const std::string &name, std::int64_t in, std::int64_t inner, std::int64_t out,
           std::int64_t group = 0) {
    linear(name + ".fc1", inner, in, group);
    linear(name + ".fc2", out, inner, group);
  }
  void experts(const std::string &name, const MoeConfig &moe, std::int64_t dim) {
    const std::int64_t n = moe.num_experts, inner = moe.expert_inner_dim;
    linear(name + ".router", n, dim);
    if (moe.int4) {
      for (const auto &[layer, out, in] :
           {std::tuple{".fc1", 2 * inner, dim}, std::tuple{".fc2", dim, inner}}) {
        tensor(name + layer + ".weight.affine", {n, out, in / 2}, true);
        tensor(name + layer + ".weight.scales", {n, out, in / kAffineGroup});
        tensor(name + layer + ".weight.biases", {n, out, in / kAffineGroup});
      }
      return;
    }
    tensor(name + ".fc1.weight", {n, 2 * inner, dim}, moe.fp8);
    tensor(name + ".fc2.weight", {n, dim, inner}, moe.fp8);
    if (!moe.fp8) return;
    tensor(name + ".fc1.scale", {n, 2 * inner});
    tensor(name + ".fc2.scale", {n, dim});
  }

  std::vector<ExpectedTensor> take() { return std::move(tensors_); }

 private:
  std::vector<ExpectedTensor> tensors_;
};

// The names of the training code, and of conversions to MLX, and ours. '#' stands for a block's
// number, and what follows the pattern ("weight" or "bias") stays.
struct Renaming {
  std::string_view from, to;
};
constexpr Renaming kNames[] = {
    {"text_model.transformer.embd.wte.weight", "text.wte"},
    {"text_model.transformer.h.#.ln.", "text.blocks.#.ln."},
    {"text_model.transformer.h.#.mixer.Wqkv.", "text.blocks.#.attn.qkv."},
    {"text_model.transformer.h.#.mixer.out_proj.", "text.blocks.#.attn.proj."},
    {"text_model.transformer.h.#.mlp.experts.", "text.blocks.#.mlp.fc1."},
    {"text_model.transformer.h.#.mlp.output_experts.", "text.blocks.#.mlp.fc2."},
    {"text_model.transformer.h.#.mlp.", "text.blocks.#.mlp."},
    {"text_model.transformer.h.#.gate.", "text.blocks.#.mlp.router."},
    {"text_model.transformer.h.#.moe_quant.up_scale", "text.blocks.#.mlp.fc1.scale"},
    {"text_model.transformer.h.#.moe_quant.down_scale", "text.blocks.#.mlp.fc2.scale"},
    {"text_model.transformer.h.#.tau_", "text.blocks.#.attn.tau."},
    {"text_model.lm_head.ln.", "text.post_ln."},
    {"text_model.lm_head.linear.", "text.lm_head."},
    {"vision_encoder.encoder.model.visual.patch_embed.linear.", "vision.patch_emb."},
    {"vision_encoder.encoder.model.visual.pos_embed", "vision.pos_emb"},
    {"vision_encoder.encoder.model.visual.blocks.#.norm1.", "vision.blocks.#.ln1."},
    {"vision_encoder.encoder.model.visual.blocks.#.norm2.", "vision.blocks.#.ln2."},
    {"vision_encoder.encoder.model.visual.blocks.#.", "vision.blocks.#."},
    {"vision_encoder.encoder.model.visual.norm.", "vision.post_ln."},
    {"vision_encoder.projection.mlp.", "vision.proj_mlp."},
    {"region_model.coordinate_features.weight", "region.coord_features"},
    {"region_model.coordinate_encoder.", "region.coord_encoder."},
    {"region_model.coordinate_decoder.", "region.coord_decoder."},
    {"region_model.coordinate_head.", "region.coord_decoder."},
    {"region_model.size_features.weight", "region.size_features"},
    {"region_model.size_encoder.", "region.size_encoder."},
    {"region_model.size_decoder.", "region.size_decoder."},
    {"region_model.size_head.", "region.size_decoder."},
    {"region_model.ln.", "region.ln."},
    {"text.wte.weight", "text.wte"},
    {"text.blocks.#.attn.tau_", "text.blocks.#.attn.tau."},
    {"text.blocks.#.mlp.fc1_q", "text.blocks.#.mlp.fc1.weight.affine"},
    {"text.blocks.#.mlp.fc1_scales", "text.blocks.#.mlp.fc1.weight.scales"},
    {"text.blocks.#.mlp.fc1_biases", "text.blocks.#.mlp.fc1.weight.biases"},
    {"text.blocks.#.mlp.fc2_q", "text.blocks.#.mlp.fc2.weight.affine"},
    {"text.blocks.#.mlp.fc2_scales", "text.blocks.#.mlp.fc2.weight.scales"},
    {"text.blocks.#.mlp.fc2_biases", "text.blocks.#.mlp.fc2.weight.biases"},
    {"vision.proj_fc1.", "vision.proj_mlp.fc1."},
    {"vision.proj_fc2.", "vision.proj_mlp.fc2."},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// `key` renamed, if it begins with the pattern `renaming.from`.
std::optional<std::string> renamed(std::string_view key, const Renaming &renaming) {
  const auto [from, to] = renaming;
  const std::size_t hash = from.find('#');
  if (hash == from.npos) {
    if (!key.starts_with(from)) return std::nullopt;
    return std::string(to) += key.substr(from.size());
  }
  if (!key.starts_with(from.substr(0, hash))) return std::nullopt;
  key.remove_prefix(hash);
  const auto digits =
      static_cast<std::size_t>(std::find_if_not(key.begin(), key.end(), is_digit) - key.begin());
  const std::string_view number = key.substr(0, digits), rest = from.substr(hash + 1);
  key.remove_prefix(digits);
  if (number.empty() || !key.starts_with(rest)) return std::nullopt;
  key.remove_prefix(rest.size());

  const std::size_t to_hash = to.find('#');
  std::string name(to.substr(0, to_hash));
  name += number;
  name += to.substr(to_hash + 1);
  name += key;
  return name;
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const Config &config) {
  const auto &[text, vision, region, tokenizer, has_region] = config;
  Lister list;

  list.linear("vision.patch_emb", vision.enc_dim, vision.patch_dim());
  list.tensor("vision.pos_emb", {1, vision.n_patches(), vision.enc_dim});
  for (std::int64_t i = 0; i < vision.enc_n_layers; ++i) {
    const std::string block = "vision.blocks." + std::to_string(i);
    list.layer_norm(block + ".ln1", vision.enc_dim);
    list.linear(block + ".attn.qkv", 3 * vision.enc_dim, vision.enc_dim);
    list.linear(block + ".attn.proj", vision.enc_dim, vision.enc_dim);
    list.layer_norm(block + ".ln2", vision.enc_dim);
    list.mlp(block + ".mlp", vision.enc_dim, vision.enc_ff_dim, vision.enc_dim);
  }
  list.layer_norm("vision.post_ln", vision.enc_dim);
  // Its input is the global crop's features, beside those of the local crops if there are any.
  list.mlp("vision.proj_mlp", vision.proj_in_dim(), vision.proj_inner_dim, vision.proj_out_dim);

  list.tensor("text.wte", {text.vocab_size, text.dim});
  for (std::int64_t i = 0; i < text.n_layers; ++i) {
    const std::string block = "text.blocks." + std::to_string(i);
    list.layer_norm(block + ".ln", text.dim);
    list.linear(block + ".attn.qkv", text.qkv_dim(), text.dim, text.group_size);
    list.linear(block + ".attn.proj", text.dim, text.dim, text.group_size);
    if (text.tau_attn) {
      list.tensor(block + ".attn.tau.wq", {text.n_heads, text.qkv_dim()});
      list.tensor(block + ".attn.tau.wv", {text.n_heads, text.qkv_dim()});
      list.tensor(block + ".attn.tau.alpha", {text.n_heads});
    }
    if (text.has_experts(i)) {
      list.experts(block + ".mlp", *text.moe, text.dim);
    } else {
      list.mlp(block + ".mlp", text.dim, text.ff_dim, text.dim, text.group_size);
    }
  }
  list.layer_norm("text.post_ln", text.dim);
  list.linear("text.lm_head", text.vocab_size, text.dim);

  if (!has_region) return list.take();
  list.tensor("region.coord_features", {1, region.coord_feat_dim / 2});
  const auto decoder = [&](const std::string &name, std::int64_t out) {
    if (region.linear_decoders) {
      list.linear(name, out, region.dim, region.group_size);
    } else {
      list.mlp(name, region.dim, region.inner_dim, out, region.group_size);
    }
  };
  list.linear("region.coord_encoder", region.dim, region.coord_feat_dim, region.group_size);
  decoder("region.coord_decoder", region.coord_out_dim);
  list.tensor("region.size_features", {2, region.size_feat_dim / 2});
  list.linear("region.size_encoder", region.dim, region.size_feat_dim, region.group_size);
  decoder("region.size_decoder", region.size_out_dim);
  if (region.layer_norm) list.layer_norm("region.ln", region.dim);
  return list.take();
}

CanonicalName canonical_name(std::string_view key) {
  constexpr std::string_view kCompiled = "_orig_mod.";
  std::string stripped(key);
  for (std::size_t at = 0; (at = stripped.find(kCompiled, at)) != stripped.npos;) {
    if (at == 0 || stripped[at - 1] == '.') {
      stripped.erase(at, kCompiled.size());
    } else {
      at += kCompiled.size();
    }
  }
  if (stripped.starts_with("model.")) stripped.erase(0, std::string_view("model.").size());

  for (const Renaming &renaming : kNames) {
    if (auto name = renamed(stripped, renaming)) {
      const bool is_features = name == "region.coord_features" || name == "region.size_features";
      return {std::move(*name), is_features};
    }
  }
  return {std::move(stripped)};
}

}  // namespace moondream
