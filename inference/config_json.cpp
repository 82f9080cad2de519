#include "config_json.h"

#include <nlohmann/json.hpp>

namespace moondream {
namespace {

using Json = nlohmann::ordered_json;

Json moe_json(const std::optional<MoeConfig> &moe) {
  if (!moe) return nullptr;
  return {{"num_experts", moe->num_experts},
          {"start_layer", moe->start_layer},
          {"experts_per_token", moe->experts_per_token},
          {"expert_inner_dim", moe->expert_inner_dim}};
}

Json text_json(const TextConfig &text) {
  return {{"dim", text.dim},
          {"ff_dim", text.ff_dim},
          {"n_layers", text.n_layers},
          {"vocab_size", text.vocab_size},
          {"max_context", text.max_context},
          {"n_heads", text.n_heads},
          {"n_kv_heads", text.n_kv_heads},
          {"prefix_attn", text.prefix_attn},
          {"causal_prefix", text.causal_prefix},
          {"rope_theta", text.rope_theta},
          {"tau_attn", text.tau_attn},
          {"group_size", text.group_size},
          {"moe", moe_json(text.moe)}};
}

const char *name_of(Cropping cropping) {
  switch (cropping) {
    case Cropping::kOverlapping:
      return "overlapping";
    case Cropping::kQuarters:
      return "quarters";
    case Cropping::kWhole:
      return "whole";
  }
  return "";
}

Json vision_json(const VisionConfig &vision) {
  return {{"enc_dim", vision.enc_dim},
          {"enc_patch_size", vision.enc_patch_size},
          {"enc_n_layers", vision.enc_n_layers},
          {"enc_ff_dim", vision.enc_ff_dim},
          {"enc_n_heads", vision.enc_n_heads},
          {"proj_out_dim", vision.proj_out_dim},
          {"crop_size", vision.crop_size},
          {"in_channels", vision.in_channels},
          {"max_crops", vision.max_crops},
          {"overlap_margin", vision.overlap_margin},
          {"proj_inner_dim", vision.proj_inner_dim},
          {"cropping", name_of(vision.cropping)},
          {"exact_gelu", vision.exact_gelu},
          {"resizer", vision.resizer == Resizer::kVips ? "vips" : "pillow"}};
}

Json region_json(const RegionConfig &region) {
  return {{"dim", region.dim},
          {"coord_feat_dim", region.coord_feat_dim},
          {"coord_out_dim", region.coord_out_dim},
          {"size_feat_dim", region.size_feat_dim},
          {"size_out_dim", region.size_out_dim},
          {"inner_dim", region.inner_dim},
          {"size_scale", region.size_scale == SizeScale::kLinear ? "linear" : "log2"},
          {"group_size", region.group_size}};
}

Json affixes_json(const std::optional<AffixTemplate> &affixes) {
  if (!affixes) return nullptr;
  return {{"prefix", affixes->prefix}, {"suffix", affixes->suffix}};
}

Json templates_json(const Templates &templates) {
  Json json;
  json["caption"] = nullptr;
  if (const auto &caption = templates.caption) {
    json["caption"] = {
        {"short", caption->short_form}, {"normal", caption->normal}, {"long", caption->long_form}};
  }
  json["query"] = affixes_json(templates.query);
  json["detect"] = affixes_json(templates.detect);
  json["point"] = affixes_json(templates.point);
  json["segment"] = affixes_json(templates.segment);
  return json;
}

Json tokenizer_json(const TokenizerConfig &tokenizer) {
  return {{"bos_id", tokenizer.bos_id},
          {"eos_id", tokenizer.eos_id},
          {"answer_id", tokenizer.answer_id},
          {"thinking_id", tokenizer.thinking_id},
          {"coord_id", tokenizer.coord_id},
          {"size_id", tokenizer.size_id},
          {"start_ground_points_id", tokenizer.start_ground_points_id},
          {"end_ground_id", tokenizer.end_ground_id},
          {"image_prefix", tokenizer.image_prefix},
          {"image_suffix", tokenizer.image_suffix},
          {"stop_ids", tokenizer.stop_ids},
          {"strip_text", tokenizer.strip_text},
          {"leading_space_in_query", tokenizer.leading_space_in_query},
          {"leading_space_in_object", tokenizer.leading_space_in_object},
          {"double_query_suffix", tokenizer.double_query_suffix},
          {"suffix_before_thinking", tokenizer.suffix_before_thinking},
          {"coord_or_eos", tokenizer.coord_or_eos},
          {"templates", templates_json(tokenizer.templates)}};
}

}  // namespace

Json config_json(const Config &config) {
  return {{"text", text_json(config.text)},
          {"vision", vision_json(config.vision)},
          {"region", region_json(config.region)},
          {"tokenizer", tokenizer_json(config.tokenizer)}};
}

}  // namespace moondream
