#include "filter_properties.h"

#include <optional>
#include <string>
#include <utility>

#include "filter_property_ids.h"
#include "property_values.h"

namespace moondream {
namespace {

void remake_prompts(FilterSettings &settings) {
  settings.prompts = std::make_shared<const PromptList>(make_prompts(settings.questions));
}

// False if it would replace what is in force by nothing.
bool set_grid(FilterSettings &settings, std::string text, bool in_force) {
  const std::optional<Grid> grid = parse_grid(text);
  if (!grid && in_force) return false;
  settings.grid_text = std::move(text);
  settings.grid = grid;
  return true;
}

PropertyOutcome set_value(FilterSettings &s, guint id, const GValue *value, bool in_force) {
  switch (id) {
    case kModel:
      s.model = text_of(value);
      return PropertyOutcome::kSet;
    case kTokenizer:
      s.tokenizer = text_of(value);
      return PropertyOutcome::kSet;
    case kVariant:
      s.variant = text_of(value);
      return PropertyOutcome::kSet;
    case kModelRelease:
      s.model_release = text_of(value);
      return PropertyOutcome::kSet;
    case kDevice:
      s.device = text_of(value);
      return PropertyOutcome::kSet;
    case kPrecision:
      s.precision = static_cast<Precision>(g_value_get_enum(value));
      return PropertyOutcome::kSet;
    case kDetect:
      s.questions.detect = text_of(value);
      remake_prompts(s);
      return PropertyOutcome::kSet;
    case kPoint:
      s.questions.point = text_of(value);
      remake_prompts(s);
      return PropertyOutcome::kSet;
    case kQuery:
      s.questions.query = text_of(value);
      remake_prompts(s);
      return PropertyOutcome::kSet;
    case kCaption:
      s.questions.caption = to_caption(g_value_get_enum(value));
      remake_prompts(s);
      return PropertyOutcome::kSet;
    case kReasoning:
      s.questions.reasoning = g_value_get_boolean(value);
      remake_prompts(s);
      return PropertyOutcome::kSet;
    case kGaze:
      s.questions.gaze = g_value_get_boolean(value);
      remake_prompts(s);
      return PropertyOutcome::kSet;
    case kGrid:
      return set_grid(s, text_of(value), in_force) ? PropertyOutcome::kSet
                                                   : PropertyOutcome::kRefused;
    case kChangeThreshold:
      s.change_threshold = g_value_get_double(value);
      return PropertyOutcome::kSet;
    case kMaxInterval:
      s.max_interval = g_value_get_uint64(value);
      return PropertyOutcome::kSet;
    case kLatency:
      s.latency = g_value_get_uint64(value);
      return PropertyOutcome::kSet;
    case kMaxObjects:
      s.generation.max_objects = g_value_get_int(value);
      return PropertyOutcome::kSet;
    case kMaxTokens:
      s.generation.max_tokens = g_value_get_int(value);
      return PropertyOutcome::kSet;
    case kStopAtDuplicates:
      s.generation.stop_at_duplicates = g_value_get_boolean(value);
      return PropertyOutcome::kSet;
    case kTemperature:
      s.generation.temperature = g_value_get_double(value);
      return PropertyOutcome::kSet;
    case kTopP:
      s.generation.top_p = g_value_get_double(value);
      return PropertyOutcome::kSet;
    case kSeed:
      s.generation.seed = g_value_get_uint64(value);
      return PropertyOutcome::kSet;
    case kSampleRate:
      s.sample_rate = {gst_value_get_fraction_numerator(value),
                       gst_value_get_fraction_denominator(value)};
      return PropertyOutcome::kSet;
    case kMode:
      s.mode = static_cast<FilterMode>(g_value_get_enum(value));
      return PropertyOutcome::kSet;
    case kPropagate:
      s.propagate = static_cast<Propagate>(g_value_get_enum(value));
      return PropertyOutcome::kSet;
    case kMaxAge:
      s.max_age = g_value_get_uint64(value);
      return PropertyOutcome::kSet;
    case kWorkers:
      s.workers = g_value_get_uint(value);
      return PropertyOutcome::kSet;
    case kMaxPending:
      s.max_pending = g_value_get_uint(value);
      return PropertyOutcome::kSet;
    case kOnError:
      s.on_error = static_cast<OnError>(g_value_get_enum(value));
      return PropertyOutcome::kSet;
    case kPostMessages:
      s.post_messages = g_value_get_boolean(value);
      return PropertyOutcome::kSet;
    default:
      return PropertyOutcome::kUnknown;
  }
}

}  // namespace

PropertyOutcome set_filter_property(SharedSettings &settings, guint id, const GValue *value,
                                    bool in_force) {
  auto outcome = PropertyOutcome::kUnknown;
  settings.change(
      [&](FilterSettings &values) { outcome = set_value(values, id, value, in_force); });
  return outcome;
}

bool get_filter_property(const SharedSettings &settings, guint id, GValue *value) {
  const auto snapshot = settings.get();
  const FilterSettings &s = *snapshot;
  switch (id) {
    case kModel:
      set_text(value, s.model);
      return true;
    case kTokenizer:
      set_text(value, s.tokenizer);
      return true;
    case kVariant:
      set_text(value, s.variant);
      return true;
    case kModelRelease:
      set_text(value, s.model_release);
      return true;
    case kDevice:
      set_text(value, s.device);
      return true;
    case kPrecision:
      g_value_set_enum(value, value_of(s.precision));
      return true;
    case kDetect:
      set_text(value, s.questions.detect);
      return true;
    case kPoint:
      set_text(value, s.questions.point);
      return true;
    case kQuery:
      set_text(value, s.questions.query);
      return true;
    case kCaption:
      g_value_set_enum(value, to_value(s.questions.caption));
      return true;
    case kReasoning:
      g_value_set_boolean(value, s.questions.reasoning);
      return true;
    case kGaze:
      g_value_set_boolean(value, s.questions.gaze);
      return true;
    case kGrid:
      set_text(value, s.grid_text);
      return true;
    case kChangeThreshold:
      g_value_set_double(value, s.change_threshold);
      return true;
    case kMaxInterval:
      g_value_set_uint64(value, s.max_interval);
      return true;
    case kLatency:
      g_value_set_uint64(value, s.latency);
      return true;
    case kMaxObjects:
      g_value_set_int(value, s.generation.max_objects);
      return true;
    case kMaxTokens:
      g_value_set_int(value, s.generation.max_tokens);
      return true;
    case kStopAtDuplicates:
      g_value_set_boolean(value, s.generation.stop_at_duplicates);
      return true;
    case kTemperature:
      g_value_set_double(value, s.generation.temperature);
      return true;
    case kTopP:
      g_value_set_double(value, s.generation.top_p);
      return true;
    case kSeed:
      g_value_set_uint64(value, s.generation.seed);
      return true;
    case kSampleRate:
      gst_value_set_fraction(value, s.sample_rate.numerator, s.sample_rate.denominator);
      return true;
    case kMode:
      g_value_set_enum(value, value_of(s.mode));
      return true;
    case kPropagate:
      g_value_set_enum(value, value_of(s.propagate));
      return true;
    case kMaxAge:
      g_value_set_uint64(value, s.max_age);
      return true;
    case kWorkers:
      g_value_set_uint(value, s.workers);
      return true;
    case kMaxPending:
      g_value_set_uint(value, s.max_pending);
      return true;
    case kOnError:
      g_value_set_enum(value, value_of(s.on_error));
      return true;
    case kPostMessages:
      g_value_set_boolean(value, s.post_messages);
      return true;
    default:
      return false;
  }
}

gint to_value(std::optional<CaptionLength> caption) {
  return caption ? static_cast<gint>(*caption) + 1 : 0;
}

std::optional<CaptionLength> to_caption(gint value) {
  if (value <= 0) return std::nullopt;
  return static_cast<CaptionLength>(value - 1);
}

}  // namespace moondream
