#include "metawrite_properties.h"

#include "property_values.h"

namespace moondream::metawrite {
namespace {

enum : guint {
  PROP_STATS = kPropertyStats,
  PROP_LOCATION,
  PROP_FD,
  PROP_APPEND,
  PROP_FRAMES,
  PROP_MAX_BYTES,
  PROP_OUTPUT,
};

GType frames_type() {
  static const GEnumValue values[] = {
      {gint(Frames::kResults), "The first buffer that carries each result", "results"},
      {gint(Frames::kFresh), "Buffers whose own picture was analysed", "fresh"},
      {gint(Frames::kAll), "Every buffer, whatever its status", "all"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamMetawriteFrames", values);
  return type;
}

GType output_type() {
  static const GEnumValue values[] = {
      {gint(Output::kStream), "The buffers that come in, as they are", "stream"},
      {gint(Output::kJson), "Lines of JSON in their place", "json"},
      {0, nullptr, nullptr}};
  static const GType type = register_enum("GstMoondreamMetawriteOutput", values);
  return type;
}

}  // namespace

bool set_property(Settings &settings, guint id, const GValue *value) {
  switch (id) {
    case PROP_LOCATION:
      settings.location = text_of(value);
      return true;
    case PROP_FD:
      settings.fd = g_value_get_int(value);
      return true;
    case PROP_APPEND:
      settings.append = g_value_get_boolean(value);
      return true;
    case PROP_FRAMES:
      settings.frames = static_cast<Frames>(g_value_get_enum(value));
      return true;
    case PROP_MAX_BYTES:
      settings.max_bytes = g_value_get_uint(value);
      return true;
    case PROP_OUTPUT:
      settings.output = static_cast<Output>(g_value_get_enum(value));
      return true;
    default:
      return false;
  }
}

bool get_property(const Settings &settings, guint id, GValue *value) {
  switch (id) {
    case PROP_LOCATION:
      set_text(value, settings.location);
      return true;
    case PROP_FD:
      g_value_set_int(value, settings.fd);
      return true;
    case PROP_APPEND:
      g_value_set_boolean(value, settings.append);
      return true;
    case PROP_FRAMES:
      g_value_set_enum(value, gint(settings.frames));
      return true;
    case PROP_MAX_BYTES:
      g_value_set_uint(value, settings.max_bytes);
      return true;
    case PROP_OUTPUT:
      g_value_set_enum(value, gint(settings.output));
      return true;
    default:
      return false;
  }
}

void install_properties(GObjectClass *object_class) {
  const Settings defaults;
  const auto ready = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                              GST_PARAM_MUTABLE_READY);
  const auto playing = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                GST_PARAM_MUTABLE_PLAYING);
  /**
   * GstMoondreamMetawrite:location:
   *
   * The file that lines are written to, or "-" for standard output. A named pipe must have a
   * reader. In force from the next start on.
   */
  g_object_class_install_property(
      object_class, PROP_LOCATION,
      g_param_spec_string("location", "Location", "File to write to; - is standard output", nullptr,
                          ready));
  /**
   * GstMoondreamMetawrite:fd:
   *
   * An open file descriptor that lines are written to instead of a #moondreammetawrite:location;
   * -1 is none. It is duplicated at the start and stays the application's. In force from the next
   * start on.
   */
  g_object_class_install_property(
      object_class, PROP_FD,
      g_param_spec_int("fd", "File descriptor", "File descriptor to write to (-1 = none)", -1,
                       G_MAXINT, defaults.fd, ready));
  /**
   * GstMoondreamMetawrite:append:
   *
   * Whether lines go behind those that are in the file already. Otherwise it is emptied at each
   * start.
   */
  g_object_class_install_property(
      object_class, PROP_APPEND,
      g_param_spec_boolean("append", "Append", "Keep what is in the file", defaults.append, ready));
  /**
   * GstMoondreamMetawrite:frames:
   *
   * Which buffers get a line. "results" gives one for each result, on the first buffer that carries
   * it, failed ones included. "fresh" gives one for each buffer whose own picture was analysed,
   * so none in the filter's async mode. "all" gives one for each buffer that came through a filter,
   * pending ones included.
   */
  g_object_class_install_property(object_class, PROP_FRAMES,
                                  g_param_spec_enum("frames", "Frames", "Which buffers get a line",
                                                    frames_type(), gint(defaults.frames), playing));
  /**
   * GstMoondreamMetawrite:max-bytes:
   *
   * How many bytes of lines may wait for what reads them; further ones are dropped. A single line
   * may be longer.
   */
  g_object_class_install_property(
      object_class, PROP_MAX_BYTES,
      g_param_spec_uint("max-bytes", "Maximum bytes",
                        "Bytes of lines that may wait to be written; further ones are dropped", 1,
                        G_MAXUINT, defaults.max_bytes, ready));
  /**
   * GstMoondreamMetawrite:output:
   *
   * What leaves through the source pad: the stream as it came, or the lines, in application/json,
   * each a buffer with a newline at its end and the times of the buffer that it is about. Buffers
   * without a line are gaps then, and neither #moondreammetawrite:location nor
   * #moondreammetawrite:fd has to be set. In force from the next start on.
   */
  g_object_class_install_property(
      object_class, PROP_OUTPUT,
      g_param_spec_enum("output", "Output", "What leaves through the source pad", output_type(),
                        gint(defaults.output), ready));
  /**
   * GstMoondreamMetawrite:stats:
   *
   * Counts since the start, of which those of the last run stay: "frames" that came, "unmarked"
   * ones that carried no result, lines "written", "waiting" and "dropped", the "bytes" of those
   * written, and lines "pushed" through the source pad. All are uint64.
   */
  g_object_class_install_property(
      object_class, PROP_STATS,
      g_param_spec_boxed("stats", "Statistics", "Counts of frames and lines", GST_TYPE_STRUCTURE,
                         static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
}

}  // namespace moondream::metawrite
