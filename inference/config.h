// A model's dimensions, special token ids and prompt templates.
//
// Field names and defaults are those of the published Moondream 2 (revision of 2025-06-21) and of
// the reference's config.py. JSON keys are the field names; those that the reference lacks are
// marked "ours".
// Thread-safety: values; share them const.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moondream {

enum class Release;  // release.h

// Blocks whose MLP is many small ones, of which a router chooses a few for each token.
struct MoeConfig {
  std::int64_t num_experts = 64;
  std::int64_t start_layer = 4;  // the blocks before it have one MLP
  std::int64_t experts_per_token = 8;
  std::int64_t expert_inner_dim = 1024;
  bool fp8 = false;   // ours, told by the weights: 8-bit numbers with a scale for each row
  bool int4 = false;  // ours, told by the weights: 4 bits, with a scale and a bias for 64 of a row

  bool operator==(const MoeConfig &) const = default;
};

struct TextConfig {
  std::int64_t dim = 2048;
  std::int64_t ff_dim = 8192;
  std::int64_t n_layers = 24;
  std::int64_t vocab_size = 51200;
  std::int64_t max_context = 2048;  // positions, the image prefix included
  std::int64_t n_heads = 32;
  std::int64_t n_kv_heads = 32;    // divides n_heads; absent beside an n_heads: equal to it
  std::int64_t prefix_attn = 730;  // positions that see each other: BOS and the image
  double rope_theta = 10000;
  bool causal_prefix = false;    // ours: the image's positions, too, see only those before: 2024
  std::optional<MoeConfig> moe;  // Moondream 3
  bool tau_attn = false;         // Moondream 3: queries and values scaled by token and position
  std::int64_t group_size = 0;   // of packed 4-bit weights, 128; 0: weights are not packed

  std::int64_t head_dim() const { return dim / n_heads; }
  std::int64_t rotary_dim() const { return head_dim() / 2; }  // leading dimensions that rotate
  std::int64_t qkv_dim() const { return (n_heads + 2 * n_kv_heads) * head_dim(); }
  bool has_experts(std::int64_t layer) const { return moe && layer >= moe->start_layer; }
};

// How a picture becomes crops.
enum class Cropping {
  kOverlapping,  // "overlapping": all of it, and overlapping parts of it: since 2025
  kQuarters,     // "quarters": all of it, and halves or quarters of it: since 2024-05-20
  kWhole,        // "whole": all of it, to which features of parts are not joined: before
};

// The program whose filters scale pictures for overlapping crops.
enum class Resizer {
  kPillow,  // "pillow": what the reference does alone
  kVips,    // "vips": what it does where pyvips is installed
};

struct VisionConfig {
  std::int64_t enc_dim = 1152;
  std::int64_t enc_patch_size = 14;  // pixels
  std::int64_t enc_n_layers = 27;
  std::int64_t enc_ff_dim = 4304;
  std::int64_t enc_n_heads = 16;
  std::int64_t proj_out_dim = 2048;  // equal to TextConfig::dim
  std::int64_t crop_size = 378;      // pixels, a multiple of enc_patch_size
  std::int64_t in_channels = 3;      // always 3
  std::int64_t max_crops = 12;       // local crops; the global one is not counted
  std::int64_t overlap_margin = 4;   // patches
  std::int64_t proj_inner_dim = 8192;
  Cropping cropping = Cropping::kOverlapping;  // ours
  Resizer resizer = Resizer::kPillow;          // ours
  bool exact_gelu = false;  // ours: not its tanh approximation: before 2024-04-02

  // Features of the projection's input: of all of the picture and, beside them, of its parts.
  std::int64_t proj_in_dim() const { return (cropping == Cropping::kWhole ? 1 : 2) * enc_dim; }
  std::int64_t grid() const { return crop_size / enc_patch_size; }  // patches along one side
  std::int64_t n_patches() const { return grid() * grid(); }
  std::int64_t patch_dim() const { return enc_patch_size * enc_patch_size * in_channels; }
  std::int64_t head_dim() const { return enc_dim / enc_n_heads; }
};

// How a size bin stands for a fraction of the picture.
enum class SizeScale {
  kLog2,    // "log2": 2^(10 bin / (bins - 1) - 10), since 2025-03-27
  kLinear,  // "linear": bin / bins, before
};

struct RegionConfig {
  std::int64_t dim = 2048;                  // equal to TextConfig::dim
  std::int64_t coord_feat_dim = 256;        // even: cosines and sines
  std::int64_t coord_out_dim = 1024;        // bins
  std::int64_t size_feat_dim = 512;         // even
  std::int64_t size_out_dim = 2048;         // bins of the width, then as many of the height
  std::int64_t inner_dim = 8192;            // of the decoders, if they are not linear
  std::int64_t group_size = 0;              // as in TextConfig
  bool linear_decoders = false;             // ours, told by the weights: Moondream 3
  bool layer_norm = false;                  // ours, told by the weights: before the decoders
  SizeScale size_scale = SizeScale::kLog2;  // ours

  std::int64_t coord_bins() const { return coord_out_dim; }
  std::int64_t size_bins() const { return size_out_dim / 2; }
};

using TokenIds = std::vector<std::int64_t>;

// An empty one is a length that the model was not trained on.
struct CaptionTemplates {
  TokenIds short_form = {1, 32708, 2, 12492, 3};  // "short"
  TokenIds normal = {1, 32708, 2, 6382, 3};
  TokenIds long_form = {1, 32708, 2, 4059, 3};  // "long"
};

struct AffixTemplate {
  TokenIds prefix, suffix;
};

// Absent (null in the file) is a skill that the model does not have.
struct Templates {
  std::optional<CaptionTemplates> caption = CaptionTemplates{};
  std::optional<AffixTemplate> query = AffixTemplate{{1, 15381, 2}, {3}};
  std::optional<AffixTemplate> detect = AffixTemplate{{1, 7235, 476, 2}, {3}};
  std::optional<AffixTemplate> point = AffixTemplate{{1, 2581, 2}, {3}};
  // Moondream 3's. Also absent if a file has templates, but not this one.
  std::optional<AffixTemplate> segment;
};

// In place of a special id: the vocabulary has no such token.
inline constexpr std::int64_t kNoId = -1;

struct TokenizerConfig {
  std::int64_t bos_id = 0;
  std::int64_t eos_id = 0;
  std::int64_t answer_id = 3;  // this and the following may be kNoId
  std::int64_t thinking_id = 4;
  std::int64_t coord_id = 5;
  std::int64_t size_id = 6;
  std::int64_t start_ground_points_id = 7;
  std::int64_t end_ground_id = 9;
  Templates templates;

  TokenIds image_prefix, image_suffix;  // ours: before and behind the image's positions
  TokenIds stop_ids;                    // ours: end a text, as eos_id does
  bool strip_text = false;              // ours: white space around a text is cut off
  bool leading_space_in_query = false;  // ours: encode " " + question
  bool leading_space_in_object = true;  // ours: encode " " + object
  bool double_query_suffix = true;      // ours: the query's suffix comes twice when not reasoning
  bool suffix_before_thinking = true;   // ours: and once when reasoning
  // ours: between two objects the model chooses between coord_id and eos_id; else among all tokens.
  bool coord_or_eos = false;
};

struct Config {
  TextConfig text;
  VisionConfig vision;
  RegionConfig region;
  TokenizerConfig tokenizer;
  bool has_region = true;  // ours, told by the weights: the model knows places

  // Positions of a picture: the first token, the image and what is around it.
  std::int64_t prefix_length() const {
    return text.prefix_attn +
           static_cast<std::int64_t>(tokenizer.image_prefix.size() + tokenizer.image_suffix.size());
  }

  // Throws Error{kMismatch} naming the first field that is out of bounds or does not fit another.
  // After it, no product of dimensions overflows and all ids are in the vocabulary. `origin` is
  // the name of the file, for the text.
  void validate(const std::string &origin) const;
};

// Reads the JSON text of a config.json: the sections text, vision, region and tokenizer at the top
// or inside "config", as Hugging Face has them. What it does not say stays as in `defaults`; keys
// beside the sections are ignored. "release" in the tokenizer section (ours: "2025-04-14") sets
// what that release of the model does in its own way, before all else is read: see release.h;
// `release`, if given, takes its place. An absent text.prefix_attn follows from the picture's size.
// Does not validate. Throws Error: kRead if it is not JSON, kMismatch naming the field if one has
// the wrong type, is unknown, or asks for what this library does not do. `origin` is the file's
// name, for the text.
Config parse_config(std::string_view json, const std::string &origin, const Config &defaults = {},
                    std::optional<Release> release = std::nullopt);

// Reads the file at `path`, as parse_config() does. Throws also kNotFound, and kRead if it is
// unreadable.
Config read_config(const std::filesystem::path &path, const Config &defaults = {},
                   std::optional<Release> release = std::nullopt);

// How a file says how the model is to be prompted.
enum class PromptSource {
  kNone,       // not at all, or the file is not there
  kTemplates,  // by templates of its own
  kRelease,    // by the name of a release, and maybe by templates too
};

// Throws as read_config() does.
PromptSource prompt_source(const std::filesystem::path &path);

}  // namespace moondream
