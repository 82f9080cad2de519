#include "moderation_properties.h"

#include "property_values.h"

#include <string>
#include <utility>

namespace moondream::moderation {
namespace {

enum : guint {
  PROP_STATS = kPropertyStats,
  PROP_LABELS,
  PROP_MIN_SCORE,
  PROP_STOP_ANSWERS,
  PROP_STOP_RULES,
  PROP_MAX_AGE,
  PROP_TRIGGER_RESULTS,
  PROP_TRIGGER_AFTER,
  PROP_RELEASE_RESULTS,
  PROP_RELEASE_AFTER,
  PROP_ACTION,
  PROP_ON_MISSING,
  PROP_COLOR,
  PROP_REPORT_LOCATION,
};

const GEnumValue actions[] = {{gint(Action::kMessage), "Only say so, on the bus", "message"},
                              {gint(Action::kCover), "Fill frames with a colour", "cover"},
                              {gint(Action::kDrop), "Drop frames", "drop"},
                              {gint(Action::kSignal), "Emit the signal \"moderation\"", "signal"},
                              {0, nullptr, nullptr}};

GType action_type() {
  static const GType type = register_enum("GstMoondreamModerateAction", actions);
  return type;
}

GType on_missing_type() {
  static const GEnumValue values[] = {
      {gint(OnMissing::kAction), "What the action does", "action"},
      {gint(OnMissing::kCover), "Fill the frame with a colour", "cover"},
      {gint(OnMissing::kDrop), "Drop the frame", "drop"},
      {gint(OnMissing::kError), "Post an error and end the stream", "error"},
      {gint(OnMissing::kPass), "Let the frame pass", "pass"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamModerateOnMissing", values);
  return type;
}

void set_rules(ModerationSettings &settings, const GValue *array) {
  settings.rules.clear();
  settings.rules_error.clear();
  try {
    settings.rules = parse_answer_rules(array);
  } catch (const Error &error) {
    // Shown when frames are to be judged by them.
    settings.rules_error = error.what();
  }
}

}  // namespace

const char *to_string(Action action) { return actions[gint(action)].value_nick; }

Rules ModerationSettings::all_rules() const {
  if (!rules_error.empty()) throw Error(ErrorKind::kSettings, rules_error);
  Rules all{
      .labels = split_list(labels), .min_score = min_score, .answers = rules, .max_age = max_age};
  auto answers = split_list(stop_answers);
  if (!answers.empty()) all.answers.push_back({"", std::move(answers)});
  return all;
}

bool set_property(ModerationSettings &settings, guint id, const GValue *value) {
  switch (id) {
    case PROP_LABELS:
      settings.labels = text_of(value);
      return true;
    case PROP_MIN_SCORE:
      settings.min_score = g_value_get_double(value);
      return true;
    case PROP_STOP_ANSWERS:
      settings.stop_answers = text_of(value);
      return true;
    case PROP_STOP_RULES:
      set_rules(settings, value);
      return true;
    case PROP_MAX_AGE:
      settings.max_age = g_value_get_uint64(value);
      return true;
    case PROP_TRIGGER_RESULTS:
      settings.hysteresis.trigger_results = g_value_get_uint(value);
      return true;
    case PROP_TRIGGER_AFTER:
      settings.hysteresis.trigger_after = g_value_get_uint64(value);
      return true;
    case PROP_RELEASE_RESULTS:
      settings.hysteresis.release_results = g_value_get_uint(value);
      return true;
    case PROP_RELEASE_AFTER:
      settings.hysteresis.release_after = g_value_get_uint64(value);
      return true;
    case PROP_ACTION:
      settings.action = static_cast<Action>(g_value_get_enum(value));
      return true;
    case PROP_ON_MISSING:
      settings.on_missing = static_cast<OnMissing>(g_value_get_enum(value));
      return true;
    case PROP_COLOR:
      settings.color = g_value_get_uint(value);
      return true;
    case PROP_REPORT_LOCATION:
      settings.report_location = text_of(value);
      return true;
    default:
      return false;
  }
}

bool get_property(const ModerationSettings &settings, guint id, GValue *value) {
  switch (id) {
    case PROP_LABELS:
      set_text(value, settings.labels);
      return true;
    case PROP_MIN_SCORE:
      g_value_set_double(value, settings.min_score);
      return true;
    case PROP_STOP_ANSWERS:
      set_text(value, settings.stop_answers);
      return true;
    case PROP_STOP_RULES:
      write_answer_rules(settings.rules, value);
      return true;
    case PROP_MAX_AGE:
      g_value_set_uint64(value, settings.max_age);
      return true;
    case PROP_TRIGGER_RESULTS:
      g_value_set_uint(value, settings.hysteresis.trigger_results);
      return true;
    case PROP_TRIGGER_AFTER:
      g_value_set_uint64(value, settings.hysteresis.trigger_after);
      return true;
    case PROP_RELEASE_RESULTS:
      g_value_set_uint(value, settings.hysteresis.release_results);
      return true;
    case PROP_RELEASE_AFTER:
      g_value_set_uint64(value, settings.hysteresis.release_after);
      return true;
    case PROP_ACTION:
      g_value_set_enum(value, gint(settings.action));
      return true;
    case PROP_ON_MISSING:
      g_value_set_enum(value, gint(settings.on_missing));
      return true;
    case PROP_COLOR:
      g_value_set_uint(value, settings.color);
      return true;
    case PROP_REPORT_LOCATION:
      set_text(value, settings.report_location);
      return true;
    default:
      return false;
  }
}

void install_properties(GObjectClass *object_class) {
  const ModerationSettings defaults;
  const auto playing = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                GST_PARAM_MUTABLE_PLAYING);
  const auto ready = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                              GST_PARAM_MUTABLE_READY);
  /**
   * GstMoondreamModerate:labels:
   *
   * Labels that must not appear, separated by commas: descriptions that a moondreamfilter upstream
   * is asked to detect or point at. One that nobody asks for never appears.
   */
  g_object_class_install_property(
      object_class, PROP_LABELS,
      g_param_spec_string("labels", "Labels", "Labels that must not appear, separated by commas",
                          nullptr, playing));
  /**
   * GstMoondreamModerate:min-score:
   *
   * Objects and points of lower scores do not count.
   */
  g_object_class_install_property(
      object_class, PROP_MIN_SCORE,
      g_param_spec_double("min-score", "Minimum score",
                          "Score below which objects and points do not count", 0, 1,
                          defaults.min_score, playing));
  /**
   * GstMoondreamModerate:stop-answers:
   *
   * Answers that mean stop, to any question, separated by commas.
   */
  g_object_class_install_property(
      object_class, PROP_STOP_ANSWERS,
      g_param_spec_string("stop-answers", "Stop answers",
                          "Answers to any question that mean stop, separated by commas", nullptr,
                          playing));
  /**
   * GstMoondreamModerate:stop-rules: (type GstValueArray)
   *
   * Answers that mean stop, by question: an array of structures with a string "question", absent
   * for any, and "answers", an array of strings or a single one. As text, where yes and no without
   * quotes stand for true and false, too:
   * |[
   * moondreammoderate
   * 'stop-rules="<\"rule,question=(string)\\\"Is there blood?\\\",answers=<yes,maybe>\">"'
   * ]|
   * A rule that cannot be understood is an error as soon as frames are judged by it.
   */
  g_object_class_install_property(
      object_class, PROP_STOP_RULES,
      gst_param_spec_array("stop-rules", "Stop rules",
                           "Questions, and the answers to them that mean stop",
                           g_param_spec_boxed("rule", "Rule", "A question and its answers",
                                              GST_TYPE_STRUCTURE, playing),
                           playing));
  /**
   * GstMoondreamModerate:max-age:
   *
   * Results of frames that are longer ago than this say nothing about a frame. By default there is
   * no limit but that of the moondreamfilter, which attaches no older results than its own max-age.
   */
  g_object_class_install_property(
      object_class, PROP_MAX_AGE,
      g_param_spec_uint64("max-age", "Maximum age",
                          "Take nothing to be known by results of frames longer ago than this, in "
                          "nanoseconds (18446744073709551615 = no limit)",
                          0, G_MAXUINT64, defaults.max_age, playing));
  /**
   * GstMoondreamModerate:trigger-results:
   *
   * How many results in a row have to match before an interval begins.
   */
  g_object_class_install_property(
      object_class, PROP_TRIGGER_RESULTS,
      g_param_spec_uint("trigger-results", "Trigger results",
                        "Results in a row that have to match before frames are stopped", 1,
                        G_MAXUINT, defaults.hysteresis.trigger_results, playing));
  /**
   * GstMoondreamModerate:trigger-after:
   *
   * How long results have to match before an interval begins, in nanoseconds of stream time.
   */
  g_object_class_install_property(
      object_class, PROP_TRIGGER_AFTER,
      g_param_spec_uint64("trigger-after", "Trigger after",
                          "Nanoseconds for which results have to match before frames are stopped",
                          0, G_MAXINT64, defaults.hysteresis.trigger_after, playing));
  /**
   * GstMoondreamModerate:release-results:
   *
   * How many results in a row must not match before an interval ends.
   */
  g_object_class_install_property(
      object_class, PROP_RELEASE_RESULTS,
      g_param_spec_uint("release-results", "Release results",
                        "Results in a row that must not match before frames pass again", 1,
                        G_MAXUINT, defaults.hysteresis.release_results, playing));
  /**
   * GstMoondreamModerate:release-after:
   *
   * How long no result must match before an interval ends, in nanoseconds of stream time.
   */
  g_object_class_install_property(
      object_class, PROP_RELEASE_AFTER,
      g_param_spec_uint64("release-after", "Release after",
                          "Nanoseconds for which no result must match before frames pass again", 0,
                          G_MAXINT64, defaults.hysteresis.release_after, playing));
  /**
   * GstMoondreamModerate:action:
   *
   * What becomes of the frames of an interval of kind "stop". Each of them posts messages besides.
   */
  g_object_class_install_property(
      object_class, PROP_ACTION,
      g_param_spec_enum("action", "Action", "What becomes of frames that match", action_type(),
                        gint(defaults.action), playing));
  /**
   * GstMoondreamModerate:on-missing:
   *
   * What becomes of frames about which nothing is known. "action" does what
   * #moondreammoderate:action does, so that cover and drop fail closed.
   */
  g_object_class_install_property(
      object_class, PROP_ON_MISSING,
      g_param_spec_enum("on-missing", "On missing",
                        "What becomes of frames about which nothing is known", on_missing_type(),
                        gint(defaults.on_missing), playing));
  /**
   * GstMoondreamModerate:color:
   *
   * What frames are covered with, as 0xRRGGBB.
   */
  g_object_class_install_property(
      object_class, PROP_COLOR,
      g_param_spec_uint("color", "Color", "Color that frames are covered with (0xRRGGBB)", 0,
                        0xffffff, defaults.color, playing));
  /**
   * GstMoondreamModerate:report-location:
   *
   * A file that gets a line of JSON for each interval when it ends; "-" is standard output. It is
   * emptied at the start. In force from the next start on.
   */
  g_object_class_install_property(
      object_class, PROP_REPORT_LOCATION,
      g_param_spec_string("report-location", "Report location",
                          "File for the intervals, as JSON Lines; - is standard output", nullptr,
                          ready));
  /**
   * GstMoondreamModerate:stats:
   *
   * Counts of frames since the start, all uint64: "frames", of these "stopped" (in an interval of
   * kind stop) and "unknown", and of all "covered" and "dropped".
   */
  g_object_class_install_property(
      object_class, PROP_STATS,
      g_param_spec_boxed("stats", "Statistics", "Counts of frames", GST_TYPE_STRUCTURE,
                         static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
}

}  // namespace moondream::moderation
