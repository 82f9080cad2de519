/**
 * SECTION:element-moondreammoderate
 * @title: moondreammoderate
 * @short_description: stops what must not be shown
 *
 * Compares the results that buffers carry with rules, and says so or stops the frames where one
 * matches. It needs a moondreamfilter upstream that asks what the rules are about, with converters
 * and scalers in between.
 *
 * A frame matches if it shows an object or a point of one of the #moondreammoderate:labels, or if
 * an answer of the model begins with one of the #moondreammoderate:stop-answers or with an answer
 * of the rule in #moondreammoderate:stop-rules for its question. Words are compared without regard
 * to case and punctuation: "yes" matches "Yes, a knife." and not "Yesterday".
 *
 * An interval of kind "stop" begins when #moondreammoderate:trigger-results results in a row match
 * and the first of them is #moondreammoderate:trigger-after ago, and ends when
 * #moondreammoderate:release-results in a row do not and the first of them is
 * #moondreammoderate:release-after ago. Frames before its begin have passed already. Times are
 * stream time. A frame about which nothing is known (it came through no filter; its result is
 * pending, failed or older than #moondreammoderate:max-age; or the question of a rule was not
 * asked) does not end such an interval; outside of one it is part of an interval of kind "unknown".
 * What becomes of frames is chosen by #moondreammoderate:action in the former and by
 * #moondreammoderate:on-missing in the latter, which does the same by default: what should cover or
 * drop, covers and drops what it does not know. At the start of a stream whose filter is in async
 * mode that is until the first result.
 *
 * Each begin and end of an interval is an element message "moondream-moderation" with "event"
 * (begin or end), "action", and the interval: "kind"; "begin-pts", "begin-running-time" and
 * "begin-stream-time" of its first frame; "end-pts" and so on of the first frame behind it, if it
 * has ended; "since-stream-time", where its cause began; "frames", their number; "triggers", an
 * array of structures with "kind" (object, point or answer), "subject" (the label or question),
 * "answer" and "score"; or, of kind unknown, a "reason": no-result, pending, failed, too-old or
 * unanswered. Intervals end at EOS, at flushes and at segments with other times. At EOS the message
 * "moondream-moderation-report" holds all "intervals" of the stream, or the last 10000 and the
 * number of those "omitted". #moondreammoderate:report-location gets each as a line of JSON when it
 * ends.
 *
 * Frames are covered in their own memory, which is copied only if others hold it, and pass as they
 * are where nothing is covered. In place of a dropped frame goes a gap of its duration. Every raw
 * format that moondreamfilter takes is taken but NV12_10BE_8L128, MT2110T and MT2110R, which
 * GStreamer itself cannot write safely.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -m videotestsrc num-buffers=150 ! moondreamfilter detect="circle" mode=sync !
 * moondreammoderate labels="circle" action=cover ! videoconvert ! autovideosink
 * ]|
 * |[
 * gst-launch-1.0 -m rtspsrc location=rtsp://camera/ ! decodebin ! videoconvert ! moondreamfilter
 * model=/models/moondream2 query="Is there a weapon?" ! moondreammoderate stop-answers="yes,maybe"
 * trigger-results=2 action=drop report-location=stopped.jsonl ! videoconvert ! autovideosink
 * ]|
 *
 * Since: 0.1
 */
#include "gstmoondreammoderate.h"

#include <gst/video/video.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analysis_json.h"
#include "gstmoondreamerror.h"
#include "gstmoondreammeta.h"
#include "line_output.h"
#include "mapped_frame.h"
#include "moderation_intervals.h"
#include "moderation_properties.h"
#include "moderation_report.h"
#include "moderation_rules.h"
#include "moderation_settings.h"
#include "pointers.h"
#include "redact_planes.h"
#include "writable_formats.h"

namespace moderation = moondream::moderation;
using moderation::Action;
using moderation::Change;
using moderation::Interval;
using moderation::ModerationSettings;
using moderation::OnMissing;
using moondream::Error;
using moondream::ErrorKind;
using moondream::FramePlace;
using moondream::guarded;
using moondream::LineWriter;

GST_DEBUG_CATEGORY_STATIC(gst_moondream_moderate_debug);
#define GST_CAT_DEFAULT gst_moondream_moderate_debug

namespace {

// Since the start.
struct Stats {
  std::atomic<guint64> frames = 0, stopped = 0, unknown = 0, covered = 0, dropped = 0;

  void reset() { frames = stopped = unknown = covered = dropped = 0; }
};

enum class Treatment { kPass, kCover, kDrop, kFail };

struct State {
  std::mutex settings_lock;     // held for copies only
  ModerationSettings settings;  // settings_lock

  Stats stats;

  // Streaming thread only, and start() and stop().
  moondream::StoredFrame stored = {};
  std::optional<moondream::redact::PlaneWriter> cover;  // of `stored`
  moderation::IntervalTracker tracker;
  moderation::IntervalList ended;
  std::shared_ptr<LineWriter> report;      // null: none is wanted
  Treatment treatment = Treatment::kPass;  // of the buffer between prepare_output_buffer and
                                           // transform_ip
  ModerationSettings current_settings() {
    const std::lock_guard guard(settings_lock);
    return settings;
  }
};

constexpr std::size_t kReportQueueBytes = 1 << 20;
// How long a reader of the report may take for what is left.
constexpr std::chrono::milliseconds kReportPatience(500);

}  // namespace

struct _GstMoondreamModerate {
  GstBaseTransform parent;
  State *state;
};

G_DEFINE_FINAL_TYPE(GstMoondreamModerate, gst_moondream_moderate, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE(moondreammoderate, "moondreammoderate", GST_RANK_NONE,
                            GST_TYPE_MOONDREAM_MODERATE)

static guint moderation_signal;

// ---- Properties ------------------------------------------------------------------------------

static void gst_moondream_moderate_set_property(GObject *object, guint id, const GValue *value,
                                                GParamSpec *pspec) {
  State *state = GST_MOONDREAM_MODERATE(object)->state;
  const std::lock_guard guard(state->settings_lock);
  if (!moderation::set_property(state->settings, id, value))
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void gst_moondream_moderate_get_property(GObject *object, guint id, GValue *value,
                                                GParamSpec *pspec) {
  State *state = GST_MOONDREAM_MODERATE(object)->state;
  if (id == moderation::kPropertyStats) {
    const Stats &stats = state->stats;
    g_value_take_boxed(value, gst_structure_new("moondream-moderation-stats", "frames",
                                                G_TYPE_UINT64, stats.frames.load(), "stopped",
                                                G_TYPE_UINT64, stats.stopped.load(), "unknown",
                                                G_TYPE_UINT64, stats.unknown.load(), "covered",
                                                G_TYPE_UINT64, stats.covered.load(), "dropped",
                                                G_TYPE_UINT64, stats.dropped.load(), nullptr));
  } else if (!moderation::get_property(state->current_settings(), id, value)) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

// ---- Intervals -------------------------------------------------------------------------------

// Tells all who want to know that intervals began or ended.
static void announce(GstMoondreamModerate *self, const std::vector<Change> &changes,
                     const ModerationSettings &settings) {
  State *state = self->state;
  for (const Change &change : changes) {
    GstStructure *structure = to_structure(change.interval, "moondream-moderation");
    gst_structure_set(structure, "event", G_TYPE_STRING, change.begins ? "begin" : "end", "action",
                      G_TYPE_STRING, to_string(settings.action), nullptr);
    GST_INFO_OBJECT(self, "%" GST_PTR_FORMAT, structure);
    if (settings.action == Action::kSignal) g_signal_emit(self, moderation_signal, 0, structure);
    gst_element_post_message(GST_ELEMENT(self),
                             gst_message_new_element(GST_OBJECT(self), structure));
    if (change.begins) continue;
    state->ended.add(change.interval);
    if (state->report) {
      state->report->write(
          moondream::to_line(to_json(change.interval, to_string(settings.action))));
    }
  }
}

// The stream ends, or goes on elsewhere.
static void finish_interval(GstMoondreamModerate *self) {
  announce(self, self->state->tracker.finish(), self->state->current_settings());
}

static Treatment treatment_of(const std::optional<Interval> &interval,
                              const ModerationSettings &settings) {
  if (!interval) return Treatment::kPass;
  const Treatment by_action = settings.action == Action::kCover  ? Treatment::kCover
                              : settings.action == Action::kDrop ? Treatment::kDrop
                                                                 : Treatment::kPass;
  if (interval->kind == Interval::Kind::kStop) return by_action;
  switch (settings.on_missing) {
    case OnMissing::kAction:
      return by_action;
    case OnMissing::kCover:
      return Treatment::kCover;
    case OnMissing::kDrop:
      return Treatment::kDrop;
    case OnMissing::kPass:
      return Treatment::kPass;
    case OnMissing::kError:
      return Treatment::kFail;
  }
  return Treatment::kCover;
}

static Treatment judge_frame(GstMoondreamModerate *self, GstBuffer *buffer) {
  State *state = self->state;
  const ModerationSettings settings = state->current_settings();
  const auto verdict = moderation::judge(moondream::read_analysis(buffer), settings.all_rules());

  const GstSegment &segment = GST_BASE_TRANSFORM(self)->segment;
  const int width = GST_VIDEO_INFO_WIDTH(&state->stored.info), height = state->stored.whole_height;
  const GstClockTime pts = GST_BUFFER_PTS(buffer), duration = GST_BUFFER_DURATION(buffer);
  const FramePlace here = moondream::place_of(pts, segment, width, height);
  FramePlace next = here;
  if (GST_CLOCK_TIME_IS_VALID(pts) && GST_CLOCK_TIME_IS_VALID(duration))
    next = moondream::place_of(pts + duration, segment, width, height);
  announce(self, state->tracker.add(verdict, here, next, settings.hysteresis), settings);

  const auto &interval = state->tracker.current();
  ++state->stats.frames;
  if (interval)
    ++(interval->kind == Interval::Kind::kStop ? state->stats.stopped : state->stats.unknown);
  return treatment_of(interval, settings);
}

// ---- Streaming -------------------------------------------------------------------------------

static gboolean gst_moondream_moderate_start(GstBaseTransform *transform) {
  State *state = GST_MOONDREAM_MODERATE(transform)->state;
  return guarded(GST_ELEMENT(transform), "starting", FALSE, [&] {
    const ModerationSettings settings = state->current_settings();
    if (settings.all_rules().empty()) {
      throw Error(ErrorKind::kSettings,
                  "There is nothing to moderate by: set labels, stop-answers or stop-rules.");
    }
    if (!settings.report_location.empty()) {
      state->report = moondream::open_line_output(GST_ELEMENT(transform), settings.report_location,
                                                  -1, false, kReportQueueBytes);
    }
    state->stats.reset();
    return TRUE;
  });
}

static gboolean gst_moondream_moderate_stop(GstBaseTransform *transform) {
  GstMoondreamModerate *self = GST_MOONDREAM_MODERATE(transform);
  State *state = self->state;
  return guarded(GST_ELEMENT(transform), "stopping", TRUE, [&] {
    finish_interval(self);
    state->ended.clear();
    if (state->report) state->report->flush(kReportPatience);
    state->report.reset();
    state->cover.reset();
    return TRUE;
  });
}

// Pixels are found by the caps.
static gboolean gst_moondream_moderate_set_caps(GstBaseTransform *transform, GstCaps *caps,
                                                GstCaps *) {
  State *state = GST_MOONDREAM_MODERATE(transform)->state;
  state->cover.reset();
  GstVideoInfo info;
  if (!gst_video_info_from_caps(&info, caps)) {
    GST_ERROR_OBJECT(transform, "unusable caps %" GST_PTR_FORMAT, caps);
    return FALSE;
  }
  state->stored = moondream::stored_frame(info);
  return TRUE;
}

// Whether the frames behind the event have nothing to do with those before.
static bool ends_stream(GstEvent *event, const GstSegment &segment) {
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_STREAM_START:
    case GST_EVENT_FLUSH_STOP:
    case GST_EVENT_EOS:
      return true;
    case GST_EVENT_SEGMENT: {
      GstSegment next;
      gst_event_copy_segment(event, &next);
      next.position = segment.position;  // which the base class moves with each frame
      return !gst_segment_is_equal(&segment, &next);
    }
    default:
      return false;
  }
}

static gboolean gst_moondream_moderate_sink_event(GstBaseTransform *transform, GstEvent *event) {
  GstMoondreamModerate *self = GST_MOONDREAM_MODERATE(transform);
  State *state = self->state;
  if (ends_stream(event, transform->segment)) {
    guarded(GST_ELEMENT(transform), "ending an interval", false, [&] {
      finish_interval(self);
      if (GST_EVENT_TYPE(event) != GST_EVENT_EOS) return true;
      gst_element_post_message(
          GST_ELEMENT(self),
          gst_message_new_element(GST_OBJECT(self),
                                  state->ended.take("moondream-moderation-report")));
      if (state->report) state->report->flush(kReportPatience);
      return true;
    });
  }
  return GST_BASE_TRANSFORM_CLASS(gst_moondream_moderate_parent_class)
      ->sink_event(transform, event);
}

// Decides about the frame: only if it is to be covered must the buffer be writable.
static GstFlowReturn gst_moondream_moderate_prepare_output_buffer(GstBaseTransform *transform,
                                                                  GstBuffer *input,
                                                                  GstBuffer **output) {
  GstMoondreamModerate *self = GST_MOONDREAM_MODERATE(transform);
  State *state = self->state;
  const GstFlowReturn result =
      guarded(GST_ELEMENT(transform), "moderating a frame", GST_FLOW_ERROR, [&] {
        state->treatment = judge_frame(self, input);
        return GST_FLOW_OK;
      });
  if (result != GST_FLOW_OK) return result;
  if (state->treatment == Treatment::kFail) {
    GST_ELEMENT_ERROR(self, STREAM, FAILED, ("It is not known whether a frame may be shown."),
                      ("%s", state->tracker.current()->reason.c_str()));
    return GST_FLOW_ERROR;
  }
  if (state->treatment != Treatment::kCover) {
    *output = input;
    return GST_FLOW_OK;
  }
  return GST_BASE_TRANSFORM_CLASS(gst_moondream_moderate_parent_class)
      ->prepare_output_buffer(transform, input, output);
}

static void cover(State *state, GstBuffer *buffer) {
  if (!state->cover) state->cover.emplace(state->stored.info);
  moondream::MappedFrame frame(state->stored, buffer, GST_MAP_READWRITE);
  state->cover->cover(frame.get(), state->current_settings().color);
  ++state->stats.covered;
}

// Downstream hears that nothing comes, or it would wait.
static void drop(GstBaseTransform *transform, State *state, GstBuffer *buffer) {
  ++state->stats.dropped;
  if (!GST_BUFFER_PTS_IS_VALID(buffer)) return;
  gst_pad_push_event(GST_BASE_TRANSFORM_SRC_PAD(transform),
                     gst_event_new_gap(GST_BUFFER_PTS(buffer), GST_BUFFER_DURATION(buffer)));
}

static GstFlowReturn gst_moondream_moderate_transform_ip(GstBaseTransform *transform,
                                                         GstBuffer *buffer) {
  State *state = GST_MOONDREAM_MODERATE(transform)->state;
  return guarded(GST_ELEMENT(transform), "covering a frame", GST_FLOW_ERROR, [&] {
    switch (state->treatment) {
      case Treatment::kPass:
        return GST_FLOW_OK;
      case Treatment::kCover:
        cover(state, buffer);
        return GST_FLOW_OK;
      case Treatment::kDrop:
        drop(transform, state, buffer);
        return GST_BASE_TRANSFORM_FLOW_DROPPED;
      case Treatment::kFail:
        break;
    }
    return GST_FLOW_ERROR;
  });
}

// ---- Type ------------------------------------------------------------------------------------

static void gst_moondream_moderate_finalize(GObject *object) {
  delete GST_MOONDREAM_MODERATE(object)->state;
  G_OBJECT_CLASS(gst_moondream_moderate_parent_class)->finalize(object);
}

static void gst_moondream_moderate_init(GstMoondreamModerate *self) {
  self->state = new State;
  // Also leaves allocation queries to downstream, which gets the memory that upstream asks for.
  gst_base_transform_set_in_place(GST_BASE_TRANSFORM(self), TRUE);
  // A frame that is marked as a gap is moderated like any other.
  gst_base_transform_set_gap_aware(GST_BASE_TRANSFORM(self), TRUE);
}

static void gst_moondream_moderate_class_init(GstMoondreamModerateClass *klass) {
  GST_DEBUG_CATEGORY_INIT(gst_moondream_moderate_debug, "moondreammoderate", 0,
                          "Stops what must not be shown");
  GObjectClass *object_class = G_OBJECT_CLASS(klass);
  object_class->set_property = gst_moondream_moderate_set_property;
  object_class->get_property = gst_moondream_moderate_get_property;
  object_class->finalize = gst_moondream_moderate_finalize;
  moderation::install_properties(object_class);

  /**
   * GstMoondreamModerate::moderation:
   * @change: what the message "moondream-moderation" holds
   *
   * An interval begins or has ended; only if #moondreammoderate:action is signal. Emitted on the
   * streaming thread, before the frame at which that is leaves the element.
   */
  moderation_signal =
      g_signal_new("moderation", G_TYPE_FROM_CLASS(klass), G_SIGNAL_RUN_LAST, 0, nullptr, nullptr,
                   nullptr, G_TYPE_NONE, 1, GST_TYPE_STRUCTURE | G_SIGNAL_TYPE_STATIC_SCOPE);

  GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
  gst_element_class_set_static_metadata(
      element_class, "Moondream moderation", "Filter/Effect/Video",
      "Reports, covers or drops frames that show what must not be shown",
      "The gst-moondream developers");
  moondream::add_pad_templates(element_class, moondream::writable_caps());

  GstBaseTransformClass *transform_class = GST_BASE_TRANSFORM_CLASS(klass);
  transform_class->start = gst_moondream_moderate_start;
  transform_class->stop = gst_moondream_moderate_stop;
  transform_class->set_caps = gst_moondream_moderate_set_caps;
  transform_class->propose_allocation = moondream::propose_without_crop;
  transform_class->sink_event = gst_moondream_moderate_sink_event;
  transform_class->prepare_output_buffer = gst_moondream_moderate_prepare_output_buffer;
  transform_class->transform_ip = gst_moondream_moderate_transform_ip;
  transform_class->transform_ip_on_passthrough = FALSE;

  moondream::register_analysis_meta();
}
