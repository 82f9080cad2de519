/**
 * SECTION:element-moondreamfilter
 * @title: moondreamfilter
 *
 * Runs a Moondream vision-language model on samples of a video stream and puts what it saw on the
 * buffers: boxes and points of what is described in words, answers to a question, captions. Pixels
 * are never touched.
 *
 * It takes raw video of every format in system memory. Each buffer that leaves carries a
 * GstCustomMeta "moondream" with the result, its age and how it came to be; boxes are there as
 * GstVideoRegionOfInterestMeta too, and as GstAnalyticsODMtd where GStreamer has them. Each
 * finished sample is also an element message "moondream-result" on the bus.
 *
 * How long frames wait is decided by #moondreamfilter:mode. In async mode they do not wait: each
 * takes the newest result along, and a sample that is due while the model is busy is taken when it
 * is ready, from the frame that comes then. What is in flight at EOS, at a flush or at a new
 * segment is cancelled. In sync mode a sampled frame leaves with its own result and the frames
 * behind it wait in order; what is in flight at EOS is awaited. A live pipeline is told how long
 * frames were kept at most, by a latency message whenever that grows by more than a quarter, or
 * what #moondreamfilter:latency declares. A slow sink holds up upstream: no more frames wait for it
 * alone than the model needs for its next result.
 *
 * The model sees what a player would show: pixels are made square, what a GstVideoCropMeta leaves
 * is cut out, and the orientation of the stream's tags is followed. Coordinates are fractions of
 * the stored frame all the same. Colours are converted on a thread of the model; it holds the
 * memory of the frame until then, and a downstream element that writes there meanwhile gets a copy.
 *
 * In async mode QoS is followed: frames that are late already are not sampled, and a throttle is
 * the least distance between samples.
 *
 * What the frames between samples say is decided by #moondreamfilter:propagate: nothing, the last
 * result as it is, the last result with its boxes, points and gazes moved by optical flow, or what
 * is in between the results before and after. Flow follows the picture at all times, so that a
 * result that comes late is at once where its objects are by then. What it moves grows by 2 % of
 * its size a second on each side, and is gone when its tracks are lost, when it leaves the frame or
 * when the scene is cut; then nothing older than the cut is shown. Interpolation makes frames wait
 * for the sample after them, so it needs sync mode. What only one of two results shows is there all
 * the time between them. Frames behind the last sample of a stream or segment hold its result.
 *
 * Objects and points have ids that stay with them from result to result, by label, place and
 * motion.
 *
 * The status of a frame is fresh if the result is its own, held if it is an earlier frame's,
 * predicted if it is an earlier frame's and was moved to where this one should show it, pending if
 * there is none that is not older than #moondreamfilter:max-age or if nothing is asked, and failed
 * from a failed sample to the next that succeeds. A frame without timestamp is sampled if every
 * frame is, or if it is the first; how old a result is for it is not known, so it is pending unless
 * #moondreamfilter:max-age is unlimited or the result its own. Timestamps that go back before the
 * last sample, a flush, a new stream and a new segment void all results. New caps do not:
 * coordinates are fractions of the frame.
 *
 * Request pads text_%u give the captions and answers of results as subtitle tracks, for
 * textoverlay and for muxers (Matroska, MP4). No queues are needed behind them. A text is a cue
 * from the frame with which its result first leaves until the next result is due, and again until
 * then while the result is still shown; in between are GAP events. See
 * #GstMoondreamTextPad:content.
 *
 * The model is loaded on the way from READY to PAUSED, which takes as long as that takes and cannot
 * be interrupted, and released on the way back. Elements with the same model, device and precision
 * share one.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=scene.mkv ! decodebin ! videoconvert ! moondreamfilter
 * detect="face,license plate" caption=short ! moondreamoverlay ! videoconvert ! autovideosink
 * ]|
 * |[
 * gst-launch-1.0 -m v4l2src ! videoconvert ! moondreamfilter model=/models/moondream2 query="Is
 * anybody at the door?" sample-rate=1/2 ! fakesink
 * ]|
 * |[
 * gst-launch-1.0 filesrc location=scene.mkv ! decodebin ! videoconvert ! moondreamfilter name=see
 * caption=short ! vp8enc ! matroskamux name=mux ! filesink location=subtitled.mkv see.text_0 ! mux.
 * ]| The captions become a subtitle track.
 * |[
 * gst-launch-1.0 filesrc location=scene.mkv ! decodebin ! videoconvert ! moondreamfilter name=see
 * caption=short query="How many faces are there?" text_0::content=answers ! textoverlay name=draw !
 * videoconvert ! autovideosink see.text_0 ! draw.text_sink
 * ]| The answers, not the captions, are drawn into the video.
 *
 * Since: 0.1
 */
#include "gstmoondreamfilter.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "engine.h"
#include "filter_properties.h"
#include "filter_run.h"
#include "gstmoondreamerror.h"
#include "gstmoondreamframe.h"
#include "gstmoondreammeta.h"
#include "gstmoondreamtextpad.h"
#include "inference_log.h"
#include "pointers.h"
#include "text_pads.h"

GST_DEBUG_CATEGORY(gst_moondream_filter_debug);
#define GST_CAT_DEFAULT gst_moondream_filter_debug

using moondream::BufferPtr;
using moondream::Engine;
using moondream::Error;
using moondream::ErrorKind;
using moondream::EventPtr;
using moondream::FilterRun;
using moondream::FilterSettings;
using moondream::guarded;
using moondream::PropertyOutcome;
using moondream::SharedSettings;
using moondream::TextPads;

namespace {

struct FilterPrivate {
  explicit FilterPrivate(GstElement *element) : texts(element) {}

  GstPad *sink = nullptr;  // the element's, constant
  GstPad *src = nullptr;   // the element's, constant
  const std::shared_ptr<SharedSettings> settings = std::make_shared<SharedSettings>();
  TextPads texts;                       // thread-safe
  std::atomic<guint32> seek_seqnum{0};  // of the last seek that went upstream

  // From the beginning of a start until the stop behind it: settings must stay usable.
  std::atomic<bool> in_force = false;

  std::mutex lock;
  // Of the last start; usable from READY -> PAUSED to PAUSED -> READY, then only for its counters.
  std::shared_ptr<FilterRun> run;  // the pointer: lock
};

}  // namespace

struct _GstMoondreamFilter {
  GstElement parent;
  FilterPrivate *priv;
};

static void gst_moondream_filter_child_proxy_init(gpointer interface, gpointer data);

G_DEFINE_TYPE_WITH_CODE(GstMoondreamFilter, gst_moondream_filter, GST_TYPE_ELEMENT,
                        G_IMPLEMENT_INTERFACE(GST_TYPE_CHILD_PROXY,
                                              gst_moondream_filter_child_proxy_init)
                            GST_DEBUG_CATEGORY_INIT(gst_moondream_filter_debug, "moondreamfilter",
                                                    0, "Moondream on video streams"))
GST_ELEMENT_REGISTER_DEFINE(moondreamfilter, "moondreamfilter", GST_RANK_NONE,
                            GST_TYPE_MOONDREAM_FILTER)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_MOONDREAM_FRAME_CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_MOONDREAM_FRAME_CAPS));
static GstStaticPadTemplate text_template = GST_STATIC_PAD_TEMPLATE(
    "text_%u", GST_PAD_SRC, GST_PAD_REQUEST, GST_STATIC_CAPS("text/x-raw, format = (string) utf8"));

static std::shared_ptr<FilterRun> get_run(FilterPrivate *priv) {
  const std::lock_guard guard(priv->lock);
  return priv->run;
}

static void set_run(FilterPrivate *priv, std::shared_ptr<FilterRun> run) {
  const std::lock_guard guard(priv->lock);
  priv->run.swap(run);  // the old one is freed after the lock
}

// ---- Start and stop --------------------------------------------------------------------------

static void gst_moondream_filter_loop(gpointer pad);

static std::string model_path(const FilterSettings &settings) {
  if (!settings.model.empty()) return settings.model;
  const gchar *variable = g_getenv("MOONDREAM_MODEL");
  return variable && *variable ? variable : MOONDREAM_DEFAULT_MODEL;
}

static std::string bad_grid(const std::string &text) {
  const std::string most = std::to_string(moondream::Grid::kMaxSide);
  return "grid is '" + text + "', which is not COLUMNSxROWS, from 1x1 to " + most + "x" + most +
         ".";
}

static gboolean gst_moondream_filter_start(GstMoondreamFilter *self) {
  auto priv = self->priv;
  return guarded(GST_ELEMENT(self), "moondream::Engine::acquire()", gboolean{FALSE}, [&] {
    priv->in_force = true;
    const auto settings = priv->settings->get();
    if (!settings->grid) {
      throw Error(ErrorKind::kSettings, bad_grid(settings->grid_text));
    }
    if (settings->prompts->empty()) {
      throw Error(ErrorKind::kSettings,
                  "Nothing is asked about the video: set at least one of the properties detect, "
                  "point, query, caption and gaze.");
    }
    if (settings->mode == moondream::FilterMode::kAsync &&
        settings->propagate == moondream::Propagate::kInterpolate) {
      throw Error(ErrorKind::kSettings,
                  "propagate=interpolate needs mode=sync: in async mode no frame waits for the "
                  "result after it.");
    }
    const std::string model = model_path(*settings);
    if (!g_file_test(model.c_str(), G_FILE_TEST_EXISTS)) {
      throw Error(ErrorKind::kNotFound,
                  "There is no model at '" + model +
                      "': set the property model or the environment variable MOONDREAM_MODEL.");
    }
    const auto begin = std::chrono::steady_clock::now();
    auto engine = Engine::acquire({.model = model,
                                   .variant = settings->variant,
                                   .tokenizer = settings->tokenizer,
                                   .device = settings->device,
                                   .precision = settings->precision,
                                   .release = settings->model_release});
    const auto loaded = std::chrono::steady_clock::now() - begin;
    const moondream::ModelInfo &info = engine->info();
    GST_CAT_INFO_OBJECT(moondream::inference_category(), self,
                        "model %s from %s, device %s, precision %s, %" G_GUINT64_FORMAT
                        " bytes of weights, there after %.3f s",
                        info.name.c_str(), model.c_str(), info.device.c_str(),
                        info.precision.c_str(), guint64{info.weight_bytes},
                        std::chrono::duration<double>(loaded).count());
    set_run(priv, std::make_shared<FilterRun>(GST_ELEMENT(self), priv->sink, priv->src, priv->texts,
                                              gst_moondream_filter_loop, std::move(engine),
                                              priv->settings));
    return gboolean{TRUE};
  });
}

static GstStateChangeReturn gst_moondream_filter_change_state(GstElement *element,
                                                              GstStateChange transition) {
  auto self = GST_MOONDREAM_FILTER(element);
  auto priv = self->priv;
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED && !gst_moondream_filter_start(self)) {
    priv->in_force = false;
    return GST_STATE_CHANGE_FAILURE;
  }
  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) priv->texts.start();
  const std::shared_ptr<FilterRun> run = get_run(priv);
  // Deactivating the pads waits for both threads, so they are woken first.
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY && run) run->close();
  const GstStateChangeReturn result =
      GST_ELEMENT_CLASS(gst_moondream_filter_parent_class)->change_state(element, transition);
  const bool stopped =
      transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED && result == GST_STATE_CHANGE_FAILURE);
  if (stopped && run) {
    run->close();
    // The upstream thread may have started it while the source pad was deactivated.
    gst_pad_stop_task(priv->src);
    run->release();
  }
  if (stopped) {
    priv->texts.stop();
    priv->in_force = false;
  }
  return result;
}

// ---- Pads ------------------------------------------------------------------------------------

static GstFlowReturn gst_moondream_filter_chain(GstPad *, GstObject *parent, GstBuffer *data) {
  auto self = GST_MOONDREAM_FILTER(parent);
  return guarded(GST_ELEMENT(self), "FilterRun::chain()", GST_FLOW_ERROR, [&] {
    BufferPtr buffer(data);
    const auto run = get_run(self->priv);
    return run ? run->chain(std::move(buffer)) : GST_FLOW_FLUSHING;
  });
}

static gboolean gst_moondream_filter_sink_event(GstPad *pad, GstObject *parent, GstEvent *data) {
  auto self = GST_MOONDREAM_FILTER(parent);
  auto priv = self->priv;
  return guarded(GST_ELEMENT(self), "FilterRun::serialized_event()", gboolean{FALSE}, [&] {
    EventPtr event(data);
    const auto run = get_run(priv);
    if (run && GST_EVENT_TYPE(data) == GST_EVENT_FLUSH_START) {
      // Downstream first, so that a push that is under way ends.
      const gboolean forwarded = gst_pad_push_event(priv->src, gst_event_ref(data));
      run->flush_start();
      gst_pad_pause_task(priv->src);
      priv->texts.flush_start(data);
      return forwarded;
    }
    const bool serialized =
        gst_event_type_get_flags(GST_EVENT_TYPE(data)) & GST_EVENT_TYPE_SERIALIZED;
    if (!run || !serialized) return gst_pad_event_default(pad, parent, event.release());
    return gboolean{run->serialized_event(std::move(event))};
  });
}

static gboolean gst_moondream_filter_sink_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  auto self = GST_MOONDREAM_FILTER(parent);
  return guarded(GST_ELEMENT(self), "FilterRun::answer_allocation()", gboolean{FALSE}, [&] {
    const auto run = get_run(self->priv);
    const bool serialized =
        gst_query_type_get_flags(GST_QUERY_TYPE(query)) & GST_QUERY_TYPE_SERIALIZED;
    if (serialized && run && !run->drain()) return gboolean{FALSE};
    const gboolean answered = gst_pad_query_default(pad, parent, query);
    if (!run || GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION) return answered;
    run->answer_allocation(query);
    return gboolean{TRUE};
  });
}

// True for a seek that went upstream already: elements that are linked to several pads send it
// through each of them.
static bool is_repeated_seek(FilterPrivate *priv, GstEvent *event) {
  const guint32 seqnum = gst_event_get_seqnum(event);
  return GST_EVENT_TYPE(event) == GST_EVENT_SEEK && priv->seek_seqnum.exchange(seqnum) == seqnum;
}

static gboolean gst_moondream_filter_src_event(GstPad *pad, GstObject *parent, GstEvent *data) {
  auto self = GST_MOONDREAM_FILTER(parent);
  return guarded(GST_ELEMENT(self), "FilterRun::observe_qos()", gboolean{FALSE}, [&] {
    EventPtr event(data);
    if (is_repeated_seek(self->priv, data)) return gboolean{TRUE};
    const auto run = get_run(self->priv);
    if (run && GST_EVENT_TYPE(data) == GST_EVENT_QOS) run->observe_qos(data);
    return gst_pad_event_default(pad, parent, event.release());
  });
}

static gboolean gst_moondream_filter_src_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  auto self = GST_MOONDREAM_FILTER(parent);
  return guarded(GST_ELEMENT(self), "FilterRun::add_latency()", gboolean{FALSE}, [&] {
    const gboolean answered = gst_pad_query_default(pad, parent, query);
    const auto run = get_run(self->priv);
    if (answered && run && GST_QUERY_TYPE(query) == GST_QUERY_LATENCY) run->add_latency(query);
    return answered;
  });
}

static void gst_moondream_filter_loop(gpointer pad) {
  auto self = GST_MOONDREAM_FILTER(gst_pad_get_parent(GST_PAD(pad)));
  const bool more = guarded(GST_ELEMENT(self), "FilterRun::output()", false, [&] {
    const auto run = get_run(self->priv);
    return run && run->output();
  });
  if (!more) gst_pad_pause_task(GST_PAD(pad));
  gst_object_unref(self);
}

static gboolean gst_moondream_filter_src_activate_mode(GstPad *pad, GstObject *parent,
                                                       GstPadMode mode, gboolean active) {
  if (mode != GST_PAD_MODE_PUSH) return FALSE;
  // The task is started by the first frame that needs it.
  if (active) return TRUE;
  if (const auto run = get_run(GST_MOONDREAM_FILTER(parent)->priv)) run->flush_start();
  return gst_pad_stop_task(pad);
}

// The text pads follow the source pad; what concerns the video's format does not concern them.
static GstIterator *gst_moondream_filter_sink_links(GstPad *, GstObject *parent) {
  GValue value = G_VALUE_INIT;
  g_value_init(&value, GST_TYPE_PAD);
  g_value_set_object(&value, GST_MOONDREAM_FILTER(parent)->priv->src);
  GstIterator *iterator = gst_iterator_new_single(GST_TYPE_PAD, &value);
  g_value_unset(&value);
  return iterator;
}

// ---- Text pads -------------------------------------------------------------------------------

// Only seeks go upstream: all else is about the text, or comes from the source pad too.
static gboolean gst_moondream_filter_text_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  auto priv = GST_MOONDREAM_FILTER(parent)->priv;
  if (GST_EVENT_TYPE(event) == GST_EVENT_SEEK && !is_repeated_seek(priv, event)) {
    return gst_pad_event_default(pad, parent, event);
  }
  gst_event_unref(event);
  return TRUE;
}

static GstPad *gst_moondream_filter_request_new_pad(GstElement *element, GstPadTemplate *templ,
                                                    const gchar *name, const GstCaps *) {
  auto self = GST_MOONDREAM_FILTER(element);
  TextPads &texts = self->priv->texts;
  return guarded<GstPad *>(element, "TextPads::add()", nullptr, [&]() -> GstPad * {
    const std::string pad_name = texts.name(name);
    GstMoondreamTextPad *pad = gst_moondream_text_pad_new(templ, pad_name.c_str());
    gst_pad_set_event_function(GST_PAD(pad), gst_moondream_filter_text_event);
    gst_pad_set_query_function(GST_PAD(pad), gst_moondream_filter_src_query);
    if (!texts.add(pad)) return nullptr;
    gst_child_proxy_child_added(GST_CHILD_PROXY(element), G_OBJECT(pad), pad_name.c_str());
    return GST_PAD(pad);
  });
}

static void gst_moondream_filter_release_pad(GstElement *element, GstPad *pad) {
  auto self = GST_MOONDREAM_FILTER(element);
  const moondream::TextPtr name(gst_pad_get_name(pad));
  gst_object_ref(pad);
  self->priv->texts.release(GST_MOONDREAM_TEXT_PAD(pad));
  gst_child_proxy_child_removed(GST_CHILD_PROXY(element), G_OBJECT(pad), name.get());
  gst_object_unref(pad);
}

// So that text_0::content can be set in a launch line.
static GObject *gst_moondream_filter_get_child(GstChildProxy *proxy, guint index) {
  return reinterpret_cast<GObject *>(GST_MOONDREAM_FILTER(proxy)->priv->texts.at(index));
}

static guint gst_moondream_filter_count_children(GstChildProxy *proxy) {
  return GST_MOONDREAM_FILTER(proxy)->priv->texts.count();
}

static void gst_moondream_filter_child_proxy_init(gpointer interface, gpointer) {
  auto proxy = static_cast<GstChildProxyInterface *>(interface);
  proxy->get_child_by_index = gst_moondream_filter_get_child;
  proxy->get_children_count = gst_moondream_filter_count_children;
}

// ---- GObject ---------------------------------------------------------------------------------

static void gst_moondream_filter_set_property(GObject *object, guint id, const GValue *value,
                                              GParamSpec *pspec) {
  auto priv = GST_MOONDREAM_FILTER(object)->priv;
  switch (moondream::set_filter_property(*priv->settings, id, value, priv->in_force)) {
    case PropertyOutcome::kSet:
      break;
    case PropertyOutcome::kRefused: {
      // Only grid can be refused. A setter returns nothing, so this is how the caller hears of it.
      const gchar *text = g_value_get_string(value);
      const Error error(ErrorKind::kSettings, bad_grid(text ? text : "") + " It stays as it was.");
      moondream::post_warning(GST_ELEMENT(object), moondream::to_failure(error), "set_property()");
      break;
    }
    case PropertyOutcome::kUnknown:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void gst_moondream_filter_get_property(GObject *object, guint id, GValue *value,
                                              GParamSpec *pspec) {
  auto priv = GST_MOONDREAM_FILTER(object)->priv;
  if (id == moondream::kFilterPropertyStats) {
    const auto run = get_run(priv);
    g_value_take_boxed(value, run ? run->stats() : gst_structure_new_empty("moondream-stats"));
  } else if (!moondream::get_filter_property(*priv->settings, id, value)) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void gst_moondream_filter_finalize(GObject *object) {
  delete GST_MOONDREAM_FILTER(object)->priv;
  G_OBJECT_CLASS(gst_moondream_filter_parent_class)->finalize(object);
}

static void gst_moondream_filter_init(GstMoondreamFilter *self) {
  self->priv = new FilterPrivate(GST_ELEMENT(self));
  auto priv = self->priv;

  priv->sink = gst_pad_new_from_static_template(&sink_template, "sink");
  gst_pad_set_chain_function(priv->sink, gst_moondream_filter_chain);
  gst_pad_set_event_function(priv->sink, gst_moondream_filter_sink_event);
  gst_pad_set_query_function(priv->sink, gst_moondream_filter_sink_query);
  gst_pad_set_iterate_internal_links_function(priv->sink, gst_moondream_filter_sink_links);
  GST_PAD_SET_PROXY_CAPS(priv->sink);
  // Buffers go through as they are, so downstream alone decides how they are to be allocated, and
  // whether with GstVideoMeta: one that it does not read would give it a skewed picture.
  GST_PAD_SET_PROXY_ALLOCATION(priv->sink);
  gst_element_add_pad(GST_ELEMENT(self), priv->sink);

  priv->src = gst_pad_new_from_static_template(&src_template, "src");
  gst_pad_set_event_function(priv->src, gst_moondream_filter_src_event);
  gst_pad_set_query_function(priv->src, gst_moondream_filter_src_query);
  gst_pad_set_activatemode_function(priv->src, gst_moondream_filter_src_activate_mode);
  GST_PAD_SET_PROXY_CAPS(priv->src);
  gst_element_add_pad(GST_ELEMENT(self), priv->src);
}

static void gst_moondream_filter_class_init(GstMoondreamFilterClass *klass) {
  auto object_class = G_OBJECT_CLASS(klass);
  auto element_class = GST_ELEMENT_CLASS(klass);

  object_class->set_property = gst_moondream_filter_set_property;
  object_class->get_property = gst_moondream_filter_get_property;
  object_class->finalize = gst_moondream_filter_finalize;
  element_class->change_state = gst_moondream_filter_change_state;
  element_class->request_new_pad = gst_moondream_filter_request_new_pad;
  element_class->release_pad = gst_moondream_filter_release_pad;

  moondream::install_filter_properties(object_class);
  moondream::register_analysis_meta();
  gst_element_class_add_static_pad_template(element_class, &sink_template);
  gst_element_class_add_static_pad_template(element_class, &src_template);
  gst_element_class_add_static_pad_template_with_gtype(element_class, &text_template,
                                                       GST_TYPE_MOONDREAM_TEXT_PAD);
  gst_type_mark_as_plugin_api(GST_TYPE_MOONDREAM_TEXT_PAD, static_cast<GstPluginAPIFlags>(0));
  gst_element_class_set_static_metadata(
      element_class, "Moondream filter", "Filter/Analyzer/Video",
      "Finds, describes and answers questions about what a video shows, by sentence",
      "The gst-moondream authors");
}
