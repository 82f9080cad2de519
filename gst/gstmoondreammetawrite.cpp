/**
 * SECTION:element-moondreammetawrite
 * @title: moondreammetawrite
 * @short_description: writes what moondreamfilter saw as JSON Lines
 *
 * Writes the results that buffers carry to a file, to standard output, or to a pipe or socket, one
 * JSON object on each line, and passes the buffers on as they are. It needs a moondreamfilter
 * upstream, with converters, scalers or encoders in between: it looks at no pixel and takes any
 * stream whose buffers still carry the "moondream" meta, encoded video too.
 *
 * |[
 * {"pts":200000000,"running_time":200000000,"stream_time":200000000,"serial":2,"status":"fresh",
 * "age":0,"width":640,"height":360,"model":"demo-model","objects":[{"label":"face","score":0.99,
 * "x_min":0.67,"y_min":0.36,"x_max":0.79,"y_max":0.54,"id":1}],"points":[],"gaze":[],
 * "caption":"A face.","answers":[]}
 * ]|
 *
 * Where an element in between may have cropped, flipped or padded the picture, so that coordinates
 * are not fractions of it, a line has "placed":false behind its height.
 *
 * Times are those of the buffer, in nanoseconds. The result is about the frame whose PTS is `age`
 * earlier; in the filter's async mode that is never 0. Which buffers get a line is chosen by
 * #moondreammetawrite:frames. Buffers without the meta get none and are counted in
 * #moondreammetawrite:stats.
 *
 * A thread of its own writes, so neither a disk nor a reader ever holds the video up. Each line is
 * handed to the system whole and at once. A file that cannot be opened is an error at the start;
 * what fails later is one warning on the bus, and the lines that it costs are counted as dropped:
 * a full disk, a reader that is gone, or one that is so slow that #moondreammetawrite:max-bytes
 * wait for it. At EOS the element waits up to five seconds until everything is written, so that
 * the record is complete when EOS comes to the bus.
 *
 * With #moondreammetawrite:output=json the lines leave through the source pad in place of the
 * buffers, for whatever sends bytes: udpsink, tcpserversink, multifilesink, appsink. A tee in front
 * keeps the video.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 videotestsrc num-buffers=90 ! moondreamfilter detect="circle,face" !
 * moondreammetawrite location=seen.jsonl ! fakesink
 * ]|
 * |[
 * gst-launch-1.0 -q filesrc location=street.mp4 ! decodebin ! videoconvert ! moondreamfilter
 * model=/models/moondream2 detect=person ! moondreammetawrite location=- ! fakesink | grep person
 * ]|
 *
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! moondreamfilter model=/models/moondream2 detect=person !
 * tee name=t ! queue ! videoconvert ! autovideosink t. ! queue ! moondreammetawrite output=json !
 * udpsink host=127.0.0.1 port=5000
 * ]|
 *
 * Since: 0.1
 */
#include "gstmoondreammetawrite.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "analysis_json.h"
#include "coordinates.h"
#include "gstmoondreamerror.h"
#include "gstmoondreammeta.h"
#include "line_output.h"
#include "line_writer.h"

using moondream::AnalysisStatus;
using moondream::FrameAnalysis;
using moondream::guarded;
using moondream::LineWriter;
using moondream::LineWriterStats;
using moondream::OutputError;

GST_DEBUG_CATEGORY_STATIC(gst_moondream_metawrite_debug);
#define GST_CAT_DEFAULT gst_moondream_metawrite_debug

namespace {

using namespace std::chrono_literals;

enum Property {
  PROP_0,
  PROP_LOCATION,
  PROP_FD,
  PROP_APPEND,
  PROP_FRAMES,
  PROP_MAX_BYTES,
  PROP_OUTPUT,
  PROP_STATS,
};

// How long a reader may take for what is left. An application waits for the first.
constexpr auto kEosPatience = 5s;
constexpr auto kStopPatience = 500ms;

enum class Frames { kResults, kFresh, kAll };
enum class Output { kStream, kJson };

struct Settings {
  std::string location;
  gint fd = -1;
  bool append = false;
  Frames frames = Frames::kResults;
  guint max_bytes = 4 << 20;
  Output output = Output::kStream;
};

struct Stats {
  std::atomic<guint64> frames = 0;    // that came
  std::atomic<guint64> unmarked = 0;  // of these, without a readable sentinel
  std::atomic<guint64> pushed = 0;    // lines that left through the source pad
};

struct State {
  std::mutex lock;                     // held for copies only
  Settings settings;                   // lock
  std::shared_ptr<LineWriter> writer;  // lock; from start() to stop()
  LineWriterStats last;                // lock; of the writer before

  Stats stats;

  // Streaming thread only.
  guint64 serial = 0;  // of the newest result that was seen
  gint rows = 0;       // of a buffer: of alternate fields, half of the picture's
  gint width = 0, height = 0;
  bool failing = false;  // since a line was last queued

  Settings current_settings() {
    const std::lock_guard guard(lock);
    return settings;
  }
  std::shared_ptr<LineWriter> current_writer() {
    const std::lock_guard guard(lock);
    return writer;
  }
};

}  // namespace

struct _GstMoondreamMetawrite {
  GstBaseTransform parent;
  State *state;
};

G_DEFINE_FINAL_TYPE(GstMoondreamMetawrite, gst_moondream_metawrite, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE(moondreammetawrite, "moondreammetawrite", GST_RANK_NONE,
                            GST_TYPE_MOONDREAM_METAWRITE)

static GstStaticPadTemplate sink_template =
    GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

// ---- Properties ------------------------------------------------------------------------------

#define GST_TYPE_MOONDREAM_METAWRITE_FRAMES (gst_moondream_metawrite_frames_get_type())
static GType gst_moondream_metawrite_frames_get_type(void) {
  static const GEnumValue values[] = {
      {gint(Frames::kResults), "The first buffer that carries each result", "results"},
      {gint(Frames::kFresh), "Buffers whose own picture was analysed", "fresh"},
      {gint(Frames::kAll), "Every buffer, whatever its status", "all"},
      {0, nullptr, nullptr}};
  static const GType type = [] {
    const GType registered = g_enum_register_static("GstMoondreamMetawriteFrames", values);
    gst_type_mark_as_plugin_api(registered, static_cast<GstPluginAPIFlags>(0));
    return registered;
  }();
  return type;
}

#define GST_TYPE_MOONDREAM_METAWRITE_OUTPUT (gst_moondream_metawrite_output_get_type())
static GType gst_moondream_metawrite_output_get_type(void) {
  static const GEnumValue values[] = {
      {gint(Output::kStream), "The buffers that come in, as they are", "stream"},
      {gint(Output::kJson), "Lines of JSON in their place", "json"},
      {0, nullptr, nullptr}};
  static const GType type = [] {
    const GType registered = g_enum_register_static("GstMoondreamMetawriteOutput", values);
    gst_type_mark_as_plugin_api(registered, static_cast<GstPluginAPIFlags>(0));
    return registered;
  }();
  return type;
}

static GstStructure *new_stats(State *state) {
  LineWriterStats lines;
  {
    const std::lock_guard guard(state->lock);
    lines = state->writer ? state->writer->stats() : state->last;
  }
  return gst_structure_new(
      "moondream-metawrite-stats", "frames", G_TYPE_UINT64, state->stats.frames.load(), "unmarked",
      G_TYPE_UINT64, state->stats.unmarked.load(), "pushed", G_TYPE_UINT64,
      state->stats.pushed.load(), "written", G_TYPE_UINT64, guint64{lines.written}, "waiting",
      G_TYPE_UINT64, guint64{lines.waiting}, "dropped", G_TYPE_UINT64, guint64{lines.dropped},
      "bytes", G_TYPE_UINT64, guint64{lines.bytes}, nullptr);
}

static void gst_moondream_metawrite_set_property(GObject *object, guint id, const GValue *value,
                                                 GParamSpec *pspec) {
  State *state = GST_MOONDREAM_METAWRITE(object)->state;
  const std::lock_guard guard(state->lock);
  Settings &settings = state->settings;
  switch (id) {
    case PROP_LOCATION:
      settings.location = g_value_get_string(value) ? g_value_get_string(value) : "";
      break;
    case PROP_FD:
      settings.fd = g_value_get_int(value);
      break;
    case PROP_APPEND:
      settings.append = g_value_get_boolean(value);
      break;
    case PROP_FRAMES:
      settings.frames = static_cast<Frames>(g_value_get_enum(value));
      break;
    case PROP_MAX_BYTES:
      settings.max_bytes = g_value_get_uint(value);
      break;
    case PROP_OUTPUT:
      settings.output = static_cast<Output>(g_value_get_enum(value));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void gst_moondream_metawrite_get_property(GObject *object, guint id, GValue *value,
                                                 GParamSpec *pspec) {
  State *state = GST_MOONDREAM_METAWRITE(object)->state;
  const Settings settings = state->current_settings();
  switch (id) {
    case PROP_LOCATION:
      g_value_set_string(value, settings.location.empty() ? nullptr : settings.location.c_str());
      break;
    case PROP_FD:
      g_value_set_int(value, settings.fd);
      break;
    case PROP_APPEND:
      g_value_set_boolean(value, settings.append);
      break;
    case PROP_FRAMES:
      g_value_set_enum(value, gint(settings.frames));
      break;
    case PROP_MAX_BYTES:
      g_value_set_uint(value, settings.max_bytes);
      break;
    case PROP_OUTPUT:
      g_value_set_enum(value, gint(settings.output));
      break;
    case PROP_STATS:
      g_value_take_boxed(value, new_stats(state));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

// ---- States ----------------------------------------------------------------------------------

static gboolean gst_moondream_metawrite_start(GstBaseTransform *transform) {
  State *state = GST_MOONDREAM_METAWRITE(transform)->state;
  return guarded(GST_ELEMENT(transform), "opening the output", FALSE, [&] {
    const Settings settings = state->current_settings();
    const bool json = settings.output == Output::kJson;
    std::shared_ptr<LineWriter> writer;
    // Who gets lines through the pad need not have them written as well.
    if (!json || !settings.location.empty() || settings.fd >= 0) {
      writer = moondream::open_line_output(GST_ELEMENT(transform), settings.location, settings.fd,
                                           settings.append, settings.max_bytes);
    }
    gst_base_transform_set_passthrough(transform, !json);
    gst_base_transform_set_in_place(transform, !json);
    state->stats.frames = state->stats.unmarked = state->stats.pushed = 0;
    state->serial = 0;
    state->width = state->height = 0;
    state->failing = false;
    const std::lock_guard guard(state->lock);
    state->writer = std::move(writer);
    return TRUE;
  });
}

static gboolean gst_moondream_metawrite_stop(GstBaseTransform *transform) {
  State *state = GST_MOONDREAM_METAWRITE(transform)->state;
  const auto writer = state->current_writer();
  if (!writer) return TRUE;
  writer->resume();
  if (!writer->flush(kStopPatience)) {
    const OutputError error(GST_RESOURCE_ERROR_BUSY,
                            "What reads the results is too slow: the last ones are dropped.");
    moondream::post_warning(GST_ELEMENT(transform), to_failure(error), "stopping");
  }
  const std::lock_guard guard(state->lock);
  state->last = writer->stats();
  state->last.dropped += std::exchange(state->last.waiting, 0);
  state->writer.reset();
  return TRUE;
}

// EOS must not hold up a pipeline that is being stopped.
static GstStateChangeReturn gst_moondream_metawrite_change_state(GstElement *element,
                                                                 GstStateChange transition) {
  State *state = GST_MOONDREAM_METAWRITE(element)->state;
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    if (const auto writer = state->current_writer()) writer->interrupt();
  }
  return GST_ELEMENT_CLASS(gst_moondream_metawrite_parent_class)->change_state(element, transition);
}

// ---- Streaming -------------------------------------------------------------------------------

// Raw or encoded, video caps say how large the picture is.
static gboolean gst_moondream_metawrite_set_caps(GstBaseTransform *transform, GstCaps *caps,
                                                 GstCaps *) {
  State *state = GST_MOONDREAM_METAWRITE(transform)->state;
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  if (!gst_structure_get(structure, "width", G_TYPE_INT, &state->width, "height", G_TYPE_INT,
                         &state->height, nullptr)) {
    state->width = state->height = 0;
  }
  const gchar *interlacing = gst_structure_get_string(structure, "interlace-mode");
  const bool fields = g_strcmp0(interlacing, "alternate") == 0;
  state->rows = fields ? (state->height + 1) / 2 : state->height;
  return TRUE;
}

static gboolean gst_moondream_metawrite_sink_event(GstBaseTransform *transform, GstEvent *event) {
  State *state = GST_MOONDREAM_METAWRITE(transform)->state;
  const auto writer = state->current_writer();
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_STREAM_START:
      // Another stream's results may have the same numbers.
      state->serial = 0;
      break;
    case GST_EVENT_FLUSH_START:
      if (writer) writer->interrupt();
      break;
    case GST_EVENT_FLUSH_STOP:
      if (writer) writer->resume();
      break;
    case GST_EVENT_EOS:
      if (writer && !writer->flush(kEosPatience))
        GST_WARNING_OBJECT(transform, "EOS before all lines are written");
      break;
    default:
      break;
  }
  return GST_BASE_TRANSFORM_CLASS(gst_moondream_metawrite_parent_class)
      ->sink_event(transform, event);
}

static bool is_wanted(State *state, const FrameAnalysis &analysis) {
  const bool is_new =
      analysis.serial != 0 && std::exchange(state->serial, analysis.serial) != analysis.serial;
  switch (state->current_settings().frames) {
    case Frames::kResults:
      return is_new;
    case Frames::kFresh:
      return analysis.status == AnalysisStatus::kFresh;
    case Frames::kAll:
      return true;
  }
  return false;
}

// The line for a buffer, which is queued to be written if anything is; nothing if it gets none.
static std::optional<std::string> write_result(GstBaseTransform *transform, State *state,
                                               GstBuffer *buffer) {
  const auto analysis = moondream::read_analysis(buffer);
  if (!analysis) {
    ++state->stats.unmarked;
    return std::nullopt;
  }
  if (!is_wanted(state, *analysis)) return std::nullopt;
  auto place =
      moondream::place_of(GST_BUFFER_PTS(buffer), transform->segment, state->width, state->height);
  place.placed =
      state->width == 0 || moondream::drift_of(buffer, state->width, state->rows).has_value();
  std::string line = moondream::to_line(to_json(*analysis, place));
  const auto writer = state->current_writer();
  if (writer && !writer->write(line))
    throw OutputError(GST_RESOURCE_ERROR_BUSY,
                      "What reads the results is too slow: some of them are dropped.");
  return line;
}

// Whatever fails here costs a line. It never costs a frame.
static std::optional<std::string> try_write_result(GstBaseTransform *transform, GstBuffer *buffer) {
  State *state = GST_MOONDREAM_METAWRITE(transform)->state;
  ++state->stats.frames;
  try {
    auto line = write_result(transform, state, buffer);
    state->failing = false;
    return line;
  } catch (...) {
    if (!std::exchange(state->failing, true)) {
      moondream::post_warning(GST_ELEMENT(transform), moondream::current_failure(),
                              "writing the result");
    }
    return std::nullopt;
  }
}

static GstFlowReturn gst_moondream_metawrite_transform_ip(GstBaseTransform *transform,
                                                          GstBuffer *buffer) {
  try_write_result(transform, buffer);
  return GST_FLOW_OK;
}

// ---- Lines in place of buffers ---------------------------------------------------------------

static GstCaps *gst_moondream_metawrite_transform_caps(GstBaseTransform *transform,
                                                       GstPadDirection direction, GstCaps *caps,
                                                       GstCaps *filter) {
  const bool json =
      GST_MOONDREAM_METAWRITE(transform)->state->current_settings().output == Output::kJson;
  GstCaps *other = !json                       ? gst_caps_ref(caps)
                   : direction == GST_PAD_SINK ? gst_caps_new_empty_simple("application/json")
                                               : gst_caps_new_any();
  if (!filter) return other;
  GstCaps *both = gst_caps_intersect_full(filter, other, GST_CAPS_INTERSECT_FIRST);
  gst_caps_unref(other);
  return both;
}

static GstFlowReturn gst_moondream_metawrite_prepare_output_buffer(GstBaseTransform *transform,
                                                                   GstBuffer *input,
                                                                   GstBuffer **output) {
  if (gst_base_transform_is_passthrough(transform)) {
    *output = input;
    return GST_FLOW_OK;
  }
  *output = gst_buffer_new();
  gst_buffer_copy_into(*output, input, GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
  return GST_FLOW_OK;
}

// A frame without a line is a gap, so that nobody downstream waits.
static GstFlowReturn gst_moondream_metawrite_transform(GstBaseTransform *transform,
                                                       GstBuffer *input, GstBuffer *output) {
  auto line = try_write_result(transform, input);
  if (!line) {
    if (GST_BUFFER_PTS_IS_VALID(input)) {
      gst_pad_push_event(GST_BASE_TRANSFORM_SRC_PAD(transform),
                         gst_event_new_gap(GST_BUFFER_PTS(input), GST_BUFFER_DURATION(input)));
    }
    return GST_BASE_TRANSFORM_FLOW_DROPPED;
  }
  *line += '\n';
  gst_buffer_append_memory(output, gst_allocator_alloc(nullptr, line->size(), nullptr));
  gst_buffer_fill(output, 0, line->data(), line->size());
  ++GST_MOONDREAM_METAWRITE(transform)->state->stats.pushed;
  return GST_FLOW_OK;
}

// ---- Type ------------------------------------------------------------------------------------

static void gst_moondream_metawrite_finalize(GObject *object) {
  delete GST_MOONDREAM_METAWRITE(object)->state;
  G_OBJECT_CLASS(gst_moondream_metawrite_parent_class)->finalize(object);
}

static void gst_moondream_metawrite_init(GstMoondreamMetawrite *self) {
  self->state = new State;
  gst_base_transform_set_passthrough(GST_BASE_TRANSFORM(self), TRUE);
}

static void gst_moondream_metawrite_class_init(GstMoondreamMetawriteClass *klass) {
  GST_DEBUG_CATEGORY_INIT(gst_moondream_metawrite_debug, "moondreammetawrite", 0,
                          "Writes what moondreamfilter saw");
  GObjectClass *object_class = G_OBJECT_CLASS(klass);
  object_class->set_property = gst_moondream_metawrite_set_property;
  object_class->get_property = gst_moondream_metawrite_get_property;
  object_class->finalize = gst_moondream_metawrite_finalize;

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
  g_object_class_install_property(
      object_class, PROP_FRAMES,
      g_param_spec_enum("frames", "Frames", "Which buffers get a line",
                        GST_TYPE_MOONDREAM_METAWRITE_FRAMES, gint(defaults.frames), playing));
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
      g_param_spec_enum("output", "Output", "What leaves through the source pad",
                        GST_TYPE_MOONDREAM_METAWRITE_OUTPUT, gint(defaults.output), ready));
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

  GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
  element_class->change_state = gst_moondream_metawrite_change_state;
  gst_element_class_set_static_metadata(element_class, "Moondream metadata writer", "Filter/Video",
                                        "Writes what moondreamfilter saw as JSON Lines",
                                        "The gst-moondream developers");
  gst_element_class_add_static_pad_template(element_class, &sink_template);
  gst_element_class_add_static_pad_template(element_class, &src_template);

  GstBaseTransformClass *transform_class = GST_BASE_TRANSFORM_CLASS(klass);
  transform_class->start = gst_moondream_metawrite_start;
  transform_class->stop = gst_moondream_metawrite_stop;
  transform_class->set_caps = gst_moondream_metawrite_set_caps;
  transform_class->sink_event = gst_moondream_metawrite_sink_event;
  transform_class->transform_ip = gst_moondream_metawrite_transform_ip;
  transform_class->transform_caps = gst_moondream_metawrite_transform_caps;
  transform_class->prepare_output_buffer = gst_moondream_metawrite_prepare_output_buffer;
  transform_class->transform = gst_moondream_metawrite_transform;

  moondream::register_analysis_meta();
}
