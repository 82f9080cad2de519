#include "redact_properties.h"

#include "property_values.h"

namespace moondream::redact {
namespace {

enum : guint {
  kStats = kPropertyStats,
  kZones = kPropertyZones,
  kStyle,
  kColour,
  kShape,
  kBlockSize,
  kMinBlock,
  kMargin,
  kMarginPixels,
  kMarginGrowth,
  kLabels,
  kMinScore,
  kMinSize,
  kPointRadius,
  kSource,
  kOnMissing,
  kMaxAge,
  kHoldBefore,
  kMaxBytes,
  kAuditLocation,
  kAuditRequired,
};

GType style_type() {
  static const GEnumValue values[] = {
      {value_of(Style::kSolid), "One colour: nothing of the picture is left", "solid"},
      {value_of(Style::kPixelate), "Coarse cells of their mean colour", "pixelate"},
      {value_of(Style::kBlur), "Cells mixed with their neighbours, without edges", "blur"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamRedactStyle", values);
  return type;
}

GType shape_type() {
  static const GEnumValue values[] = {
      {value_of(Shape::kRectangle), "The box and its margin", "rectangle"},
      {value_of(Shape::kEllipse), "The ellipse in the box and its margin", "ellipse"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamRedactShape", values);
  return type;
}

GType on_missing_type() {
  static const GEnumValue values[] = {
      {value_of(OnMissing::kCover), "Cover the whole frame", "cover"},
      {value_of(OnMissing::kDrop), "Drop the frame", "drop"},
      {value_of(OnMissing::kError), "Post an error and end the stream", "error"},
      {value_of(OnMissing::kPass), "Redact what is known and the zones", "pass"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamRedactOnMissing", values);
  return type;
}

GType source_type() {
  static const GFlagsValue values[] = {
      {kFromMoondream, "What moondreamfilter put on the frame", "moondream"},
      {kFromRoi, "Region of interest metas of any element", "roi"},
#ifdef HAVE_ANALYTICS
      {kFromAnalytics, "Object detection metas of any element", "analytics"},
#endif
      {kEverySource, "All of them", "all"},
      {0, nullptr, nullptr}};
  static const GType type = [] {
    const GType registered = g_flags_register_static("GstMoondreamRedactSource", values);
    gst_type_mark_as_plugin_api(registered, static_cast<GstPluginAPIFlags>(0));
    return registered;
  }();
  return type;
}

}  // namespace

bool set_property(Settings &s, guint id, const GValue *value) {
  switch (id) {
    case kStyle:
      s.style = static_cast<Style>(g_value_get_enum(value));
      return true;
    case kColour:
      s.colour = g_value_get_uint(value);
      return true;
    case kShape:
      s.shape = static_cast<Shape>(g_value_get_enum(value));
      return true;
    case kBlockSize:
      s.block_size = g_value_get_double(value);
      return true;
    case kMinBlock:
      s.min_block = g_value_get_uint(value);
      return true;
    case kMargin:
      s.margin = g_value_get_double(value);
      return true;
    case kMarginPixels:
      s.margin_pixels = g_value_get_uint(value);
      return true;
    case kMarginGrowth:
      s.margin_growth = g_value_get_double(value);
      return true;
    case kLabels:
      s.labels = text_of(value);
      return true;
    case kMinScore:
      s.min_score = g_value_get_double(value);
      return true;
    case kMinSize:
      s.min_size = g_value_get_uint(value);
      return true;
    case kPointRadius:
      s.point_radius = g_value_get_double(value);
      return true;
    case kZones:
      s.zones = text_of(value);
      return true;
    case kSource:
      s.source = g_value_get_flags(value);
      return true;
    case kOnMissing:
      s.on_missing = static_cast<OnMissing>(g_value_get_enum(value));
      return true;
    case kMaxAge:
      s.max_age = g_value_get_uint64(value);
      return true;
    case kHoldBefore:
      s.hold_before = g_value_get_uint64(value);
      return true;
    case kMaxBytes:
      s.max_bytes = g_value_get_uint64(value);
      return true;
    case kAuditLocation:
      s.audit_location = text_of(value);
      return true;
    case kAuditRequired:
      s.audit_required = g_value_get_boolean(value);
      return true;
    default:
      return false;
  }
}

bool get_property(const Settings &s, guint id, GValue *value) {
  switch (id) {
    case kStyle:
      g_value_set_enum(value, value_of(s.style));
      return true;
    case kColour:
      g_value_set_uint(value, s.colour);
      return true;
    case kShape:
      g_value_set_enum(value, value_of(s.shape));
      return true;
    case kBlockSize:
      g_value_set_double(value, s.block_size);
      return true;
    case kMinBlock:
      g_value_set_uint(value, s.min_block);
      return true;
    case kMargin:
      g_value_set_double(value, s.margin);
      return true;
    case kMarginPixels:
      g_value_set_uint(value, s.margin_pixels);
      return true;
    case kMarginGrowth:
      g_value_set_double(value, s.margin_growth);
      return true;
    case kLabels:
      set_text(value, s.labels);
      return true;
    case kMinScore:
      g_value_set_double(value, s.min_score);
      return true;
    case kMinSize:
      g_value_set_uint(value, s.min_size);
      return true;
    case kPointRadius:
      g_value_set_double(value, s.point_radius);
      return true;
    case kZones:
      set_text(value, s.zones);
      return true;
    case kSource:
      g_value_set_flags(value, s.source);
      return true;
    case kOnMissing:
      g_value_set_enum(value, value_of(s.on_missing));
      return true;
    case kMaxAge:
      g_value_set_uint64(value, s.max_age);
      return true;
    case kHoldBefore:
      g_value_set_uint64(value, s.hold_before);
      return true;
    case kMaxBytes:
      g_value_set_uint64(value, s.max_bytes);
      return true;
    case kAuditLocation:
      set_text(value, s.audit_location);
      return true;
    case kAuditRequired:
      g_value_set_boolean(value, s.audit_required);
      return true;
    default:
      return false;
  }
}

void install_properties(GObjectClass *object_class) {
  const Settings d;
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
   * GstMoondreamRedact:style:
   *
   * How regions are redacted: solid leaves nothing of the picture, pixelate and blur leave means
   * of cells, see #moondreamredact:block-size. A frame that is covered as a whole is always solid.
   *
   * Since: 0.1
   */
  install(kStyle, g_param_spec_enum("style", "Style", "How regions are redacted", style_type(),
                                    value_of(d.style), at_frame));
  /**
   * GstMoondreamRedact:color:
   *
   * Of solid regions and covered frames, as 0xRRGGBB.
   *
   * Since: 0.1
   */
  install(kColour,
          g_param_spec_uint("color", "Color", "Of solid regions and covered frames, 0xRRGGBB", 0,
                            0xffffff, d.colour, at_frame));
  /**
   * GstMoondreamRedact:shape:
   *
   * Whether objects and points are redacted as rectangles or as the ellipses that touch the
   * middles of their sides. An ellipse leaves the corners of the box as they are. Zones, and ways
   * between two results, are always rectangles.
   *
   * Since: 0.1
   */
  install(kShape, g_param_spec_enum("shape", "Shape", "Rectangles, or the ellipses inside of them",
                                    shape_type(), value_of(d.shape), at_frame));
  /**
   * GstMoondreamRedact:block-size:
   *
   * Side of a cell of pixelate, as a share of the region's shorter side. The cells of blur are
   * half as large and mixed with their neighbours: a Gaussian of a deviation of about 0.66 block
   * sizes.
   *
   * Since: 0.1
   */
  install(kBlockSize, g_param_spec_double("block-size", "Block size",
                                          "Side of a cell of pixelate, as a share of the region's "
                                          "shorter side; blur's cells are half as large",
                                          0.02, 1, d.block_size, at_frame));
  /**
   * GstMoondreamRedact:min-block:
   *
   * Floor of #moondreamredact:block-size in pixels: however small a region is, no cell is smaller
   * unless the region itself is.
   *
   * Since: 0.1
   */
  install(kMinBlock,
          g_param_spec_uint(
              "min-block", "Minimum block",
              "Side of a cell of pixelate at least, in pixels; blur's cells are half as large", 2,
              4096, d.min_block, at_frame));
  /**
   * GstMoondreamRedact:margin:
   *
   * Added to each end of a box, as a share of its side.
   *
   * Since: 0.1
   */
  install(kMargin, g_param_spec_double("margin", "Margin",
                                       "Added to each end of a box, as a share of its side", 0, 10,
                                       d.margin, at_frame));
  /**
   * GstMoondreamRedact:margin-pixels:
   *
   * Added to each end of a box besides, in pixels.
   *
   * Since: 0.1
   */
  install(kMarginPixels, g_param_spec_uint("margin-pixels", "Margin in pixels",
                                           "Added to each end of a box besides, in pixels", 0,
                                           10000, d.margin_pixels, at_frame));
  /**
   * GstMoondreamRedact:margin-growth:
   *
   * Added to #moondreamredact:margin for each second that lies between the result and the frame,
   * for what may have moved meanwhile.
   *
   * Since: 0.1
   */
  install(kMarginGrowth,
          g_param_spec_double("margin-growth", "Margin growth",
                              "Added to margin for each second between the result and the frame", 0,
                              100, d.margin_growth, at_frame));
  /**
   * GstMoondreamRedact:labels:
   *
   * Labels to redact, separated by commas; unset: all. Upper and lower case are the same.
   *
   * Since: 0.1
   */
  install(kLabels, g_param_spec_string("labels", "Labels",
                                       "Labels to redact, separated by commas (unset: all)",
                                       nullptr, at_frame));
  /**
   * GstMoondreamRedact:min-score:
   *
   * Objects and points of lower scores are left alone.
   *
   * Since: 0.1
   */
  install(kMinScore, g_param_spec_double("min-score", "Minimum score",
                                         "Objects and points of lower scores are left alone", 0, 1,
                                         d.min_score, at_frame));
  /**
   * GstMoondreamRedact:min-size:
   *
   * Objects that are smaller than this both ways, in pixels, are left alone.
   *
   * Since: 0.1
   */
  install(kMinSize, g_param_spec_uint(
                        "min-size", "Minimum size",
                        "Objects that are smaller than this both ways, in pixels, are left alone",
                        0, 65535, d.min_size, at_frame));
  /**
   * GstMoondreamRedact:point-radius:
   *
   * Half the side of what is redacted around a point, as a share of the frame's shorter side. 0
   * leaves points alone.
   *
   * Since: 0.1
   */
  install(kPointRadius,
          g_param_spec_double("point-radius", "Point radius",
                              "Half the side of what is redacted around a point, as a share of the "
                              "frame's shorter side (0 = points are left alone)",
                              0, 1, d.point_radius, at_frame));
  /**
   * GstMoondreamRedact:zones:
   *
   * Rectangles that are redacted on every frame, whatever is known of it: x_min,y_min,x_max,y_max
   * in fractions of the frame, separated by semicolons. What is not understood is an error at the
   * start; while the element runs it is a warning, and the zones stay as they are.
   *
   * Since: 0.1
   */
  install(kZones,
          g_param_spec_string("zones", "Zones",
                              "Rectangles that are always redacted: x_min,y_min,x_max,y_max in "
                              "fractions of the frame, separated by semicolons",
                              nullptr, at_frame));
  /**
   * GstMoondreamRedact:source:
   *
   * Metas that regions come from. Without moondream among them, a frame counts as analysed if it
   * has at least one of the others: detectors that put nothing on a frame without objects need
   * #moondreamredact:on-missing to be pass.
   *
   * Since: 0.1
   */
  install(kSource, g_param_spec_flags("source", "Source", "Metas that regions come from",
                                      source_type(), d.source, at_frame));
  /**
   * GstMoondreamRedact:on-missing:
   *
   * What happens to a frame of which too little is known: none or a broken sentinel, pending (also
   * of what was seen before new caps), failed, older than #moondreamredact:max-age, with
   * coordinates that may be those of another picture, or without the time that
   * #moondreamredact:hold-before asks for.
   *
   * Since: 0.1
   */
  install(kOnMissing, g_param_spec_enum("on-missing", "On missing",
                                        "What happens to a frame of which too little is known",
                                        on_missing_type(), value_of(d.on_missing), at_frame));
  /**
   * GstMoondreamRedact:max-age:
   *
   * Age in nanoseconds beyond which a result says too little of a frame. The largest number, -1 on
   * a command line, is no limit.
   *
   * Since: 0.1
   */
  install(kMaxAge,
          g_param_spec_uint64(
              "max-age", "Maximum age",
              "Nanoseconds after which a result says too little of a frame; -1 is no limit", 0,
              G_MAXUINT64, d.max_age, at_frame));
  /**
   * GstMoondreamRedact:hold-before:
   *
   * Nanoseconds of stream time that frames wait, so that what is seen on a frame is also redacted
   * on those that came so much before it, and the way between two results, too. Part of the
   * latency.
   *
   * Since: 0.1
   */
  install(
      kHoldBefore,
      g_param_spec_uint64(
          "hold-before", "Hold before",
          "Nanoseconds that frames wait for results of later frames, which then cover them, too", 0,
          3600 * GST_SECOND, d.hold_before, at_start));
  /**
   * GstMoondreamRedact:max-bytes:
   *
   * Bytes of frames that wait for #moondreamredact:hold-before at most, or a single one. Beyond
   * that the oldest leaves early, as one of which too little is known.
   *
   * Since: 0.1
   */
  install(kMaxBytes, g_param_spec_uint64("max-bytes", "Maximum bytes",
                                         "Of frames that wait; beyond, the oldest leaves early, as "
                                         "one of which too little is known",
                                         0, G_MAXUINT64, d.max_bytes, at_frame));
  /**
   * GstMoondreamRedact:audit-location:
   *
   * File for one JSON line about each frame: what was done, why, by which result of which age.
   * Written by a thread of its own, each line as soon as possible.
   *
   * Since: 0.1
   */
  install(kAuditLocation,
          g_param_spec_string(
              "audit-location", "Audit location",
              "File for a JSON line about each frame (unset: none; - is standard output)", nullptr,
              at_start));
  /**
   * GstMoondreamRedact:audit-required:
   *
   * Whether a line of the audit that cannot be written is an error that ends the stream. Else it
   * is a warning.
   *
   * Since: 0.1
   */
  install(kAuditRequired,
          g_param_spec_boolean("audit-required", "Audit required",
                               "Whether a line of the audit that cannot be written ends the stream",
                               d.audit_required, at_frame));
  /**
   * GstMoondreamRedact:stats:
   *
   * Every decision, counted: frames, passed, redacted, covered, dropped, flushed (held when the
   * stream was flushed or stopped), regions; frames by what was missing (no-sentinel, no-meta,
   * malformed, pending, failed, too-old, unplaced, no-room, cut-short); audit-written and
   * audit-dropped lines.
   *
   * Since: 0.1
   */
  install(kStats,
          g_param_spec_boxed("stats", "Statistics", "Every decision, counted", GST_TYPE_STRUCTURE,
                             static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
}

}  // namespace moondream::redact
