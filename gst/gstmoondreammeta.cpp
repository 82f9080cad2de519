#include "gstmoondreammeta.h"

#include <gst/video/gstvideometa.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <utility>

#include "coordinates.h"
#include "pointers.h"

#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

namespace moondream {
namespace {

constexpr const char *kMetaName = "moondream";
#ifdef HAVE_ANALYTICS
// A relation meta keeps a matrix of the relations of all its mtds. Of more objects than these none
// is tracked there, so that thousands of boxes do not take a hundred megabytes a frame.
constexpr std::size_t kMostTracked = 500;
#endif
// In the order of AnalysisStatus.
constexpr std::array kStatusNames = {"fresh", "held", "predicted", "pending", "failed"};

// Copies the sentinel whatever is done to the picture: its absence has a meaning of its own. What
// that makes of coordinates another meta says (coordinates.h).
gboolean transform_sentinel(GstBuffer *target, GstCustomMeta *meta, GstBuffer *, GQuark, gpointer,
                            gpointer) {
  // An element that merges buffers keeps the sentinel of the first.
  if (gst_buffer_get_custom_meta(target, kMetaName)) return TRUE;
  GstCustomMeta *copy = gst_buffer_add_custom_meta(target, kMetaName);
  const GstStructure *source = gst_custom_meta_get_structure(meta);
  if (!copy || !source) return FALSE;
  GstStructure *structure = gst_custom_meta_get_structure(copy);
  const int fields = gst_structure_n_fields(source);
  for (int i = 0; i < fields; ++i) {
    const char *field = gst_structure_nth_field_name(source, i);
    gst_structure_set_value(structure, field, gst_structure_get_value(source, field));
  }
  return TRUE;
}

// ---- Writing ---------------------------------------------------------------------------------

// Sets `field` to an array with one structure for each item.
template <typename Items, typename Write>
void set_array(GstStructure *structure, const char *field, const char *item_name,
               const Items &items, Write write) {
  GValue array = G_VALUE_INIT;
  g_value_init(&array, GST_TYPE_ARRAY);
  for (const auto &item : items) {
    GstStructure *entry = gst_structure_new_empty(item_name);
    write(entry, item);
    GValue value = G_VALUE_INIT;
    g_value_init(&value, GST_TYPE_STRUCTURE);
    g_value_take_boxed(&value, entry);
    gst_value_array_append_and_take_value(&array, &value);
  }
  gst_structure_take_value(structure, field, &array);
}

void write_answer(GstStructure *entry, const AnalysisAnswer &answer) {
  gst_structure_set(entry, "question", G_TYPE_STRING, answer.question.c_str(), "answer",
                    G_TYPE_STRING, answer.answer.c_str(), nullptr);
  if (!answer.reasoning) return;
  const StructurePtr reasoning(gst_structure_new("reasoning", "text", G_TYPE_STRING,
                                                 answer.reasoning->text.c_str(), nullptr));
  set_array(reasoning.get(), "grounding", "grounding", answer.reasoning->grounding,
            [](GstStructure *stretch, const Grounding &grounding) {
              gst_structure_set(stretch, "start_idx", G_TYPE_UINT64, guint64{grounding.start_idx},
                                "end_idx", G_TYPE_UINT64, guint64{grounding.end_idx}, nullptr);
              set_array(stretch, "points", "point", grounding.points,
                        [](GstStructure *place, const Point &point) {
                          gst_structure_set(place, "x", G_TYPE_DOUBLE, point.x, "y", G_TYPE_DOUBLE,
                                            point.y, nullptr);
                        });
            });
  gst_structure_set(entry, "reasoning", GST_TYPE_STRUCTURE, reasoning.get(), nullptr);
}

void write_fields(GstStructure *structure, const FrameAnalysis &analysis) {
  gst_structure_set(structure, "status", G_TYPE_STRING, to_string(analysis.status), "sample-pts",
                    G_TYPE_UINT64, analysis.sample_pts, "age", G_TYPE_UINT64, analysis.age,
                    "serial", G_TYPE_UINT64, analysis.serial, "model", G_TYPE_STRING,
                    analysis.model.c_str(), nullptr);
  set_array(structure, "objects", "object", analysis.objects,
            [](GstStructure *entry, const AnalysisObject &object) {
              gst_structure_set(entry, "label", G_TYPE_STRING, object.label.c_str(), "score",
                                G_TYPE_DOUBLE, object.score, "x_min", G_TYPE_DOUBLE,
                                object.box.x_min, "y_min", G_TYPE_DOUBLE, object.box.y_min, "x_max",
                                G_TYPE_DOUBLE, object.box.x_max, "y_max", G_TYPE_DOUBLE,
                                object.box.y_max, "id", G_TYPE_UINT, object.id, "label_id",
                                G_TYPE_INT, object.label_id, nullptr);
            });
  set_array(structure, "points", "point", analysis.points,
            [](GstStructure *entry, const AnalysisPoint &point) {
              gst_structure_set(entry, "label", G_TYPE_STRING, point.label.c_str(), "score",
                                G_TYPE_DOUBLE, point.score, "x", G_TYPE_DOUBLE, point.point.x, "y",
                                G_TYPE_DOUBLE, point.point.y, "id", G_TYPE_UINT, point.id, nullptr);
            });
  set_array(structure, "gaze", "gaze", analysis.gaze,
            [](GstStructure *entry, const AnalysisGaze &gaze) {
              gst_structure_set(entry, "from-x", G_TYPE_DOUBLE, gaze.from.x, "from-y",
                                G_TYPE_DOUBLE, gaze.from.y, "to-x", G_TYPE_DOUBLE, gaze.to.x,
                                "to-y", G_TYPE_DOUBLE, gaze.to.y, nullptr);
            });
  if (analysis.caption) {
    gst_structure_set(structure, "caption", G_TYPE_STRING, analysis.caption->c_str(), nullptr);
  }
  set_array(structure, "answers", "answer", analysis.answers, write_answer);
}

struct PixelBox {
  int x, y, width, height;
};

// The nearest pixel edges, at least one pixel apart and inside the frame.
PixelBox to_pixels(const Box &box, int width, int height) {
  const auto span = [](double low, double high, int size) {
    const int first = std::clamp(static_cast<int>(std::lround(low * size)), 0, size - 1);
    const int end = std::clamp(static_cast<int>(std::lround(high * size)), first + 1, size);
    return std::pair{first, end - first};
  };
  const auto [x, w] = span(box.x_min, box.x_max, width);
  const auto [y, h] = span(box.y_min, box.y_max, height);
  return {x, y, w, h};
}

#ifdef HAVE_ANALYTICS
// The OD mtd of an object and the tracking mtd that names it. The id of the former, or `otherwise`
// if there is no room for it.
guint add_detection(GstAnalyticsRelationMeta *relations, const FrameAnalysis &analysis,
                    const AnalysisObject &object, const PixelBox &pixels, guint otherwise) {
  GstAnalyticsODMtd detection;
  if (!gst_analytics_relation_meta_add_od_mtd(relations, g_quark_from_string(object.label.c_str()),
                                              pixels.x, pixels.y, pixels.width, pixels.height,
                                              static_cast<gfloat>(object.score), &detection)) {
    return otherwise;
  }
  GstAnalyticsTrackingMtd tracking;
  if (object.id != 0 && analysis.objects.size() <= kMostTracked &&
      gst_analytics_relation_meta_add_tracking_mtd(relations, object.id, object.first_seen,
                                                   &tracking)) {
    gst_analytics_tracking_mtd_update_last_seen(&tracking, analysis.sample_pts);
    gst_analytics_relation_meta_set_relation(relations, GST_ANALYTICS_REL_TYPE_RELATE_TO,
                                             detection.id, tracking.id);
  }
  return detection.id;
}
#endif

// Writes the metas that stock consumers know.
void attach_regions(GstBuffer *buffer, const FrameAnalysis &analysis, int width, int height) {
#ifdef HAVE_ANALYTICS
  GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta(buffer);
  if (!relations) relations = gst_buffer_add_analytics_relation_meta(buffer);
#endif
  for (const AnalysisObject &object : analysis.objects) {
    const PixelBox pixels = to_pixels(object.box, width, height);
    guint roi_id = object.id;
#ifdef HAVE_ANALYTICS
    roi_id = add_detection(relations, analysis, object, pixels, roi_id);
#endif
    GstVideoRegionOfInterestMeta *roi = gst_buffer_add_video_region_of_interest_meta(
        buffer, object.label.c_str(), pixels.x, pixels.y, pixels.width, pixels.height);
    roi->id = static_cast<gint>(roi_id);
    gst_video_region_of_interest_meta_add_param(
        roi,
        gst_structure_new("detection", "x_min", G_TYPE_DOUBLE, object.box.x_min, "x_max",
                          G_TYPE_DOUBLE, object.box.x_max, "y_min", G_TYPE_DOUBLE, object.box.y_min,
                          "y_max", G_TYPE_DOUBLE, object.box.y_max, "confidence", G_TYPE_DOUBLE,
                          object.score, "label_id", G_TYPE_INT, object.label_id, "label",
                          G_TYPE_STRING, object.label.c_str(), nullptr));
    gst_video_region_of_interest_meta_add_param(
        roi,
        gst_structure_new("object_id", "id", G_TYPE_INT, static_cast<gint>(object.id), nullptr));
  }
}

// ---- Reading ---------------------------------------------------------------------------------

bool get(const GstStructure *structure, const char *field, std::string &out) {
  const char *text = gst_structure_get_string(structure, field);
  if (text) out = text;
  return text != nullptr;
}

// A fraction of the frame, or a probability.
bool get(const GstStructure *structure, const char *field, double &out) {
  return gst_structure_get_double(structure, field, &out) && out >= 0 && out <= 1;
}

// Appends to `items` what `parse` makes of each structure of an array.
template <typename Item, typename Parse>
bool get_array(const GstStructure *structure, const char *field, std::vector<Item> &items,
               Parse parse) {
  const GValue *array = gst_structure_get_value(structure, field);
  if (!array || !GST_VALUE_HOLDS_ARRAY(array)) return false;
  const guint size = gst_value_array_get_size(array);
  items.reserve(size);
  for (guint i = 0; i < size; ++i) {
    const GValue *value = gst_value_array_get_value(array, i);
    if (!GST_VALUE_HOLDS_STRUCTURE(value)) return false;
    const GstStructure *entry = gst_value_get_structure(value);
    if (!entry || !parse(entry, items.emplace_back())) return false;
  }
  return true;
}

bool parse_object(const GstStructure *entry, AnalysisObject &object) {
  return get(entry, "label", object.label) && get(entry, "score", object.score) &&
         get(entry, "x_min", object.box.x_min) && get(entry, "y_min", object.box.y_min) &&
         get(entry, "x_max", object.box.x_max) && get(entry, "y_max", object.box.y_max) &&
         object.box.x_min < object.box.x_max && object.box.y_min < object.box.y_max &&
         gst_structure_get_uint(entry, "id", &object.id) &&
         gst_structure_get_int(entry, "label_id", &object.label_id);
}

bool parse_point(const GstStructure *entry, AnalysisPoint &point) {
  return get(entry, "label", point.label) && get(entry, "score", point.score) &&
         get(entry, "x", point.point.x) && get(entry, "y", point.point.y) &&
         gst_structure_get_uint(entry, "id", &point.id);
}

bool parse_gaze(const GstStructure *entry, AnalysisGaze &gaze) {
  return get(entry, "from-x", gaze.from.x) && get(entry, "from-y", gaze.from.y) &&
         get(entry, "to-x", gaze.to.x) && get(entry, "to-y", gaze.to.y);
}

bool parse_grounding(const GstStructure *entry, Grounding &grounding) {
  guint64 start = 0, end = 0;
  if (!gst_structure_get_uint64(entry, "start_idx", &start) ||
      !gst_structure_get_uint64(entry, "end_idx", &end)) {
    return false;
  }
  grounding.start_idx = start;
  grounding.end_idx = end;
  return get_array(entry, "points", grounding.points, [](const GstStructure *place, Point &point) {
    return get(place, "x", point.x) && get(place, "y", point.y);
  });
}

bool parse_answer(const GstStructure *entry, AnalysisAnswer &answer) {
  if (!get(entry, "question", answer.question) || !get(entry, "answer", answer.answer)) {
    return false;
  }
  const GValue *value = gst_structure_get_value(entry, "reasoning");
  if (!value) return true;
  if (!GST_VALUE_HOLDS_STRUCTURE(value) || !gst_value_get_structure(value)) return false;
  Reasoning &reasoning = answer.reasoning.emplace();
  const GstStructure *structure = gst_value_get_structure(value);
  return get(structure, "text", reasoning.text) &&
         get_array(structure, "grounding", reasoning.grounding, parse_grounding);
}

}  // namespace

const char *to_string(AnalysisStatus status) { return kStatusNames[static_cast<int>(status)]; }

void register_analysis_meta() {
  register_coordinates_meta();
  static std::once_flag once;
  std::call_once(once, [] {
    // Another module of this process that holds this code may have done it.
    if (gst_meta_get_info(kMetaName)) return;
    const gchar *no_tags[] = {nullptr};
    gst_meta_register_custom(kMetaName, no_tags, transform_sentinel, nullptr, nullptr);
  });
}

void attach_analysis(GstBuffer *buffer, const FrameAnalysis &analysis, int width, int height) {
  register_analysis_meta();
  if (!analysis.objects.empty()) attach_regions(buffer, analysis, width, height);
  if (GstCustomMeta *old = gst_buffer_get_custom_meta(buffer, kMetaName)) {
    gst_buffer_remove_meta(buffer, &old->meta);
  }
  GstCustomMeta *meta = gst_buffer_add_custom_meta(buffer, kMetaName);
  write_fields(gst_custom_meta_get_structure(meta), analysis);
  attach_coordinates(buffer, width, height);
}

bool has_analysis(GstBuffer *buffer) {
  register_analysis_meta();
  return gst_buffer_get_custom_meta(buffer, kMetaName) != nullptr;
}

std::optional<FrameAnalysis> read_analysis(GstBuffer *buffer) {
  register_analysis_meta();
  GstCustomMeta *meta = gst_buffer_get_custom_meta(buffer, kMetaName);
  return meta ? from_structure(gst_custom_meta_get_structure(meta)) : std::nullopt;
}

GstStructure *to_structure(const FrameAnalysis &analysis, const char *name) {
  GstStructure *structure = gst_structure_new_empty(name);
  write_fields(structure, analysis);
  return structure;
}

std::optional<FrameAnalysis> from_structure(const GstStructure *structure) {
  FrameAnalysis analysis;
  std::string status;
  if (!structure || !get(structure, "status", status)) return std::nullopt;
  const auto name = std::find(kStatusNames.begin(), kStatusNames.end(), status);
  if (name == kStatusNames.end()) return std::nullopt;
  analysis.status = static_cast<AnalysisStatus>(name - kStatusNames.begin());
  const bool complete = gst_structure_get_uint64(structure, "sample-pts", &analysis.sample_pts) &&
                        gst_structure_get_uint64(structure, "age", &analysis.age) &&
                        gst_structure_get_uint64(structure, "serial", &analysis.serial) &&
                        get(structure, "model", analysis.model) &&
                        get_array(structure, "objects", analysis.objects, parse_object) &&
                        get_array(structure, "points", analysis.points, parse_point) &&
                        get_array(structure, "gaze", analysis.gaze, parse_gaze) &&
                        get_array(structure, "answers", analysis.answers, parse_answer);
  if (!complete) return std::nullopt;
  if (gst_structure_has_field(structure, "caption")) {
    std::string caption;
    if (!get(structure, "caption", caption)) return std::nullopt;
    analysis.caption = std::move(caption);
  }
  return analysis;
}

}  // namespace moondream
