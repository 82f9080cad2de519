#include <cmath>
#include <string>
#include <utility>

#include "config.h"
#include "types.h"

namespace moondream {
namespace {

[[noreturn]] void mismatch(const std::string &origin, const std::string &what) {
  throw Error(ErrorKind::kMismatch, origin + ": " + what);
}

// What validate() checks, each check naming the fields that it is about.
class Validator {
 public:
  explicit Validator(const std::string &origin) : origin_(origin) {}

  // A bound is generous for any model of this family and small enough that the product of any
  // three values fits 64 bits.
  void in_range(const char *field, std::int64_t value, std::int64_t low, std::int64_t high) const {
    if (value >= low && value <= high) return;
    mismatch(origin_, std::string(field) + " is " + std::to_string(value) + ", not from " +
                          std::to_string(low) + " to " + std::to_string(high));
  }

  void multiple(const char *field, std::int64_t value, const char *of, std::int64_t divisor) const {
    if (value % divisor == 0) return;
    mismatch(origin_, std::string(field) + " is " + std::to_string(value) +
                          ", which is not a multiple of " + of + " (" + std::to_string(divisor) +
                          ")");
  }

  void equal(const char *field, std::int64_t value, const char *other,
             std::int64_t expected) const {
    if (value == expected) return;
    mismatch(origin_, std::string(field) + " is " + std::to_string(value) + ", but " + other +
                          " is " + std::to_string(expected));
  }

  void id(const char *field, std::int64_t value, std::int64_t vocab_size) const {
    if (value >= 0 && value < vocab_size) return;
    mismatch(origin_, std::string(field) + " has the id " + std::to_string(value) +
                          ", which is not in the vocabulary of " + std::to_string(vocab_size));
  }

  void ids(const char *field, const TokenIds &values, const TextConfig &text) const {
    for (const std::int64_t value : values) id(field, value, text.vocab_size);
    if (values.size() >= static_cast<std::size_t>(text.max_context - text.prefix_attn)) {
      mismatch(origin_, std::string(field) + " has " + std::to_string(values.size()) +
                            " ids, which do not fit into text.max_context after the image");
    }
  }

 private:
  const std::string &origin_;
};

constexpr std::int64_t kMaxDim = 1 << 18;
constexpr std::int64_t kMaxVocab = 1 << 24;
constexpr std::int64_t kMaxLayers = 1 << 10;
constexpr std::int64_t kMaxExperts = 1 << 12;
constexpr std::int64_t kMaxContext = 1 << 20;
constexpr std::int64_t kMaxCrop = 1 << 12;  // pixels
constexpr std::int64_t kMaxCrops = 1 << 8;
constexpr std::int64_t kMaxBins = 1 << 20;

void validate_vision(const Validator &check, const VisionConfig &vision) {
  check.in_range("vision.enc_dim", vision.enc_dim, 1, kMaxDim);
  check.in_range("vision.crop_size", vision.crop_size, 1, kMaxCrop);
  check.in_range("vision.enc_patch_size", vision.enc_patch_size, 1, vision.crop_size);
  check.in_range("vision.enc_n_layers", vision.enc_n_layers, 1, kMaxLayers);
  check.in_range("vision.enc_ff_dim", vision.enc_ff_dim, 1, kMaxDim);
  check.in_range("vision.enc_n_heads", vision.enc_n_heads, 1, vision.enc_dim);
  check.in_range("vision.in_channels", vision.in_channels, 3, 3);
  check.in_range("vision.max_crops", vision.max_crops, 1, kMaxCrops);
  check.in_range("vision.proj_inner_dim", vision.proj_inner_dim, 1, kMaxDim);
  check.multiple("vision.enc_dim", vision.enc_dim, "vision.enc_n_heads", vision.enc_n_heads);
  check.multiple("vision.crop_size", vision.crop_size, "vision.enc_patch_size",
                 vision.enc_patch_size);
  // Something of a local crop must remain between its margins.
  check.in_range("vision.overlap_margin", vision.overlap_margin, 0, (vision.grid() - 1) / 2);
}

void validate_text(const Validator &check, const TextConfig &text, const std::string &origin) {
  check.in_range("text.dim", text.dim, 1, kMaxDim);
  check.in_range("text.ff_dim", text.ff_dim, 1, kMaxDim);
  check.in_range("text.n_layers", text.n_layers, 1, kMaxLayers);
  check.in_range("text.vocab_size", text.vocab_size, 1, kMaxVocab);
  check.in_range("text.max_context", text.max_context, 1, kMaxContext);
  check.in_range("text.n_heads", text.n_heads, 1, text.dim);
  check.in_range("text.n_kv_heads", text.n_kv_heads, 1, text.n_heads);
  check.multiple("text.dim", text.dim, "text.n_heads", text.n_heads);
  check.multiple("text.n_heads", text.n_heads, "text.n_kv_heads", text.n_kv_heads);
  // Half of a head's dimensions rotate, in pairs.
  check.multiple("text.dim / text.n_heads", text.head_dim(), "four", 4);
  if (text.group_size != 0) check.in_range("text.group_size", text.group_size, 128, 128);
  if (text.tau_attn) check.equal("text.n_kv_heads", text.n_kv_heads, "text.n_heads", text.n_heads);
  if (text.moe) {
    const MoeConfig &moe = *text.moe;
    check.in_range("text.moe.num_experts", moe.num_experts, 1, kMaxExperts);
    check.in_range("text.moe.start_layer", moe.start_layer, 0, text.n_layers);
    check.in_range("text.moe.experts_per_token", moe.experts_per_token, 1, moe.num_experts);
    check.in_range("text.moe.expert_inner_dim", moe.expert_inner_dim, 1, kMaxDim);
    if (moe.int4) {
      check.multiple("text.dim", text.dim, "a group's width", 64);
      check.multiple("text.moe.expert_inner_dim", moe.expert_inner_dim, "a group's width", 64);
    }
  }
  if (!std::isfinite(text.rope_theta) || text.rope_theta < 1) {
    mismatch(origin, "text.rope_theta is not a number of at least 1");
  }
}

void validate_region(const Validator &check, const RegionConfig &region) {
  check.in_range("region.coord_feat_dim", region.coord_feat_dim, 2, kMaxDim);
  check.in_range("region.coord_out_dim", region.coord_out_dim, 2, kMaxBins);
  check.in_range("region.size_feat_dim", region.size_feat_dim, 2, kMaxDim);
  check.in_range("region.size_out_dim", region.size_out_dim, 4, kMaxBins);
  check.in_range("region.inner_dim", region.inner_dim, 1, kMaxDim);
  if (region.group_size != 0) check.in_range("region.group_size", region.group_size, 128, 128);
  check.multiple("region.coord_feat_dim", region.coord_feat_dim, "two", 2);
  check.multiple("region.size_feat_dim", region.size_feat_dim, "two", 2);
  check.multiple("region.size_out_dim", region.size_out_dim, "two", 2);
}

void validate_tokenizer(const Validator &check, const TokenizerConfig &tokenizer,
                        const TextConfig &text) {
  check.id("tokenizer.bos_id", tokenizer.bos_id, text.vocab_size);
  check.id("tokenizer.eos_id", tokenizer.eos_id, text.vocab_size);
  const std::pair<const char *, std::int64_t> ids[] = {
      {"tokenizer.answer_id", tokenizer.answer_id},
      {"tokenizer.thinking_id", tokenizer.thinking_id},
      {"tokenizer.coord_id", tokenizer.coord_id},
      {"tokenizer.size_id", tokenizer.size_id},
      {"tokenizer.start_ground_points_id", tokenizer.start_ground_points_id},
      {"tokenizer.end_ground_id", tokenizer.end_ground_id},
  };
  for (const auto &[field, id] : ids) {
    if (id != kNoId) check.id(field, id, text.vocab_size);
  }
  if (tokenizer.coord_or_eos) check.id("tokenizer.coord_id", tokenizer.coord_id, text.vocab_size);
  check.ids("tokenizer.image_prefix", tokenizer.image_prefix, text);
  check.ids("tokenizer.image_suffix", tokenizer.image_suffix, text);
  check.ids("tokenizer.stop_ids", tokenizer.stop_ids, text);

  const Templates &templates = tokenizer.templates;
  if (templates.caption) {
    check.ids("tokenizer.templates.caption.short", templates.caption->short_form, text);
    check.ids("tokenizer.templates.caption.normal", templates.caption->normal, text);
    check.ids("tokenizer.templates.caption.long", templates.caption->long_form, text);
  }
  if (templates.query) {
    check.ids("tokenizer.templates.query.prefix", templates.query->prefix, text);
    check.ids("tokenizer.templates.query.suffix", templates.query->suffix, text);
  }
  if (templates.detect) {
    check.ids("tokenizer.templates.detect.prefix", templates.detect->prefix, text);
    check.ids("tokenizer.templates.detect.suffix", templates.detect->suffix, text);
  }
  if (templates.point) {
    check.ids("tokenizer.templates.point.prefix", templates.point->prefix, text);
    check.ids("tokenizer.templates.point.suffix", templates.point->suffix, text);
  }
  if (templates.segment) {
    check.ids("tokenizer.templates.segment.prefix", templates.segment->prefix, text);
    check.ids("tokenizer.templates.segment.suffix", templates.segment->suffix, text);
  }
}

}  // namespace

void Config::validate(const std::string &origin) const {
  const Validator check(origin);
  validate_text(check, text, origin);
  validate_vision(check, vision);
  validate_region(check, region);
  check.equal("vision.proj_out_dim", vision.proj_out_dim, "text.dim", text.dim);
  check.equal("region.dim", region.dim, "text.dim", text.dim);
  check.equal("text.prefix_attn", text.prefix_attn,
              "1 + (vision.crop_size / vision.enc_patch_size)^2", 1 + vision.n_patches());
  check.in_range("text.prefix_attn", text.prefix_attn, 1, text.max_context - 1);
  validate_tokenizer(check, tokenizer, text);
  check.in_range("the length of an image's prefix", prefix_length(), 1, text.max_context - 1);
}

}  // namespace moondream
