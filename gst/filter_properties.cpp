#include "filter_properties.h"

#include <optional>

namespace moondream {
namespace {

enum : guint {
  kStats = kFilterPropertyStats,
  kModel,
  kTokenizer,
  kVariant,
  kDevice,
  kPrecision,
  kDetect,
  kPoint,
  kQuery,
  kCaption,
  kMaxObjects,
  kMaxTokens,
  kTemperature,
  kTopP,
  kSeed,
  kSampleRate,
  kMode,
  kPropagate,
  kMaxAge,
  kMaxPending,
  kOnError,
  kPostMessages,
};

template <typename Enum>
constexpr gint value_of(Enum value) {
  return static_cast<gint>(value);
}

// Registers an enumeration at the first call.
template <std::size_t N>
GType register_enum(const char *name, const GEnumValue (&values)[N]) {
  const GType type = g_enum_register_static(name, values);
  gst_type_mark_as_plugin_api(type, static_cast<GstPluginAPIFlags>(0));
  return type;
}

GType precision_type() {
  static const GEnumValue values[] = {
      {value_of(Precision::kAuto), "The best that the device and the weights allow", "auto"},
      {value_of(Precision::kFloat32), "32-bit floating point", "float32"},
      {value_of(Precision::kBFloat16), "16-bit brain floating point", "bfloat16"},
      {value_of(Precision::kInt8), "8-bit weights of the text model", "int8"},
      {value_of(Precision::kInt4), "4-bit weights of the text model", "int4"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamPrecision", values);
  return type;
}

GType caption_type() {
  static const GEnumValue values[] = {
      {value_of(CaptionSetting::kNone), "No caption", "none"},
      {value_of(CaptionSetting::kShort), "A sentence or two", "short"},
      {value_of(CaptionSetting::kNormal), "A paragraph", "normal"},
      {value_of(CaptionSetting::kLong), "Everything in detail", "long"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamCaption", values);
  return type;
}

GType mode_type() {
  static const GEnumValue values[] = {
      {value_of(FilterMode::kAuto), "Async if upstream is live, else sync", "auto"},
      {value_of(FilterMode::kSync), "A sampled frame leaves with its own result", "sync"},
      {value_of(FilterMode::kAsync), "No frame waits; each takes the newest result", "async"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamFilterMode", values);
  return type;
}

GType propagate_type() {
  static const GEnumValue values[] = {
      {value_of(Propagate::kNone), "Nothing: only sampled frames have results", "none"},
      {value_of(Propagate::kHold), "The last result as it is", "hold"},
      {value_of(Propagate::kFlow), "The last result, moved by optical flow", "flow"},
      {value_of(Propagate::kInterpolate),
       "What is in between the results before and after, in sync mode", "interpolate"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamPropagate", values);
  return type;
}

GType on_error_type() {
  static const GEnumValue values[] = {
      {value_of(OnError::kError), "Post an error and end the stream", "error"},
      {value_of(OnError::kWarn), "Post a warning and mark frames failed", "warn"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamOnError", values);
  return type;
}

std::string text_of(const GValue *value) {
  const gchar *text = g_value_get_string(value);
  return text ? text : "";
}

// Properties that were never set, or set to nothing, read as NULL.
void set_text(GValue *value, const std::string &text) {
  g_value_set_string(value, text.empty() ? nullptr : text.c_str());
}

void remake_prompts(FilterSettings &settings) {
  std::optional<CaptionLength> caption;
  if (settings.caption == CaptionSetting::kShort) caption = CaptionLength::kShort;
  if (settings.caption == CaptionSetting::kNormal) caption = CaptionLength::kNormal;
  if (settings.caption == CaptionSetting::kLong) caption = CaptionLength::kLong;
  settings.prompts = std::make_shared<const PromptList>(
      make_prompts(settings.detect, settings.point, settings.query, caption));
}

bool set_value(FilterSettings &s, guint id, const GValue *value) {
  switch (id) {
    case kModel:
      s.model = text_of(value);
      return true;
    case kTokenizer:
      s.tokenizer = text_of(value);
      return true;
    case kVariant:
      s.variant = text_of(value);
      return true;
    case kDevice:
      s.device = text_of(value);
      return true;
    case kPrecision:
      s.precision = static_cast<Precision>(g_value_get_enum(value));
      return true;
    case kDetect:
      s.detect = text_of(value);
      remake_prompts(s);
      return true;
    case kPoint:
      s.point = text_of(value);
      remake_prompts(s);
      return true;
    case kQuery:
      s.query = text_of(value);
      remake_prompts(s);
      return true;
    case kCaption:
      s.caption = static_cast<CaptionSetting>(g_value_get_enum(value));
      remake_prompts(s);
      return true;
    case kMaxObjects:
      s.generation.max_objects = g_value_get_int(value);
      return true;
    case kMaxTokens:
      s.generation.max_tokens = g_value_get_int(value);
      return true;
    case kTemperature:
      s.generation.temperature = g_value_get_double(value);
      return true;
    case kTopP:
      s.generation.top_p = g_value_get_double(value);
      return true;
    case kSeed:
      s.generation.seed = g_value_get_uint64(value);
      return true;
    case kSampleRate:
      s.sample_rate = {gst_value_get_fraction_numerator(value),
                       gst_value_get_fraction_denominator(value)};
      return true;
    case kMode:
      s.mode = static_cast<FilterMode>(g_value_get_enum(value));
      return true;
    case kPropagate:
      s.propagate = static_cast<Propagate>(g_value_get_enum(value));
      return true;
    case kMaxAge:
      s.max_age = g_value_get_uint64(value);
      return true;
    case kMaxPending:
      s.max_pending = g_value_get_uint(value);
      return true;
    case kOnError:
      s.on_error = static_cast<OnError>(g_value_get_enum(value));
      return true;
    case kPostMessages:
      s.post_messages = g_value_get_boolean(value);
      return true;
    default:
      return false;
  }
}

}  // namespace

bool set_filter_property(SharedSettings &settings, guint id, const GValue *value) {
  bool known = false;
  settings.change([&](FilterSettings &values) { known = set_value(values, id, value); });
  return known;
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
    case kDevice:
      set_text(value, s.device);
      return true;
    case kPrecision:
      g_value_set_enum(value, value_of(s.precision));
      return true;
    case kDetect:
      set_text(value, s.detect);
      return true;
    case kPoint:
      set_text(value, s.point);
      return true;
    case kQuery:
      set_text(value, s.query);
      return true;
    case kCaption:
      g_value_set_enum(value, value_of(s.caption));
      return true;
    case kMaxObjects:
      g_value_set_int(value, s.generation.max_objects);
      return true;
    case kMaxTokens:
      g_value_set_int(value, s.generation.max_tokens);
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

void install_filter_properties(GObjectClass *object_class) {
  const FilterSettings d;
  const auto flags = [](gint mutability) {
    return static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | mutability);
  };
  // In force from the next start on, or from the next frame on.
  const GParamFlags at_start = flags(GST_PARAM_MUTABLE_READY);
  const GParamFlags at_frame = flags(GST_PARAM_MUTABLE_PLAYING);
  const auto install = [object_class](guint id, GParamSpec *spec) {
    g_object_class_install_property(object_class, id, spec);
  };

  /**
   * GstMoondreamFilter:model:
   *
   * Directory or .safetensors file of the model. If it is not set, the environment variable
   * MOONDREAM_MODEL names it, or else it is the demo model that is installed with the plugin.
   *
   * Since: 0.1
   */
  install(kModel,
          g_param_spec_string("model", "Model",
                              "Directory or file of the model (unset: $MOONDREAM_MODEL, or the "
                              "demo model)",
                              nullptr, at_start));
  /**
   * GstMoondreamFilter:tokenizer:
   *
   * Tokenizer file to use instead of the one beside the weights.
   *
   * Since: 0.1
   */
  install(kTokenizer, g_param_spec_string("tokenizer", "Tokenizer",
                                          "Tokenizer file (unset: the one beside the weights)",
                                          nullptr, at_start));
  /**
   * GstMoondreamFilter:variant:
   *
   * LoRA variant of the model: its file, or the directory that holds it.
   *
   * Since: 0.1
   */
  install(kVariant,
          g_param_spec_string("variant", "Variant", "LoRA variant of the model: file or directory",
                              nullptr, at_start));
  /**
   * GstMoondreamFilter:device:
   *
   * Where the model runs: auto, cpu, cuda or cuda:N.
   *
   * Since: 0.1
   */
  install(kDevice,
          g_param_spec_string("device", "Device", "Where the model runs: auto, cpu, cuda or cuda:N",
                              d.device.c_str(), at_start));
  /**
   * GstMoondreamFilter:precision:
   *
   * Number format of the weights and of most of the arithmetic.
   *
   * Since: 0.1
   */
  install(kPrecision, g_param_spec_enum("precision", "Precision", "Number format of the weights",
                                        precision_type(), value_of(d.precision), at_start));
  /**
   * GstMoondreamFilter:detect:
   *
   * What to find boxes of: descriptions in words, separated by commas.
   *
   * Since: 0.1
   */
  install(kDetect, g_param_spec_string("detect", "Detect",
                                       "What to find boxes of, for example: face, license plate",
                                       nullptr, at_frame));
  /**
   * GstMoondreamFilter:point:
   *
   * What to find points of: descriptions in words, separated by commas.
   *
   * Since: 0.1
   */
  install(kPoint, g_param_spec_string("point", "Point",
                                      "What to find points of, for example: door handle, screw",
                                      nullptr, at_frame));
  /**
   * GstMoondreamFilter:query:
   *
   * A question about the frame.
   *
   * Since: 0.1
   */
  install(kQuery,
          g_param_spec_string("query", "Query", "A question about the frame", nullptr, at_frame));
  /**
   * GstMoondreamFilter:caption:
   *
   * Whether to describe the frame, and how fully.
   *
   * Since: 0.1
   */
  install(kCaption, g_param_spec_enum("caption", "Caption", "How fully to describe the frame",
                                      caption_type(), value_of(d.caption), at_frame));
  /**
   * GstMoondreamFilter:max-objects:
   *
   * Boxes or points of each description at most.
   *
   * Since: 0.1
   */
  install(kMaxObjects, g_param_spec_int("max-objects", "Maximum objects",
                                        "Boxes or points of each description at most", 1, 10000,
                                        d.generation.max_objects, at_frame));
  /**
   * GstMoondreamFilter:max-tokens:
   *
   * Length of each generated text at most, in tokens.
   *
   * Since: 0.1
   */
  install(kMaxTokens, g_param_spec_int("max-tokens", "Maximum tokens",
                                       "Length of each generated text at most, in tokens", 1,
                                       100000, d.generation.max_tokens, at_frame));
  /**
   * GstMoondreamFilter:temperature:
   *
   * How freely texts are worded: 0 takes the likeliest token each time.
   *
   * Since: 0.1
   */
  install(kTemperature,
          g_param_spec_double("temperature", "Temperature",
                              "How freely texts are worded; 0 takes the likeliest token each time",
                              0, 100, d.generation.temperature, at_frame));
  /**
   * GstMoondreamFilter:top-p:
   *
   * Probability that the likeliest tokens, among which one is drawn, have together. No effect when
   * the temperature is 0.
   *
   * Since: 0.1
   */
  install(kTopP, g_param_spec_double("top-p", "Top p",
                                     "Probability that the tokens have among which one is drawn; "
                                     "no effect at temperature 0",
                                     0.001, 1, d.generation.top_p, at_frame));
  /**
   * GstMoondreamFilter:seed:
   *
   * Of the draws. Equal frames, settings and seeds give equal texts.
   *
   * Since: 0.1
   */
  install(kSeed, g_param_spec_uint64("seed", "Seed",
                                     "Of the draws: equal seeds give equal texts of equal frames",
                                     0, G_MAXUINT64, d.generation.seed, at_frame));
  /**
   * GstMoondreamFilter:sample-rate:
   *
   * Samples per second of stream time, by timestamps; 0/1 is every frame.
   *
   * Since: 0.1
   */
  install(kSampleRate,
          gst_param_spec_fraction(
              "sample-rate", "Sample rate",
              "Samples per second of stream time, by timestamps; 0/1 is every frame", 0, 1,
              G_MAXINT, 1, d.sample_rate.numerator, d.sample_rate.denominator, at_frame));
  /**
   * GstMoondreamFilter:mode:
   *
   * Whether frames wait for results. Decided at the first frame and kept until the element stops.
   *
   * Since: 0.1
   */
  install(kMode, g_param_spec_enum("mode", "Mode", "Whether frames wait for results", mode_type(),
                                   value_of(d.mode), at_start));
  /**
   * GstMoondreamFilter:propagate:
   *
   * What frames between samples say. Interpolation is for mode=sync: with mode=async the element
   * does not start, and where mode=auto turns out to be async results are held and a warning is
   * posted. Another one is posted if the frames between two samples are more than may wait; those
   * too many hold the result before.
   *
   * Since: 0.1
   */
  install(kPropagate, g_param_spec_enum("propagate", "Propagate", "What frames between samples say",
                                        propagate_type(), value_of(d.propagate), at_frame));
  /**
   * GstMoondreamFilter:max-age:
   *
   * Age in nanoseconds up to which a result is put on later frames; older ones leave the frame
   * pending. The largest number, -1 on a command line, is no limit.
   *
   * Since: 0.1
   */
  install(kMaxAge, g_param_spec_uint64("max-age", "Maximum age",
                                       "Nanoseconds for which a result is put on later frames; "
                                       "-1 is no limit",
                                       0, G_MAXUINT64, d.max_age, at_frame));
  /**
   * GstMoondreamFilter:max-pending:
   *
   * Samples of this element in flight at most; 0 is 2 in sync and 1 in async mode.
   *
   * Since: 0.1
   */
  install(kMaxPending, g_param_spec_uint("max-pending", "Maximum pending",
                                         "Samples in flight at most; 0 is 2 in sync and 1 in "
                                         "async mode",
                                         0, 64, d.max_pending, at_start));
  /**
   * GstMoondreamFilter:on-error:
   *
   * What a sample that fails does to the stream. A model that cannot be loaded is always an error.
   *
   * Since: 0.1
   */
  install(kOnError,
          g_param_spec_enum("on-error", "On error", "What a sample that fails does to the stream",
                            on_error_type(), value_of(d.on_error), at_frame));
  /**
   * GstMoondreamFilter:post-messages:
   *
   * Whether each finished sample is an element message "moondream-result": the fields of the
   * frame's meta, and pts, running-time, stream-time, width and height of the frame.
   *
   * Since: 0.1
   */
  install(kPostMessages, g_param_spec_boolean("post-messages", "Post messages",
                                              "Whether each finished sample is an element message",
                                              d.post_messages, at_frame));
  /**
   * GstMoondreamFilter:stats:
   *
   * Since the last start: frames; samples, of which results, failed and skipped (cancelled, or
   * refused because the model was busy) are finished; discarded boxes and points that made no
   * sense; latency-min, latency-mean and latency-max from submission to result in nanoseconds;
   * model, device, precision and mode in use.
   *
   * Since: 0.1
   */
  install(kStats, g_param_spec_boxed(
                      "stats", "Statistics",
                      "Counts of frames and samples, latencies in nanoseconds, and the model",
                      GST_TYPE_STRUCTURE,
                      static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
}

}  // namespace moondream
