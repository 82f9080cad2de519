/**
 * GstMoondreamTextPad:
 *
 * A pad of moondreamfilter that gives what results say in words as a subtitle track. Its stream is
 * sparse: while there is nothing to say it has GAP events.
 *
 * Since: 0.1
 */
#include "gstmoondreamtextpad.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <utility>
#include <variant>

#include "gstmoondreamerror.h"
#include "pointers.h"
#include "text_queue.h"

GST_DEBUG_CATEGORY_EXTERN(gst_moondream_filter_debug);
#define GST_CAT_DEFAULT gst_moondream_filter_debug

using moondream::BufferPtr;
using moondream::EventPtr;
using moondream::TextContent;
using moondream::TextFrame;
using moondream::TextQueue;
using moondream::TextSpan;
using moondream::TextTrack;

namespace {

constexpr TextContent kDefaultContent = TextContent::kAll;
// What a consumer gets to take a cue before a pad that is to stop flushes it.
constexpr std::chrono::milliseconds kStopPatience(50);

struct TextPadPrivate {
  std::atomic<TextContent> content = kDefaultContent;
  std::atomic<guint64> dropped = 0;  // cues
  TextQueue queue;                   // thread-safe

  TextTrack track;  // the thread that says what the pad is to say, and flush_stop()

  bool ended = false;   // the consumer wants no more of this segment; task
  bool failed = false;  // it cannot go on; task, and activation while there is none
};

}  // namespace

struct _GstMoondreamTextPad {
  GstPad parent;
  TextPadPrivate *priv;
};

G_DEFINE_TYPE(GstMoondreamTextPad, gst_moondream_text_pad, GST_TYPE_PAD)

enum { kPropContent = 1, kPropDropped };

static GType gst_moondream_text_content_get_type(void) {
  static const GEnumValue values[] = {
      {static_cast<gint>(TextContent::kAll), "Captions and answers", "all"},
      {static_cast<gint>(TextContent::kCaption), "Captions", "caption"},
      {static_cast<gint>(TextContent::kAnswers), "Answers", "answers"},
      {0, nullptr, nullptr}};
  static const GType type = g_enum_register_static("GstMoondreamTextContent", values);
  return type;
}

// ---- The task --------------------------------------------------------------------------------

static GstFlowReturn push_cue(GstPad *pad, const TextSpan &span) {
  GstBuffer *buffer = gst_buffer_new_memdup(span.text.data(), span.text.size());
  GST_BUFFER_PTS(buffer) = span.start;
  GST_BUFFER_DURATION(buffer) = span.end - span.start;
  GST_LOG_OBJECT(pad, "pushing %" GST_PTR_FORMAT, buffer);
  return gst_pad_push(pad, buffer);
}

// The consumer gets no more of this stream; the application decides about the video.
static void fail(GstMoondreamTextPad *pad, GstFlowReturn flow) {
  pad->priv->failed = true;
  if (GstElement *element = gst_pad_get_parent_element(GST_PAD(pad))) {
    GST_ELEMENT_FLOW_ERROR(element, flow);
    gst_object_unref(element);
  }
  gst_pad_push_event(GST_PAD(pad), gst_event_new_eos());
}

static void gst_moondream_text_pad_push(GstMoondreamTextPad *self, TextQueue::Item item) {
  auto priv = self->priv;
  auto pad = GST_PAD(self);
  if (priv->failed) return;
  if (auto *event = std::get_if<EventPtr>(&item)) {
    const GstEventType type = GST_EVENT_TYPE(event->get());
    if (type == GST_EVENT_SEGMENT || type == GST_EVENT_STREAM_START) priv->ended = false;
    gst_pad_push_event(pad, event->release());
    return;
  }
  if (priv->ended) return;
  const auto &span = std::get<TextSpan>(item);
  if (span.is_gap()) {
    gst_pad_push_event(pad, gst_event_new_gap(span.start, span.end - span.start));
    return;
  }
  const GstFlowReturn flow = push_cue(pad, span);
  // A pad that is not linked, or whose consumer flushes or has stopped, may get a consumer later.
  if (flow == GST_FLOW_EOS) priv->ended = true;
  if (flow < GST_FLOW_EOS) fail(self, flow);
}

static void gst_moondream_text_pad_loop(gpointer data) {
  auto pad = GST_MOONDREAM_TEXT_PAD(data);
  TextQueue &queue = pad->priv->queue;
  TextQueue::Item item;
  if (!queue.take(item)) {
    gst_pad_pause_task(GST_PAD(pad));
    return;
  }
  gst_moondream_text_pad_push(pad, std::move(item));
  queue.done();
}

// Drops what waits, and lets `end` wait for the task. A consumer that blocks it, as textoverlay
// does until its video has come, which may be never, and a sink while it is paused, is flushed; one
// that takes its cue in time is not disturbed.
template <typename End>
static gboolean end_task(GstMoondreamTextPad *self, End end) {
  auto pad = GST_PAD(self);
  TextQueue &queue = self->priv->queue;
  queue.stop();
  GstPad *peer = queue.wait_until_idle(kStopPatience) ? nullptr : gst_pad_get_peer(pad);
  // To the peer itself: the pad may be on its way to inactivity.
  if (peer) gst_pad_send_event(peer, gst_event_new_flush_start());
  const gboolean ended = end(pad);
  if (peer) {
    gst_pad_send_event(peer, gst_event_new_flush_stop(FALSE));
    gst_object_unref(peer);
  }
  return ended;
}

static gboolean gst_moondream_text_pad_activate_mode(GstPad *pad, GstObject *, GstPadMode mode,
                                                     gboolean active) {
  auto self = GST_MOONDREAM_TEXT_PAD(pad);
  auto priv = self->priv;
  if (mode != GST_PAD_MODE_PUSH) return FALSE;
  if (!active) return end_task(self, gst_pad_stop_task);
  priv->ended = priv->failed = false;
  priv->queue.start();
  return gst_pad_start_task(pad, gst_moondream_text_pad_loop, pad, nullptr);
}

// ---- What it is to say -----------------------------------------------------------------------

// The text's own stream, beside the video's.
static EventPtr new_stream_start(GstPad *pad, GstEvent *video) {
  const gchar *video_id;
  gst_event_parse_stream_start(video, &video_id);
  const moondream::TextPtr name(gst_pad_get_name(pad));
  const std::string id = std::string(video_id) + "/" + name.get();
  EventPtr event(gst_event_new_stream_start(id.c_str()));
  gst_event_set_seqnum(event.get(), gst_event_get_seqnum(video));
  gst_event_set_stream_flags(event.get(), GST_STREAM_FLAG_SPARSE);
  guint group;
  if (gst_event_parse_group_id(video, &group)) gst_event_set_group_id(event.get(), group);
  return event;
}

static EventPtr new_caps_event() {
  GstCaps *caps = gst_caps_new_simple("text/x-raw", "format", G_TYPE_STRING, "utf8", nullptr);
  EventPtr event(gst_event_new_caps(caps));
  gst_caps_unref(caps);
  return event;
}

void gst_moondream_text_pad_event(GstMoondreamTextPad *pad, GstEvent *event) {
  auto priv = pad->priv;
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_STREAM_START:
      priv->track.reset();
      priv->queue.put(new_stream_start(GST_PAD(pad), event));
      priv->queue.put(new_caps_event());
      break;
    case GST_EVENT_SEGMENT: {
      GstSegment segment;
      gst_event_copy_segment(event, &segment);
      priv->track.set_segment(segment);
      // Cues could not be placed in any other.
      if (segment.format == GST_FORMAT_TIME) priv->queue.put(EventPtr(gst_event_ref(event)));
      break;
    }
    case GST_EVENT_GAP: {
      GstClockTime start, duration;
      gst_event_parse_gap(event, &start, &duration);
      if (auto span = priv->track.gap(start, duration)) priv->queue.put(std::move(*span));
      break;
    }
    case GST_EVENT_EOS:
      priv->queue.put(EventPtr(gst_event_ref(event)));
      break;
    default:
      break;
  }
}

guint gst_moondream_text_pad_frame(GstMoondreamTextPad *pad, const TextFrame &frame) {
  auto priv = pad->priv;
  auto span = priv->track.frame(frame, priv->content);
  const auto dropped = span ? static_cast<guint>(priv->queue.put(std::move(*span))) : 0;
  priv->dropped += dropped;
  return dropped;
}

// ---- Flushes ---------------------------------------------------------------------------------

static bool outlives_flush(GstEvent *event) {
  return GST_EVENT_TYPE(event) == GST_EVENT_STREAM_START || GST_EVENT_TYPE(event) == GST_EVENT_CAPS;
}

void gst_moondream_text_pad_flush_start(GstMoondreamTextPad *self, GstEvent *event) {
  auto pad = GST_PAD(self);
  for (TextQueue::Item &item : self->priv->queue.stop()) {
    // What is in force beyond a flush goes out with the first data behind it.
    auto *dropped = std::get_if<EventPtr>(&item);
    if (dropped && outlives_flush(dropped->get())) gst_pad_store_sticky_event(pad, dropped->get());
  }
  gst_pad_push_event(pad, event);
  // Waits for the push under way, which the event has ended.
  gst_pad_pause_task(pad);
}

void gst_moondream_text_pad_flush_stop(GstMoondreamTextPad *self, GstEvent *event) {
  auto priv = self->priv;
  auto pad = GST_PAD(self);
  gst_pad_push_event(pad, event);
  priv->track.reset();
  priv->ended = false;
  if (!GST_PAD_IS_ACTIVE(pad)) return;
  priv->queue.start();
  gst_pad_start_task(pad, gst_moondream_text_pad_loop, pad, nullptr);
  // It may have been deactivated meanwhile, in which case nobody else stops this task.
  if (!GST_PAD_IS_ACTIVE(pad)) end_task(self, gst_pad_stop_task);
}

void gst_moondream_text_pad_finish(GstMoondreamTextPad *self) {
  auto pad = GST_PAD(self);
  TextQueue &queue = self->priv->queue;
  const EventPtr began(gst_pad_get_sticky_event(pad, GST_EVENT_STREAM_START, 0));
  if (began && GST_PAD_IS_ACTIVE(pad)) {
    end_task(self, gst_pad_pause_task);
    // By the task: EOS may be kept waiting, too.
    queue.start();
    queue.put(EventPtr(gst_event_new_eos()));
    gst_pad_start_task(pad, gst_moondream_text_pad_loop, pad, nullptr);
    queue.wait_until_idle(kStopPatience);
  }
  gst_pad_set_active(pad, FALSE);
}

// ---- GObject ---------------------------------------------------------------------------------

static void gst_moondream_text_pad_set_property(GObject *object, guint id, const GValue *value,
                                                GParamSpec *pspec) {
  auto priv = GST_MOONDREAM_TEXT_PAD(object)->priv;
  if (id == kPropContent) {
    priv->content = static_cast<TextContent>(g_value_get_enum(value));
  } else {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void gst_moondream_text_pad_get_property(GObject *object, guint id, GValue *value,
                                                GParamSpec *pspec) {
  auto priv = GST_MOONDREAM_TEXT_PAD(object)->priv;
  if (id == kPropContent) {
    g_value_set_enum(value, static_cast<gint>(priv->content.load()));
  } else if (id == kPropDropped) {
    g_value_set_uint64(value, priv->dropped);
  } else {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void gst_moondream_text_pad_finalize(GObject *object) {
  delete GST_MOONDREAM_TEXT_PAD(object)->priv;
  G_OBJECT_CLASS(gst_moondream_text_pad_parent_class)->finalize(object);
}

static void gst_moondream_text_pad_init(GstMoondreamTextPad *self) {
  self->priv = new TextPadPrivate;
  gst_pad_set_activatemode_function(GST_PAD(self), gst_moondream_text_pad_activate_mode);
  // Not negotiable, so nobody has to be asked.
  gst_pad_use_fixed_caps(GST_PAD(self));
}

static void gst_moondream_text_pad_class_init(GstMoondreamTextPadClass *klass) {
  auto object_class = G_OBJECT_CLASS(klass);
  object_class->set_property = gst_moondream_text_pad_set_property;
  object_class->get_property = gst_moondream_text_pad_get_property;
  object_class->finalize = gst_moondream_text_pad_finalize;
  gst_type_mark_as_plugin_api(gst_moondream_text_content_get_type(),
                              static_cast<GstPluginAPIFlags>(0));
  /**
   * GstMoondreamTextPad:content:
   *
   * Which texts of a result the pad gives: with two pads, captions and answers are tracks of their
   * own.
   *
   * Since: 0.1
   */
  g_object_class_install_property(
      object_class, kPropContent,
      g_param_spec_enum("content", "Content", "Which texts of a result the pad gives",
                        gst_moondream_text_content_get_type(), static_cast<gint>(kDefaultContent),
                        static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                 GST_PARAM_MUTABLE_PLAYING)));
  /**
   * GstMoondreamTextPad:dropped:
   *
   * How many cues were dropped because what is linked to the pad did not take them for minutes.
   *
   * Since: 0.1
   */
  g_object_class_install_property(
      object_class, kPropDropped,
      g_param_spec_uint64(
          "dropped", "Dropped", "Cues that were dropped because the pad's consumer is blocked", 0,
          G_MAXUINT64, 0, static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
}

GstMoondreamTextPad *gst_moondream_text_pad_new(GstPadTemplate *templ, const gchar *name) {
  return GST_MOONDREAM_TEXT_PAD(g_object_new(GST_TYPE_MOONDREAM_TEXT_PAD, "name", name, "direction",
                                             GST_PAD_SRC, "template", templ, nullptr));
}
