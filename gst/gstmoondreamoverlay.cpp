/**
 * SECTION:element-moondreamoverlay
 * @title: moondreamoverlay
 * @short_description: draws what moondreamfilter saw
 *
 * Draws the result that a buffer carries on its picture: objects as boxes and points as dots, each
 * with label and score in a colour of the label's own; gaze as rays; caption and answers as wrapped
 * text at the bottom. Lines and letters are sized so that they are legible from 320x240 to 4K, and
 * for pixels that are not square.
 *
 * It needs a moondreamfilter upstream and works on every raw format that the filter takes but
 * NV12_10BE_8L128, MT2110T and MT2110R, which GStreamer itself cannot write safely, whatever
 * elements (converters, scalers, rate changers) are in between. It never runs a model. Only the
 * pixels that a drawing covers are written, and a result that does not change is rendered once,
 * however many frames carry it. A buffer that carries nothing to draw passes as it is: not copied
 * and not made writable.
 *
 * Boxes, points and gaze are not drawn where an element in between may have cropped, flipped or
 * padded the picture, so that they would be at wrong places; a warning says so. Caption and answers
 * are.
 *
 * Where what is downstream shows pictures over the video by itself (it takes caps with the feature
 * meta:GstVideoOverlayComposition and asks for that meta, as glimagesink does), the pixels stay as
 * they are and the drawing travels beside them.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 videotestsrc num-buffers=60 ! moondreamfilter detect="circle,face" caption=short !
 * moondreamoverlay ! videoconvert ! autovideosink
 * ]|
 * |[
 * gst-launch-1.0 v4l2src ! videoconvert ! moondreamfilter model=/path/to/moondream2 detect="person"
 * ! moondreamoverlay max-age=1000000000 ! videoconvert ! autovideosink
 * ]|
 *
 * Since: 0.1
 */
#include "gstmoondreamoverlay.h"

#include <gst/video/video.h>

#include <atomic>
#include <mutex>
#include <utility>

#include "coordinates.h"
#include "gstmoondreamerror.h"
#include "gstmoondreammeta.h"
#include "mapped_frame.h"
#include "overlay_analysis.h"
#include "overlay_blend.h"
#include "overlay_composition.h"
#include "overlay_properties.h"
#include "overlay_scene.h"
#include "pointers.h"
#include "writable_formats.h"

using moondream::guarded;
using moondream::MappedFrame;
using moondream::QueryPtr;
using moondream::overlay::attach_composition;
using moondream::overlay::BlendPlan;
using moondream::overlay::CompositionPtr;
using moondream::overlay::has_composition;
using moondream::overlay::make_composition;
using moondream::overlay::make_scene;
using moondream::overlay::Scene;
using moondream::overlay::SceneRenderer;
using moondream::overlay::Settings;
using moondream::overlay::with_composition;
using moondream::overlay::without_composition;

GST_DEBUG_CATEGORY_STATIC(gst_moondream_overlay_debug);
#define GST_CAT_DEFAULT gst_moondream_overlay_debug

namespace {

struct State {
  std::mutex settings_lock;  // held for copies only
  Settings settings;         // protected by settings_lock

  std::atomic<bool> undecided = true;  // about `attaches`, which is as downstream last answered

  // Streaming thread only.
  moondream::StoredFrame stored = {};
  bool attaches = false;  // drawings travel beside the pixels
  SceneRenderer renderer;
  Scene scene;                 // that the next two show
  BlendPlan plan;              // on frames of `stored`; only if not `attaches`
  CompositionPtr composition;  // only if `attaches`
  bool drawing = false;   // on the buffer that is between prepare_output_buffer and transform_ip
  bool unplaced = false;  // the application was told that boxes are not drawn

  Settings current_settings() {
    const std::lock_guard guard(settings_lock);
    return settings;
  }

  void forget_drawing() {
    scene = {};
    plan = {};
    composition.reset();
    drawing = false;
  }
};

}  // namespace

struct _GstMoondreamOverlay {
  GstBaseTransform parent;
  State *state;
};

G_DEFINE_FINAL_TYPE(GstMoondreamOverlay, gst_moondream_overlay, GST_TYPE_BASE_TRANSFORM)
GST_ELEMENT_REGISTER_DEFINE(moondreamoverlay, "moondreamoverlay", GST_RANK_NONE,
                            GST_TYPE_MOONDREAM_OVERLAY)

// The first with drawings beside the pixels: preferred where both are possible.
static GstCaps *overlay_caps() {
  GstCaps *caps = moondream::writable_caps();
  return gst_caps_merge(with_composition(caps), caps);
}

// ---- Properties ------------------------------------------------------------------------------

static void gst_moondream_overlay_set_property(GObject *object, guint id, const GValue *value,
                                               GParamSpec *pspec) {
  State *state = GST_MOONDREAM_OVERLAY(object)->state;
  const std::lock_guard guard(state->settings_lock);
  if (!moondream::overlay::set_property(state->settings, id, value))
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void gst_moondream_overlay_get_property(GObject *object, guint id, GValue *value,
                                               GParamSpec *pspec) {
  State *state = GST_MOONDREAM_OVERLAY(object)->state;
  if (!moondream::overlay::get_property(state->current_settings(), id, value))
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

// ---- Negotiation -----------------------------------------------------------------------------

static GstCaps *gst_moondream_overlay_transform_caps(GstBaseTransform *, GstPadDirection direction,
                                                     GstCaps *caps, GstCaps *filter) {
  // Compositions of other elements pass; own ones come only where there may be any.
  GstCaps *result = direction == GST_PAD_SINK
                        ? gst_caps_merge(with_composition(caps), gst_caps_ref(caps))
                        : gst_caps_merge(gst_caps_copy(caps), without_composition(caps));
  if (filter) {
    GstCaps *all = result;
    result = gst_caps_intersect_full(filter, all, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(all);
  }
  return result;
}

// `candidates` are what downstream takes of what transform_caps() offers.
static GstCaps *gst_moondream_overlay_fixate_caps(GstBaseTransform *transform,
                                                  GstPadDirection direction, GstCaps *caps,
                                                  GstCaps *candidates) {
  // Who takes anything has not said that it shows compositions.
  if (direction == GST_PAD_SINK && !has_composition(caps)) {
    GstCaps *peer = gst_pad_peer_query_caps(GST_BASE_TRANSFORM_SRC_PAD(transform), nullptr);
    const bool takes_anything = gst_caps_is_any(peer);
    gst_caps_unref(peer);
    if (takes_anything) {
      GstCaps *all = candidates;
      candidates = gst_caps_simplify(without_composition(all));
      gst_caps_unref(all);
    }
  }
  return GST_BASE_TRANSFORM_CLASS(gst_moondream_overlay_parent_class)
      ->fixate_caps(transform, direction, caps, candidates);
}

// The base class asks for memory only when it needs some, which an element that works in place
// seldom does.
static void decide_where_to_draw(GstMoondreamOverlay *self) {
  State *state = self->state;
  if (!state->undecided.exchange(false)) return;
  GstPad *src = GST_BASE_TRANSFORM_SRC_PAD(self);
  GstCaps *caps = gst_pad_get_current_caps(src);
  bool attaches = false;
  if (caps && has_composition(caps)) {
    const QueryPtr query(gst_query_new_allocation(caps, FALSE));
    attaches = gst_pad_peer_query(src, query.get()) &&
               gst_query_find_allocation_meta(query.get(),
                                              GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE, nullptr);
  }
  if (caps) gst_caps_unref(caps);
  if (attaches == state->attaches) return;
  GST_DEBUG_OBJECT(self, attaches ? "attaching drawings" : "drawing on pixels");
  state->attaches = attaches;
  state->forget_drawing();
}

static gboolean gst_moondream_overlay_src_event(GstBaseTransform *transform, GstEvent *event) {
  // What is downstream now may show other things.
  if (GST_EVENT_TYPE(event) == GST_EVENT_RECONFIGURE) {
    GST_MOONDREAM_OVERLAY(transform)->state->undecided = true;
  }
  return GST_BASE_TRANSFORM_CLASS(gst_moondream_overlay_parent_class)->src_event(transform, event);
}

// ---- Streaming -------------------------------------------------------------------------------

// Pixels are found by the caps.
static gboolean gst_moondream_overlay_set_caps(GstBaseTransform *transform, GstCaps *caps,
                                               GstCaps *) {
  State *state = GST_MOONDREAM_OVERLAY(transform)->state;
  state->forget_drawing();
  state->undecided = true;
  GstVideoInfo info;
  if (!gst_video_info_from_caps(&info, caps)) {
    GST_ERROR_OBJECT(transform, "unusable caps %" GST_PTR_FORMAT, caps);
    return FALSE;
  }
  state->stored = moondream::stored_frame(info);
  return TRUE;
}

static gboolean gst_moondream_overlay_stop(GstBaseTransform *transform) {
  State *state = GST_MOONDREAM_OVERLAY(transform)->state;
  state->forget_drawing();
  state->unplaced = false;
  return TRUE;
}

// Whether coordinates are those of the picture. If not, the application is told, once.
static bool are_placed(GstMoondreamOverlay *self, GstBuffer *buffer,
                       const moondream::FrameAnalysis &analysis) {
  if (analysis.objects.empty() && analysis.points.empty() && analysis.gaze.empty()) return true;
  State *state = self->state;
  const GstVideoInfo &info = state->stored.info;
  if (moondream::drift_of(buffer, GST_VIDEO_INFO_WIDTH(&info), GST_VIDEO_INFO_HEIGHT(&info)))
    return true;
  if (!std::exchange(state->unplaced, true)) {
    GST_ELEMENT_WARNING(self, STREAM, FORMAT,
                        ("Boxes, points and gaze are not drawn: an element between "
                         "moondreamfilter and this one may have cropped, flipped or padded the "
                         "picture."),
                        ("there is no meta that says where things are"));
  }
  return false;
}

// Renders what `buffer` says, unless it looks like the last. False: nothing is to be drawn.
static bool update_drawing(GstMoondreamOverlay *self, GstBuffer *buffer) {
  State *state = self->state;
  const auto analysis = moondream::read_analysis(buffer);
  if (!analysis) return false;
  Scene scene = make_scene(*analysis, state->current_settings(), state->stored.info,
                           are_placed(self, buffer, *analysis));
  if (scene != state->scene) {
    GST_DEBUG_OBJECT(self, "rendering result %" G_GUINT64_FORMAT, analysis->serial);
    const auto layers = state->renderer.render(scene);
    if (state->attaches) {
      state->composition = make_composition(layers);
    } else {
      state->plan = BlendPlan(layers, state->stored.info);
    }
    state->scene = std::move(scene);
  }
  return state->attaches ? state->composition != nullptr : !state->plan.empty();
}

// Decides whether anything is to be drawn: only then must the buffer be writable.
static GstFlowReturn gst_moondream_overlay_prepare_output_buffer(GstBaseTransform *transform,
                                                                 GstBuffer *input,
                                                                 GstBuffer **output) {
  auto self = GST_MOONDREAM_OVERLAY(transform);
  State *state = self->state;
  state->drawing = false;
  const GstFlowReturn result =
      guarded(GST_ELEMENT(transform), "rendering the result", GST_FLOW_ERROR, [&] {
        state->drawing = update_drawing(self, input);
        return GST_FLOW_OK;
      });
  if (result != GST_FLOW_OK) return result;
  if (!state->drawing) {
    *output = input;
    return GST_FLOW_OK;
  }
  return GST_BASE_TRANSFORM_CLASS(gst_moondream_overlay_parent_class)
      ->prepare_output_buffer(transform, input, output);
}

// The base class would copy the pixels of a buffer that others hold before it is given metadata.
static GstFlowReturn gst_moondream_overlay_generate_output(GstBaseTransform *transform,
                                                           GstBuffer **output) {
  auto self = GST_MOONDREAM_OVERLAY(transform);
  decide_where_to_draw(self);
  if (!self->state->attaches) {
    return GST_BASE_TRANSFORM_CLASS(gst_moondream_overlay_parent_class)
        ->generate_output(transform, output);
  }
  *output = std::exchange(transform->queued_buf, nullptr);
  if (!*output) return GST_FLOW_OK;
  return guarded(GST_ELEMENT(transform), "rendering the result", GST_FLOW_ERROR, [&] {
    if (!update_drawing(self, *output)) return GST_FLOW_OK;
    *output = gst_buffer_make_writable(*output);
    attach_composition(*output, self->state->composition.get());
    return GST_FLOW_OK;
  });
}

static GstFlowReturn gst_moondream_overlay_transform_ip(GstBaseTransform *transform,
                                                        GstBuffer *buffer) {
  State *state = GST_MOONDREAM_OVERLAY(transform)->state;
  if (!state->drawing) return GST_FLOW_OK;
  return guarded(GST_ELEMENT(transform), "drawing on the frame", GST_FLOW_ERROR, [&] {
    MappedFrame frame(state->stored, buffer, GST_MAP_READWRITE);
    state->plan.blend(frame.get());
    return GST_FLOW_OK;
  });
}

// ---- Type ------------------------------------------------------------------------------------

static void gst_moondream_overlay_finalize(GObject *object) {
  delete GST_MOONDREAM_OVERLAY(object)->state;
  G_OBJECT_CLASS(gst_moondream_overlay_parent_class)->finalize(object);
}

static void gst_moondream_overlay_init(GstMoondreamOverlay *self) {
  self->state = new State;
  // Also leaves allocation queries to downstream, which gets the memory that upstream asks for.
  gst_base_transform_set_in_place(GST_BASE_TRANSFORM(self), TRUE);
  // A frame that is marked as a gap is drawn on like any other.
  gst_base_transform_set_gap_aware(GST_BASE_TRANSFORM(self), TRUE);
}

static void gst_moondream_overlay_class_init(GstMoondreamOverlayClass *klass) {
  GST_DEBUG_CATEGORY_INIT(gst_moondream_overlay_debug, "moondreamoverlay", 0,
                          "Draws what moondreamfilter saw");
  GObjectClass *object_class = G_OBJECT_CLASS(klass);
  object_class->set_property = gst_moondream_overlay_set_property;
  object_class->get_property = gst_moondream_overlay_get_property;
  object_class->finalize = gst_moondream_overlay_finalize;
  moondream::overlay::install_properties(object_class);

  GstElementClass *element_class = GST_ELEMENT_CLASS(klass);
  gst_element_class_set_static_metadata(
      element_class, "Moondream overlay", "Filter/Editor/Video",
      "Draws boxes, points, gaze, captions and answers of moondreamfilter",
      "The gst-moondream developers");
  moondream::add_pad_templates(element_class, overlay_caps());

  GstBaseTransformClass *transform_class = GST_BASE_TRANSFORM_CLASS(klass);
  transform_class->transform_caps = gst_moondream_overlay_transform_caps;
  transform_class->fixate_caps = gst_moondream_overlay_fixate_caps;
  transform_class->src_event = gst_moondream_overlay_src_event;
  transform_class->set_caps = gst_moondream_overlay_set_caps;
  transform_class->propose_allocation = moondream::propose_without_crop;
  transform_class->stop = gst_moondream_overlay_stop;
  transform_class->prepare_output_buffer = gst_moondream_overlay_prepare_output_buffer;
  transform_class->generate_output = gst_moondream_overlay_generate_output;
  transform_class->transform_ip = gst_moondream_overlay_transform_ip;
  transform_class->transform_ip_on_passthrough = FALSE;

  moondream::register_analysis_meta();
}
