#include "filter_properties.h"
#include "filter_property_ids.h"
#include "property_values.h"

namespace moondream {
namespace {

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
      {to_value(std::nullopt), "No caption", "none"},
      {to_value(CaptionLength::kShort), "A sentence or two", "short"},
      {to_value(CaptionLength::kNormal), "A paragraph", "normal"},
      {to_value(CaptionLength::kLong), "Everything in detail", "long"},
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

}  // namespace

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
   * GstMoondreamFilter:model-release:
   *
   * Release to take the model for, such as 2025-04-14, above what its files say: those of one kind
   * differ in their prompts and in what sizes mean.
   *
   * Since: 0.1
   */
  install(kModelRelease,
          g_param_spec_string("model-release", "Model release",
                              "Release of the model, such as 2025-04-14 (unset: what its files "
                              "say)",
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
   * GstMoondreamFilter:reasoning:
   *
   * Whether the model is to think, and to say where it looked, before it answers
   * #GstMoondreamFilter:query. Answers then carry the reasoning. It takes several times as long.
   *
   * Since: 0.1
   */
  install(kReasoning, g_param_spec_boolean("reasoning", "Reasoning",
                                           "Whether to think before answering the query",
                                           d.questions.reasoning, at_frame));
  /**
   * GstMoondreamFilter:caption:
   *
   * Whether to describe the frame, and how fully.
   *
   * Since: 0.1
   */
  install(kCaption, g_param_spec_enum("caption", "Caption", "How fully to describe the frame",
                                      caption_type(), to_value(d.questions.caption), at_frame));
  /**
   * GstMoondreamFilter:gaze:
   *
   * Whether to find faces and where each of them looks.
   *
   * Since: 0.1
   */
  install(kGaze, g_param_spec_boolean("gaze", "Gaze", "Whether to find where each face looks",
                                      d.questions.gaze, at_frame));
  /**
   * GstMoondreamFilter:grid:
   *
   * COLUMNSxROWS, from 1x1 to 4x4: detect and point look at so many overlapping parts of the frame,
   * too, and merge what they find, so that small objects are found. Each part takes as long as a
   * frame. Other text fails the start; while playing it is refused with a warning.
   *
   * Since: 0.1
   */
  install(kGrid, g_param_spec_string("grid", "Grid",
                                     "COLUMNSxROWS of the frame, up to 4x4, in which to look for "
                                     "small objects, too",
                                     d.grid_text.c_str(), at_frame));
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
   * GstMoondreamFilter:stop-at-duplicates:
   *
   * End the search for a description where the model finds something in exactly the same place
   * again. Models may repeat themselves until #GstMoondreamFilter:max-objects, which costs time.
   *
   * Since: 0.1
   */
  install(kStopAtDuplicates,
          g_param_spec_boolean("stop-at-duplicates", "Stop at duplicates",
                               "End a search where the model finds the same place again",
                               d.generation.stop_at_duplicates, at_frame));
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
   * GstMoondreamFilter:change-threshold:
   *
   * How much a part of the picture may change before it is looked at anew, as the mean difference
   * of its pixels' values: 0 is not at all, 1 is from black to white. If no part changed, and
   * neither what is asked, the last result is taken again, which costs next to nothing.
   *
   * Since: 0.1
   */
  install(kChangeThreshold,
          g_param_spec_double("change-threshold", "Change threshold",
                              "Mean difference of pixel values, 0 to 1, up to which a part of the "
                              "picture is not looked at anew",
                              0, 1, d.change_threshold, at_frame));
  /**
   * GstMoondreamFilter:max-interval:
   *
   * Nanoseconds of stream time after which a sample looks anew even if nothing changed. 0, and -1
   * on a command line, is never.
   *
   * Since: 0.1
   */
  install(kMaxInterval,
          g_param_spec_uint64("max-interval", "Maximum interval",
                              "Nanoseconds after which to look anew even if nothing changed; 0 is "
                              "never",
                              0, G_MAXUINT64, d.max_interval, at_frame));
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
   * GstMoondreamFilter:latency:
   *
   * Nanoseconds that no frame waits longer than in sync mode, as live pipelines are told. A longer
   * wait is a warning on the bus, once, and again when it grows by more than a quarter. 0 is what
   * frames waited at most so far: a live pipeline is told anew whenever that grows by more than a
   * quarter, and frames that come before may be late.
   *
   * Since: 0.1
   */
  install(kLatency, g_param_spec_uint64("latency", "Latency",
                                        "Nanoseconds that frames wait at most in sync mode; 0 is "
                                        "what is measured",
                                        0, G_MAXINT64, d.latency, at_frame));
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
   * GstMoondreamFilter:workers:
   *
   * Samples, or batches of them, that the model looks at at the same time; they share the cores. Of
   * elements that share a model the largest number counts. 0 is as many as suit the device.
   *
   * Since: 0.1
   */
  install(kWorkers, g_param_spec_uint("workers", "Workers",
                                      "Samples that the model looks at at the same time; 0 is as "
                                      "many as suit the device",
                                      0, 64, d.workers, at_start));
  /**
   * GstMoondreamFilter:max-pending:
   *
   * Samples of this element in flight at most; 0 is one more than workers, and at least 2, in sync
   * mode, and 1 in async mode.
   *
   * Since: 0.1
   */
  install(kMaxPending, g_param_spec_uint("max-pending", "Maximum pending",
                                         "Samples in flight at most; 0 is one more than workers in "
                                         "sync and 1 in async mode",
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
   * Since the last start, times in nanoseconds: frames; samples, of which results, failed, skipped
   * (skipped-busy: the model was busy; skipped-void: flush, seek or EOS) and pending; late frames
   * that were not sampled; discarded boxes and points; reused results; crops and crops-encoded;
   * latency-min, -mean, -p99 (from buckets, at most 3.2 % too high) and -max; hold-max;
   * queued-frames; max-pending; mode, model, device, precision; workers, streams, weight-bytes,
   * request-bytes and stream-bytes of the model, for all elements that share it.
   *
   * Since: 0.1
   */
  install(kStats,
          g_param_spec_boxed("stats", "Statistics",
                             "Counts, latencies in nanoseconds, queues, memory, and the model",
                             GST_TYPE_STRUCTURE,
                             static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
}

}  // namespace moondream
