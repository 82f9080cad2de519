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
#include "metawrite_properties.h"

namespace metawrite = moondream::metawrite;
using metawrite::Frames;
using metawrite::Output;
using metawrite::Settings;
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

// How long a reader may take for what is left. An application waits for the first.
constexpr auto kEosPatience = 5s;
constexpr auto kStopPatience = 500ms;

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
  if (!metawrite::set_property(state->settings, id, value))
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void gst_moondream_metawrite_get_property(GObject *object, guint id, GValue *value,
                                                 GParamSpec *pspec) {
  State *state = GST_MOONDREAM_METAWRITE(object)->state;
  if (id == metawrite::kPropertyStats) {
    g_value_take_boxed(value, new_stats(state));
  } else if (!metawrite::get_property(state->current_settings(), id, value)) {
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
  metawrite::install_properties(object_class);

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
