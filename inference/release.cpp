#include "release.h"

#include <string>
#include <system_error>
#include <utility>

#include "files.h"

namespace moondream {
namespace {

constexpr std::size_t kMaxProgram = 4'000'000;  // bytes

constexpr std::pair<std::string_view, Release> kNames[] = {
    {"moondream1", Release::kMoondream1}, {"2024-03-04", Release::kMoondream1},
    {"2024-03-06", Release::kMoondream1}, {"2024-03-13", Release::k20240313},
    {"2024-04-02", Release::k20240402},   {"2024-05-08", Release::k20240402},
    {"2024-05-20", Release::k20240520},   {"2024-07-23", Release::k20240520},
    {"2024-08-26", Release::k20240826},   {"2025-01-09", Release::k20250109},
    {"2025-03-27", Release::k20250327},   {"2025-04-14", Release::k20250327},
    {"2025-06-21", Release::k20250621},   {"moondream3", Release::kMoondream3},
};

// The vocabulary of all models before 2025-06-21 is GPT-2's.
constexpr std::int64_t kGpt2End = 50256;

void apply_gpt2(Release release, Config &config) {
  TokenizerConfig &tokenizer = config.tokenizer;
  tokenizer.bos_id = tokenizer.eos_id = kGpt2End;
  tokenizer.answer_id = tokenizer.thinking_id = kNoId;
  tokenizer.coord_id = tokenizer.size_id = kNoId;
  tokenizer.start_ground_points_id = tokenizer.end_ground_id = kNoId;
  tokenizer.double_query_suffix = false;
  tokenizer.leading_space_in_query = release != Release::k20250109;
  tokenizer.leading_space_in_object = release != Release::k20250109;
  Templates &templates = tokenizer.templates;
  // "\n\nQuestion:" and "\n\nAnswer:"
  templates.query = AffixTemplate{{198, 198, 24361, 25}, {198, 198, 33706, 25}};
  templates.caption.reset();
  templates.detect.reset();
  templates.point.reset();
  if (release >= Release::k20240826) {
    // "\n\nShort caption:" and "\n\nCaption:"
    templates.caption =
        CaptionTemplates{{198, 198, 16438, 8305, 25}, {198, 198, 24334, 1159, 25}, {}};
    templates.detect = AffixTemplate{{198, 198, 47504, 25}, {628}};  // "\n\nDetect:", "\n\n"
    config.region.size_scale = SizeScale::kLinear;
  }
  if (release >= Release::k20250109) {
    templates.point = AffixTemplate{{198, 198, 12727, 25}, {628}};  // "\n\nPoint:"
  }
  if (release >= Release::k20250327) {
    templates.caption->long_form = {198, 198, 14617, 8305, 25};  // "\n\nLong caption:"
    config.region.size_scale = SizeScale::kLog2;
  }
}

void apply_2024(Release release, Config &config) {
  config.text.causal_prefix = true;
  config.vision.cropping = release >= Release::k20240520 ? Cropping::kQuarters : Cropping::kWhole;
  TokenizerConfig &tokenizer = config.tokenizer;
  tokenizer.strip_text = true;
  if (release >= Release::k20240402) return;
  config.vision.exact_gelu = true;
  tokenizer.stop_ids = {27, 10619, 29};  // "<", "END" and ">", each of which ended a text
  if (release >= Release::k20240313) return;
  tokenizer.image_prefix = {27, 9060, 29};           // "<image>"
  tokenizer.image_suffix = {3556, 9060, 29};         // "</image>"
  tokenizer.templates.query->suffix.push_back(220);  // "\n\nAnswer: "
}

// The text of a file, or nothing if it is not there.
std::string text_of(const std::filesystem::path &path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? read_file(path, kMaxProgram) : std::string();
}

bool says(const std::string &text, std::string_view words) { return text.find(words) != text.npos; }

}  // namespace

std::optional<Release> release_named(std::string_view name) {
  for (const auto &[known, release] : kNames) {
    if (known == name) return release;
  }
  return std::nullopt;
}

std::string release_names() {
  std::string names;
  for (const auto &[name, release] : kNames) (names += names.empty() ? "" : ", ") += name;
  return names;
}

std::optional<Release> release_of(const Templates &templates) {
  Config gpt2, starmie;
  apply_release(Release::k20250327, gpt2);
  const auto any_of = [&](const Templates &published) {
    const auto same = [](const auto &one, const auto &other) {
      return one && !one->prefix.empty() && one->prefix == other->prefix;
    };
    const auto &[caption, query, detect, point, segment] = templates;
    return same(query, published.query) || same(detect, published.detect) ||
           same(point, published.point) ||
           (caption && (caption->short_form == published.caption->short_form ||
                        caption->normal == published.caption->normal));
  };
  if (any_of(starmie.tokenizer.templates)) return Release::k20250621;
  if (!any_of(gpt2.tokenizer.templates)) return std::nullopt;
  const bool has_long = templates.caption && !templates.caption->long_form.empty();
  return has_long ? Release::k20250327 : Release::k20250109;
}

void apply_release(Release release, Config &config) {
  if (release == Release::kMoondream3) {
    config.tokenizer.double_query_suffix = false;
    config.tokenizer.suffix_before_thinking = false;
    config.tokenizer.coord_or_eos = true;
    config.tokenizer.templates.segment = AffixTemplate{{1, 17374, 2}, {3}};
  }
  if (release < Release::k20250621) apply_gpt2(release, config);
  if (release < Release::k20250109) apply_2024(release, config);
}

std::optional<Release> find_release(const Config &config, bool trained,
                                    const std::filesystem::path &directory) {
  if (config.text.tau_attn || config.text.moe) return Release::kMoondream3;
  // No other one was published with 4-bit weights.
  if (config.text.group_size != 0) return Release::k20250327;

  if (config.vision.cropping == Cropping::kWhole) {
    const std::string program = text_of(directory / "moondream.py");
    if (says(program, "</image>")) return Release::kMoondream1;
    if (says(program, "<END>")) return Release::k20240313;
    if (says(program, "<image>")) return Release::k20240402;
    return std::nullopt;
  }
  if (!config.has_region) return Release::k20240520;
  if (trained && says(text_of(directory / "moondream.py"), "<image>")) return Release::k20240826;

  // The later ones have their templates in a file of their own.
  const std::string settings = text_of(directory / "config.py");
  if (says(settings, "32708")) return Release::k20250621;  // "describe"
  if (says(settings, "14617")) return Release::k20250327;  // "Long"
  if (says(settings, "16438")) return Release::k20250109;  // "Short"
  return std::nullopt;
}

}  // namespace moondream
