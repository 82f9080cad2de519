#include "overlay_properties.h"

namespace moondream::overlay {
namespace {

enum : guint {
  PROP_DRAW_LABELS = 1,
  PROP_DRAW_SCORES,
  PROP_DRAW_IDS,
  PROP_DRAW_CAPTION,
  PROP_FONT,
  PROP_LINE_WIDTH,
  PROP_MAX_AGE,
};

constexpr guint kMaxLineWidth = 256;

}  // namespace

bool set_property(Settings &settings, guint id, const GValue *value) {
  switch (id) {
    case PROP_DRAW_LABELS:
      settings.draw_labels = g_value_get_boolean(value);
      return true;
    case PROP_DRAW_SCORES:
      settings.draw_scores = g_value_get_boolean(value);
      return true;
    case PROP_DRAW_IDS:
      settings.draw_ids = g_value_get_boolean(value);
      return true;
    case PROP_DRAW_CAPTION:
      settings.draw_caption = g_value_get_boolean(value);
      return true;
    case PROP_FONT:
      settings.font = g_value_get_string(value) ? g_value_get_string(value) : Settings().font;
      return true;
    case PROP_LINE_WIDTH:
      settings.line_width = g_value_get_uint(value);
      return true;
    case PROP_MAX_AGE:
      settings.max_age = g_value_get_uint64(value);
      return true;
    default:
      return false;
  }
}

bool get_property(const Settings &settings, guint id, GValue *value) {
  switch (id) {
    case PROP_DRAW_LABELS:
      g_value_set_boolean(value, settings.draw_labels);
      return true;
    case PROP_DRAW_SCORES:
      g_value_set_boolean(value, settings.draw_scores);
      return true;
    case PROP_DRAW_IDS:
      g_value_set_boolean(value, settings.draw_ids);
      return true;
    case PROP_DRAW_CAPTION:
      g_value_set_boolean(value, settings.draw_caption);
      return true;
    case PROP_FONT:
      g_value_set_string(value, settings.font.c_str());
      return true;
    case PROP_LINE_WIDTH:
      g_value_set_uint(value, settings.line_width);
      return true;
    case PROP_MAX_AGE:
      g_value_set_uint64(value, settings.max_age);
      return true;
    default:
      return false;
  }
}

void install_properties(GObjectClass *object_class) {
  const Settings defaults;
  const auto flags = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                              GST_PARAM_MUTABLE_PLAYING);
  /**
   * GstMoondreamOverlay:draw-labels:
   *
   * Whether boxes and points bear their labels.
   */
  g_object_class_install_property(
      object_class, PROP_DRAW_LABELS,
      g_param_spec_boolean("draw-labels", "Draw labels", "Write labels at boxes and points",
                           defaults.draw_labels, flags));
  /**
   * GstMoondreamOverlay:draw-scores:
   *
   * Whether boxes and points bear their scores, in percent.
   */
  g_object_class_install_property(
      object_class, PROP_DRAW_SCORES,
      g_param_spec_boolean("draw-scores", "Draw scores",
                           "Write scores, in percent, at boxes and points", defaults.draw_scores,
                           flags));
  /**
   * GstMoondreamOverlay:draw-ids:
   *
   * Whether boxes and points bear the ids that objects and points keep from frame to frame.
   */
  g_object_class_install_property(
      object_class, PROP_DRAW_IDS,
      g_param_spec_boolean("draw-ids", "Draw ids", "Write the ids of objects and points at them",
                           defaults.draw_ids, flags));
  /**
   * GstMoondreamOverlay:draw-caption:
   *
   * Whether the caption and the answers to questions are written at the bottom of the frame.
   */
  g_object_class_install_property(
      object_class, PROP_DRAW_CAPTION,
      g_param_spec_boolean("draw-caption", "Draw caption",
                           "Write the caption and the answers at the bottom of the frame",
                           defaults.draw_caption, flags));
  /**
   * GstMoondreamOverlay:font:
   *
   * The font family, as fontconfig knows it. Characters that it lacks come from other fonts. NULL
   * is the default.
   */
  g_object_class_install_property(object_class, PROP_FONT,
                                  g_param_spec_string("font", "Font", "Font family of all texts",
                                                      defaults.font.c_str(), flags));
  /**
   * GstMoondreamOverlay:line-width:
   *
   * The width of boxes and rays in rows of the frame; 0 chooses one by the frame's size.
   */
  g_object_class_install_property(
      object_class, PROP_LINE_WIDTH,
      g_param_spec_uint("line-width", "Line width",
                        "Width of lines in pixels (0 = by the frame's size)", 0, kMaxLineWidth,
                        defaults.line_width, flags));
  /**
   * GstMoondreamOverlay:max-age:
   *
   * Results of frames that are longer ago than this are not drawn. By default there is no limit
   * but that of the moondreamfilter, which attaches no older results than its own max-age.
   */
  g_object_class_install_property(
      object_class, PROP_MAX_AGE,
      g_param_spec_uint64("max-age", "Maximum age",
                          "Do not draw results of frames longer ago than this, in nanoseconds "
                          "(18446744073709551615 = no limit)",
                          0, G_MAXUINT64, defaults.max_age, flags));
}

}  // namespace moondream::overlay
