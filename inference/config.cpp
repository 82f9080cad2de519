#include "config.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "files.h"
#include "json_text.h"
#include "release.h"
#include "types.h"

namespace moondream {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxConfig = 16'000'000;  // bytes; a tokenizer may be embedded some day

[[noreturn]] void mismatch(const std::string &origin, const std::string &what) {
  throw Error(ErrorKind::kMismatch, origin + ": " + what);
}

// One object of the file. Keeps what was asked for, so that a misspelt key is found.
class Section {
 public:
  // A null `object` is an empty section.
  Section(const json *object, std::string name, const std::string &origin)
      : object_(object), name_(std::move(name)), origin_(origin) {
    if (object_ && !object_->is_object()) mismatch(origin_, name_ + " is not an object");
  }

  // The value of `key`, or null if there is none. JSON's null counts as none.
  const json *find(const char *key) {
    known_.insert(key);
    if (!object_) return nullptr;
    const auto found = object_->find(key);
    return found == object_->end() || found->is_null() ? nullptr : &*found;
  }

  bool has(const char *key) { return find(key) != nullptr; }

  // True if `key` is there and null.
  bool is_null(const char *key) const {
    if (!object_) return false;
    const auto found = object_->find(key);
    return found != object_->end() && found->is_null();
  }

  void read(const char *key, std::int64_t &field) {
    const json *value = find(key);
    if (!value) return;
    field = integer(*value, key);
  }

  void read(const char *key, double &field) {
    const json *value = find(key);
    if (!value) return;
    if (!value->is_number()) fail(key, "is not a number");
    field = value->get<double>();
  }

  void read(const char *key, bool &field) {
    const json *value = find(key);
    if (!value) return;
    if (!value->is_boolean()) fail(key, "is neither true nor false");
    field = value->get<bool>();
  }

  void read(const char *key, TokenIds &field) {
    const json *value = find(key);
    if (is_null(key)) field.clear();
    if (!value) return;
    if (!value->is_array()) fail(key, "is not a list of token ids");
    field.clear();
    for (const json &id : *value) field.push_back(integer(id, key));
  }

  void read(const char *key, SizeScale &field) {
    const json *value = find(key);
    if (!value) return;
    if (*value == "log2") {
      field = SizeScale::kLog2;
    } else if (*value == "linear") {
      field = SizeScale::kLinear;
    } else {
      fail(key, "is neither \"log2\" nor \"linear\"");
    }
  }

  void read(const char *key, Cropping &field) {
    const json *value = find(key);
    if (!value) return;
    if (*value == "overlapping") {
      field = Cropping::kOverlapping;
    } else if (*value == "quarters") {
      field = Cropping::kQuarters;
    } else if (*value == "whole") {
      field = Cropping::kWhole;
    } else {
      fail(key, "is neither \"overlapping\", \"quarters\" nor \"whole\"");
    }
  }

  void read(const char *key, Resizer &field) {
    const json *value = find(key);
    if (!value) return;
    if (*value == "pillow") {
      field = Resizer::kPillow;
    } else if (*value == "vips") {
      field = Resizer::kVips;
    } else {
      fail(key, "is neither \"pillow\" nor \"vips\"");
    }
  }

  std::optional<Release> release(const char *key) {
    const json *value = find(key);
    if (!value) return std::nullopt;
    const auto *name = value->get_ptr<const std::string *>();
    const auto release = name ? release_named(*name) : std::nullopt;
    if (!release) fail(key, "is none of " + release_names());
    return release;
  }

  Section section(const char *key) { return {find(key), name_ + "." + key, origin_}; }

  // Whether the file has it.
  bool exists() const { return object_ != nullptr; }

  // Throws if the file has a key that nothing asked for.
  void finish() const {
    if (!object_) return;
    for (const auto &[key, value] : object_->items()) {
      if (!known_.contains(key))
        mismatch(origin_, name_ + " has the unknown setting " + quote(key));
    }
  }

 private:
  [[noreturn]] void fail(const char *key, const std::string &what) const {
    mismatch(origin_, name_ + "." + key + " " + what);
  }

  std::int64_t integer(const json &value, const char *key) const {
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX})) {
      fail(key, "has a value that is not a whole number in range");
    }
    return value.get<std::int64_t>();
  }

  const json *object_;
  std::string name_;
  const std::string &origin_;
  std::set<std::string> known_;
};

void read_text(Section section, TextConfig &text) {
  section.read("dim", text.dim);
  section.read("ff_dim", text.ff_dim);
  section.read("n_layers", text.n_layers);
  section.read("vocab_size", text.vocab_size);
  section.read("max_context", text.max_context);
  section.read("n_heads", text.n_heads);
  if (section.has("n_heads")) text.n_kv_heads = text.n_heads;
  section.read("n_kv_heads", text.n_kv_heads);
  section.read("prefix_attn", text.prefix_attn);
  section.read("causal_prefix", text.causal_prefix);
  section.read("rope_theta", text.rope_theta);
  section.read("tau_attn", text.tau_attn);
  section.read("group_size", text.group_size);
  if (section.is_null("moe")) text.moe.reset();
  if (section.has("moe")) {
    MoeConfig moe = text.moe.value_or(MoeConfig{});
    Section experts = section.section("moe");
    experts.read("num_experts", moe.num_experts);
    experts.read("start_layer", moe.start_layer);
    experts.read("experts_per_token", moe.experts_per_token);
    experts.read("expert_inner_dim", moe.expert_inner_dim);
    experts.finish();
    text.moe = moe;
  }
  section.finish();
}

void read_vision(Section section, VisionConfig &vision) {
  section.read("enc_dim", vision.enc_dim);
  section.read("enc_patch_size", vision.enc_patch_size);
  section.read("enc_n_layers", vision.enc_n_layers);
  section.read("enc_ff_dim", vision.enc_ff_dim);
  section.read("enc_n_heads", vision.enc_n_heads);
  section.read("proj_out_dim", vision.proj_out_dim);
  section.read("crop_size", vision.crop_size);
  section.read("in_channels", vision.in_channels);
  section.read("max_crops", vision.max_crops);
  section.read("overlap_margin", vision.overlap_margin);
  section.read("hid_dim", vision.proj_inner_dim);  // its name in the first files of 2025
  section.read("proj_inner_dim", vision.proj_inner_dim);
  section.read("cropping", vision.cropping);
  section.read("exact_gelu", vision.exact_gelu);
  section.read("resizer", vision.resizer);
  section.finish();
}

void read_region(Section section, RegionConfig &region) {
  section.read("dim", region.dim);
  section.read("coord_feat_dim", region.coord_feat_dim);
  section.read("coord_out_dim", region.coord_out_dim);
  section.read("size_feat_dim", region.size_feat_dim);
  section.read("size_out_dim", region.size_out_dim);
  section.read("hid_dim", region.inner_dim);  // its name in the first files of 2025
  section.read("inner_dim", region.inner_dim);
  section.read("size_scale", region.size_scale);
  section.read("group_size", region.group_size);
  section.finish();
}

void read_affixes(Section &templates, const char *skill, std::optional<AffixTemplate> &field) {
  if (templates.is_null(skill)) field.reset();
  if (!templates.has(skill)) return;
  AffixTemplate affixes = field.value_or(AffixTemplate{});
  Section section = templates.section(skill);
  section.read("prefix", affixes.prefix);
  section.read("suffix", affixes.suffix);
  section.finish();
  field = std::move(affixes);
}

void read_templates(Section section, Templates &templates) {
  // What has words of its own may have been made before this skill was.
  if (section.exists()) templates.segment.reset();
  if (section.is_null("caption")) templates.caption.reset();
  if (section.has("caption")) {
    CaptionTemplates captions = templates.caption.value_or(CaptionTemplates{{}, {}, {}});
    Section lengths = section.section("caption");
    lengths.read("short", captions.short_form);
    lengths.read("normal", captions.normal);
    lengths.read("long", captions.long_form);
    lengths.finish();
    templates.caption = std::move(captions);
  }
  read_affixes(section, "query", templates.query);
  read_affixes(section, "detect", templates.detect);
  read_affixes(section, "point", templates.point);
  read_affixes(section, "segment", templates.segment);
  section.finish();
}

void read_tokenizer(Section section, TokenizerConfig &tokenizer) {
  section.release("release");  // applied already
  section.read("bos_id", tokenizer.bos_id);
  section.read("eos_id", tokenizer.eos_id);
  section.read("answer_id", tokenizer.answer_id);
  section.read("thinking_id", tokenizer.thinking_id);
  section.read("coord_id", tokenizer.coord_id);
  section.read("size_id", tokenizer.size_id);
  section.read("start_ground_points_id", tokenizer.start_ground_points_id);
  section.read("end_ground_id", tokenizer.end_ground_id);
  section.read("image_prefix", tokenizer.image_prefix);
  section.read("image_suffix", tokenizer.image_suffix);
  section.read("stop_ids", tokenizer.stop_ids);
  section.read("strip_text", tokenizer.strip_text);
  section.read("leading_space_in_query", tokenizer.leading_space_in_query);
  section.read("leading_space_in_object", tokenizer.leading_space_in_object);
  section.read("double_query_suffix", tokenizer.double_query_suffix);
  section.read("suffix_before_thinking", tokenizer.suffix_before_thinking);
  section.read("coord_or_eos", tokenizer.coord_or_eos);
  read_templates(section.section("templates"), tokenizer.templates);
  section.finish();
}

}  // namespace

Config parse_config(std::string_view text, const std::string &origin, const Config &defaults,
                    std::optional<Release> release) {
  const json document = parse_json(text, origin);
  if (!document.is_object()) mismatch(origin, "is not a JSON object");

  // Hugging Face wraps the sections, and has keys of its own around them.
  const auto wrapper = document.find("config");
  const bool wrapped = wrapper != document.end() && !wrapper->is_null();
  if (wrapped && !wrapper->is_object()) mismatch(origin, "config is not an object");
  const json &sections = wrapped ? *wrapper : document;
  const auto section = [&](const char *name) {
    if (wrapped && document.contains(name)) {
      mismatch(origin, std::string(name) + " is there both inside and beside config");
    }
    const auto found = sections.find(name);
    return Section(found == sections.end() || found->is_null() ? nullptr : &*found, name, origin);
  };

  Config config = defaults;
  if (!release) release = section("tokenizer").release("release");
  if (release) apply_release(*release, config);
  const bool has_prefix = section("text").has("prefix_attn");
  read_text(section("text"), config.text);
  read_vision(section("vision"), config.vision);
  // Dimensions that validate() will refuse must not be multiplied.
  const VisionConfig &vision = config.vision;
  if (!has_prefix && vision.enc_patch_size >= 1 && vision.crop_size <= INT16_MAX &&
      vision.crop_size >= 1) {
    config.text.prefix_attn = 1 + vision.n_patches();
  }
  read_region(section("region"), config.region);
  read_tokenizer(section("tokenizer"), config.tokenizer);
  return config;
}

PromptSource prompt_source(const std::filesystem::path &path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return PromptSource::kNone;
  const json document = parse_json(read_file(path, kMaxConfig), path.string());
  const auto inside = [](const json &object, const char *key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found == object.end() ? json() : *found;
  };
  const json wrapped = inside(document, "config");
  const json tokenizer = inside(wrapped.is_null() ? document : wrapped, "tokenizer");
  if (!inside(tokenizer, "release").is_null()) return PromptSource::kRelease;
  return inside(tokenizer, "templates").is_null() ? PromptSource::kNone : PromptSource::kTemplates;
}

Config read_config(const std::filesystem::path &path, const Config &defaults,
                   std::optional<Release> release) {
  return parse_config(read_file(path, kMaxConfig), path.string(), defaults, release);
}

}  // namespace moondream
