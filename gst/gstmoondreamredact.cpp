/**
 * SECTION:element-moondreamredact
 * @title: moondreamredact
 * @short_description: destroys the pixels of what moondreamfilter saw
 *
 * Destroys the pixels of the objects and points that a buffer carries, and of fixed zones: in the
 * planes of the frame itself, in every raw format that moondreamfilter takes but NV12_10BE_8L128,
 * MT2110T and MT2110R, which GStreamer itself cannot write safely. Regions are grown to whole
 * samples of chroma; nothing outside of them changes by a bit.
 *
 * It needs a moondreamfilter upstream, with any converters and scalers in between, and fails
 * closed: a frame of which too little is known is covered as a whole, or what
 * #moondreamredact:on-missing says. That is the case where no result was found on it, where the
 * result is pending (as it is at the start and after seeks), failed, older than
 * #moondreamredact:max-age, or about a frame before new caps; where an element in between may have
 * cropped, flipped or padded the picture, as videoscale does where caps want another aspect, so
 * that what the result says is somewhere else now; and where the frame had to leave before
 * #moondreamredact:hold-before was over. A frame that cannot be mapped is an error and does not
 * leave. A frame on which there is nothing to redact passes as it is: not copied and not made
 * writable.
 *
 * What a detector finds on one frame was there before it. With #moondreamredact:hold-before frames
 * wait, so that a result also covers the frames just before the one that it is about, and the way
 * of an object from one result to the next. Set it to at least the period of the filter's
 * sample-rate; in the filter's async mode, add what a result takes. Then, in sync mode, nothing
 * shows that two samples found, nor on the frames between them, as far as it went straight from the
 * one place to the other. Twice the period holds for what a sample in between missed, too. The
 * element tells it as latency and keeps at most #moondreamredact:max-bytes of frames. A frame has
 * to leave before where there is no room, where upstream asks for its buffers (a DRAIN query), and
 * at new caps, a new segment and timestamps that go back: what comes then does not say what was on
 * it. At the end of the stream it leaves by what is known, since nothing can be found later.
 *
 * The style solid leaves nothing of the picture. Of pixelate and blur the means of cells are left,
 * from which printed text in a known font, or a face among few candidates, may be guessed, the more
 * so from many frames; use them where that does not matter. A mosaic divides a region into cells of
 * at least #moondreamredact:min-block pixels. A blur uses nothing but the means of cells of half
 * that size, mixed with their neighbours, and nothing from outside of the region.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 videotestsrc num-buffers=90 ! moondreamfilter detect="face,license plate"
 * mode=sync ! moondreamredact hold-before=500000000 ! videoconvert ! autovideosink
 * ]|
 * |[
 * gst-launch-1.0 filesrc location=street.mp4 ! decodebin ! videoconvert ! moondreamfilter
 * model=/path/to/moondream2 detect="face,license plate" mode=sync sample-rate=5/1 !
 * moondreamredact style=pixelate margin=0.2 hold-before=200000000 audit-location=audit.jsonl !
 * videoconvert ! vp8enc ! webmmux ! filesink location=redacted.webm
 * ]|
 *
 * Since: 0.1
 */
#include "gstmoondreamredact.h"

#include <gst/video/video.h>

#include <memory>
#include <mutex>
#include <utility>

#include "gstmoondreamerror.h"
#include "gstmoondreammeta.h"
#include "line_output.h"
#include "mapped_frame.h"
#include "pointers.h"
#include "redact_properties.h"
#include "redact_run.h"
#include "redact_settings.h"
#include "writable_formats.h"

using moondream::BufferPtr;
using moondream::Error;
using moondream::ErrorKind;
using moondream::EventPtr;
using moondream::guarded;
using moondream::LineWriter;
using moondream::LineWriterStats;
using moondream::redact::Counters;
using moondream::redact::Missing;
using moondream::redact::parse_zones;
using moondream::redact::RedactRun;
using moondream::redact::Settings;

GST_DEBUG_CATEGORY(gst_moondream_redact_debug);
#define GST_CAT_DEFAULT gst_moondream_redact_debug

namespace {

using namespace std::chrono_literals;

constexpr gsize kAuditBytes = 4 << 20;  // of lines that wait for the disk
constexpr auto kStopPatience = 500ms;   // for them, when the element stops

struct State {
  GstPad *sink = nullptr;  // the element's, constant
  GstPad *src = nullptr;   // the element's, constant

  std::mutex lock;                         // held for copies only
  Settings settings;                       // lock
  std::shared_ptr<RedactRun> run;          // the pointer: lock; from start() to stop()
  std::shared_ptr<Counters> counters;      // the pointer: lock; of the last start
  std::shared_ptr<LineWriter> last_audit;  // the pointer: lock; of the last start, or null

  Settings current_settings() {
    const std::lock_guard guard(lock);
    return settings;
  }
  std::shared_ptr<RedactRun> current_run() {
    const std::lock_guard guard(lock);
    return run;
  }
};

}  // namespace

struct _GstMoondreamRedact {
  GstElement parent;
  State *state;
};

G_DEFINE_TYPE_WITH_CODE(GstMoondreamRedact, gst_moondream_redact, GST_TYPE_ELEMENT,
                        GST_DEBUG_CATEGORY_INIT(gst_moondream_redact_debug, "moondreamredact", 0,
                                                "Redacts what moondreamfilter saw"))
GST_ELEMENT_REGISTER_DEFINE(moondreamredact, "moondreamredact", GST_RANK_NONE,
                            GST_TYPE_MOONDREAM_REDACT)

// ---- Start and stop --------------------------------------------------------------------------

static gboolean gst_moondream_redact_start(GstMoondreamRedact *self) {
  State *state = self->state;
  return guarded(GST_ELEMENT(self), "starting", gboolean{FALSE}, [&] {
    const Settings settings = state->current_settings();
    if (!parse_zones(settings.zones)) {
      throw Error(ErrorKind::kSettings,
                  "The property zones is not understood: '" + settings.zones +
                      "'. It is a list of x_min,y_min,x_max,y_max in fractions of the frame, "
                      "separated by semicolons.");
    }
    if (settings.source == 0) {
      throw Error(ErrorKind::kSettings, "The property source names no source of regions.");
    }
    std::shared_ptr<LineWriter> audit;
    if (!settings.audit_location.empty()) {
      audit = moondream::open_line_output(GST_ELEMENT(self), settings.audit_location, -1, false,
                                          kAuditBytes);
    }
    auto counters = std::make_shared<Counters>();
    auto run = std::make_shared<RedactRun>(
        GST_ELEMENT(self), state->src, [state] { return state->current_settings(); }, audit,
        counters);
    const std::lock_guard guard(state->lock);
    state->run = std::move(run);
    state->counters = std::move(counters);
    state->last_audit = std::move(audit);
    return gboolean{TRUE};
  });
}

static void gst_moondream_redact_stop(GstMoondreamRedact *self) {
  State *state = self->state;
  std::shared_ptr<RedactRun> run;
  {
    const std::lock_guard guard(state->lock);
    run.swap(state->run);
  }
  if (run && run->writer()) run->writer()->flush(kStopPatience);
}

static GstStateChangeReturn gst_moondream_redact_change_state(GstElement *element,
                                                              GstStateChange transition) {
  auto self = GST_MOONDREAM_REDACT(element);
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !gst_moondream_redact_start(self))
    return GST_STATE_CHANGE_FAILURE;
  // An EOS that waits for the audit must not keep the pads from stopping.
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    const auto run = self->state->current_run();
    if (run && run->writer()) run->writer()->interrupt();
  }
  const GstStateChangeReturn result =
      GST_ELEMENT_CLASS(gst_moondream_redact_parent_class)->change_state(element, transition);
  const bool stopped =
      transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED && result == GST_STATE_CHANGE_FAILURE);
  if (stopped) {
    const auto run = self->state->current_run();
    if (run && run->writer()) run->writer()->resume();
    gst_moondream_redact_stop(self);
  }
  return result;
}

// ---- Pads ------------------------------------------------------------------------------------

static GstFlowReturn gst_moondream_redact_chain(GstPad *, GstObject *parent, GstBuffer *data) {
  auto self = GST_MOONDREAM_REDACT(parent);
  return guarded(GST_ELEMENT(self), "redacting a frame", GST_FLOW_ERROR, [&] {
    BufferPtr buffer(data);
    const auto run = self->state->current_run();
    return run ? run->chain(std::move(buffer)) : GST_FLOW_FLUSHING;
  });
}

static gboolean gst_moondream_redact_sink_event(GstPad *pad, GstObject *parent, GstEvent *data) {
  auto self = GST_MOONDREAM_REDACT(parent);
  return guarded(GST_ELEMENT(self), "handling an event", gboolean{FALSE}, [&] {
    EventPtr event(data);
    const auto run = self->state->current_run();
    if (run && run->writer() && GST_EVENT_TYPE(data) == GST_EVENT_FLUSH_START)
      run->writer()->interrupt();
    if (run && run->writer() && GST_EVENT_TYPE(data) == GST_EVENT_FLUSH_STOP)
      run->writer()->resume();
    const bool serialized =
        gst_event_type_get_flags(GST_EVENT_TYPE(data)) & GST_EVENT_TYPE_SERIALIZED;
    if (!run || !serialized) return gst_pad_event_default(pad, parent, event.release());
    return gboolean{run->serialized_event(std::move(event))};
  });
}

// Frames that wait here are missing in the pool that they come from.
static void add_held_frames(GstQuery *query, guint frames) {
  for (guint i = 0; i < gst_query_get_n_allocation_pools(query); ++i) {
    GstBufferPool *pool = nullptr;
    guint size, least, most;
    gst_query_parse_nth_allocation_pool(query, i, &pool, &size, &least, &most);
    gst_query_set_nth_allocation_pool(query, i, pool, size, least + frames,
                                      most == 0 ? 0 : most + frames);
    if (pool) gst_object_unref(pool);
  }
}

static gboolean gst_moondream_redact_sink_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  auto self = GST_MOONDREAM_REDACT(parent);
  return guarded(GST_ELEMENT(self), "handling a query", gboolean{FALSE}, [&] {
    const auto run = self->state->current_run();
    if (run && GST_QUERY_TYPE(query) == GST_QUERY_DRAIN && run->drain() != GST_FLOW_OK)
      return gboolean{FALSE};
    const gboolean answered = gst_pad_query_default(pad, parent, query);
    if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION || !answered) return answered;
    moondream::refuse_crop_meta(query);
    if (run) add_held_frames(query, run->held_frames());
    return answered;
  });
}

static gboolean gst_moondream_redact_src_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  auto self = GST_MOONDREAM_REDACT(parent);
  const gboolean answered = gst_pad_query_default(pad, parent, query);
  const auto run = self->state->current_run();
  if (answered && run && GST_QUERY_TYPE(query) == GST_QUERY_LATENCY) {
    gboolean live;
    GstClockTime min, max;
    gst_query_parse_latency(query, &live, &min, &max);
    min += run->hold();
    // It can keep frames for as long.
    if (GST_CLOCK_TIME_IS_VALID(max)) max += run->hold();
    gst_query_set_latency(query, live, min, max);
  }
  return answered;
}

// ---- Properties ------------------------------------------------------------------------------

static GstStructure *gst_moondream_redact_stats(State *state) {
  std::shared_ptr<Counters> counters;
  std::shared_ptr<LineWriter> audit;
  {
    const std::lock_guard guard(state->lock);
    counters = state->counters;
    audit = state->last_audit;
  }
  if (!counters) counters = std::make_shared<Counters>();
  const LineWriterStats lines = audit ? audit->stats() : LineWriterStats{};
  GstStructure *stats = gst_structure_new(
      "moondream-redact-stats", "frames", G_TYPE_UINT64, counters->frames.load(), "passed",
      G_TYPE_UINT64, counters->passed.load(), "redacted", G_TYPE_UINT64, counters->redacted.load(),
      "covered", G_TYPE_UINT64, counters->covered.load(), "dropped", G_TYPE_UINT64,
      counters->dropped.load(), "flushed", G_TYPE_UINT64, counters->flushed.load(), "regions",
      G_TYPE_UINT64, counters->regions.load(), "audit-written", G_TYPE_UINT64,
      guint64{lines.written}, "audit-dropped", G_TYPE_UINT64, guint64{lines.dropped}, nullptr);
  for (int i = 1; i < moondream::redact::kMissingKinds; ++i) {
    gst_structure_set(stats, to_string(static_cast<Missing>(i)), G_TYPE_UINT64,
                      counters->missing[i].load(), nullptr);
  }
  return stats;
}

static void gst_moondream_redact_set_property(GObject *object, guint id, const GValue *value,
                                              GParamSpec *pspec) {
  State *state = GST_MOONDREAM_REDACT(object)->state;
  if (id == moondream::redact::kPropertyZones && state->current_run()) {
    const gchar *text = g_value_get_string(value);
    if (!parse_zones(text ? text : "")) {
      GST_ELEMENT_WARNING(object, RESOURCE, SETTINGS,
                          ("The new zones are not understood; the old ones stay."),
                          ("zones: '%s'", text));
      return;
    }
  }
  bool known;
  {
    const std::lock_guard guard(state->lock);
    known = moondream::redact::set_property(state->settings, id, value);
  }
  if (!known) G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void gst_moondream_redact_get_property(GObject *object, guint id, GValue *value,
                                              GParamSpec *pspec) {
  State *state = GST_MOONDREAM_REDACT(object)->state;
  if (id == moondream::redact::kPropertyStats) {
    g_value_take_boxed(value, gst_moondream_redact_stats(state));
  } else if (!moondream::redact::get_property(state->current_settings(), id, value)) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

// ---- Type ------------------------------------------------------------------------------------

static void gst_moondream_redact_finalize(GObject *object) {
  delete GST_MOONDREAM_REDACT(object)->state;
  G_OBJECT_CLASS(gst_moondream_redact_parent_class)->finalize(object);
}

static void gst_moondream_redact_init(GstMoondreamRedact *self) {
  self->state = new State;
  State *state = self->state;
  state->sink = gst_pad_new_from_template(
      gst_element_class_get_pad_template(GST_ELEMENT_GET_CLASS(self), "sink"), "sink");
  gst_pad_set_chain_function(state->sink, gst_moondream_redact_chain);
  gst_pad_set_event_function(state->sink, gst_moondream_redact_sink_event);
  gst_pad_set_query_function(state->sink, gst_moondream_redact_sink_query);
  GST_PAD_SET_PROXY_CAPS(state->sink);
  GST_PAD_SET_PROXY_ALLOCATION(state->sink);
  gst_element_add_pad(GST_ELEMENT(self), state->sink);

  state->src = gst_pad_new_from_template(
      gst_element_class_get_pad_template(GST_ELEMENT_GET_CLASS(self), "src"), "src");
  gst_pad_set_query_function(state->src, gst_moondream_redact_src_query);
  GST_PAD_SET_PROXY_CAPS(state->src);
  gst_element_add_pad(GST_ELEMENT(self), state->src);
}

static void gst_moondream_redact_class_init(GstMoondreamRedactClass *klass) {
  auto object_class = G_OBJECT_CLASS(klass);
  auto element_class = GST_ELEMENT_CLASS(klass);
  object_class->set_property = gst_moondream_redact_set_property;
  object_class->get_property = gst_moondream_redact_get_property;
  object_class->finalize = gst_moondream_redact_finalize;
  element_class->change_state = gst_moondream_redact_change_state;

  moondream::redact::install_properties(object_class);
  moondream::register_analysis_meta();
  moondream::add_pad_templates(element_class, moondream::writable_caps());
  gst_element_class_set_static_metadata(
      element_class, "Moondream redaction", "Filter/Effect/Video",
      "Destroys the pixels of what moondreamfilter saw, and fails closed",
      "The gst-moondream developers");
}
