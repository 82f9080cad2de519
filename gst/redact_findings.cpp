#include "redact_findings.h"

#ifdef HAVE_ANALYTICS
#include <gst/analytics/analytics.h>
#endif

#include <cmath>
#include <set>

#include "coordinates.h"
#include "pointers.h"

namespace moondream::redact {
namespace {

std::string folded(const std::string &text) {
  const TextPtr valid(g_utf8_make_valid(text.c_str(), -1));
  g_strstrip(valid.get());
  return TextPtr(g_utf8_casefold(valid.get(), -1)).get();
}

std::set<std::string> label_set(const std::string &list) {
  std::set<std::string> labels;
  std::size_t begin = 0;
  while (begin <= list.size()) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const std::string label = folded(list.substr(begin, end - begin));
    if (!label.empty()) labels.insert(label);
    begin = end + 1;
  }
  return labels;
}

// What the user wants covered. What cannot be compared is covered.
class Wanted {
 public:
  Wanted(const Settings &settings, const GstVideoInfo &info)
      : settings_(settings),
        labels_(label_set(settings.labels)),
        width_(GST_VIDEO_INFO_WIDTH(&info)),
        height_(GST_VIDEO_INFO_HEIGHT(&info)) {}

  bool operator()(const Finding &finding) const {
    if (finding.score < settings_.min_score) return false;
    if (!labels_.empty() && !labels_.contains(folded(finding.label))) return false;
    if (finding.is_point) return settings_.point_radius > 0;
    const Box &box = finding.box;
    return !((box.x_max - box.x_min) * width_ < settings_.min_size &&
             (box.y_max - box.y_min) * height_ < settings_.min_size);
  }

  int width() const { return width_; }
  int height() const { return height_; }

 private:
  const Settings &settings_;
  const std::set<std::string> labels_;
  const int width_, height_;
};

void add(Findings *findings, const Wanted &wanted, Finding finding) {
  if (wanted(finding)) findings->found.push_back(std::move(finding));
}

Missing missing_of(const FrameAnalysis &analysis, GstClockTime max_age) {
  switch (analysis.status) {
    case AnalysisStatus::kFresh:
      return Missing::kNothing;
    case AnalysisStatus::kHeld:
    case AnalysisStatus::kPredicted:
      // An unknown age is the largest number.
      return max_age == GST_CLOCK_TIME_NONE || analysis.age <= max_age ? Missing::kNothing
                                                                       : Missing::kTooOld;
    case AnalysisStatus::kPending:
      return Missing::kPending;
    case AnalysisStatus::kFailed:
      return Missing::kFailed;
  }
  return Missing::kMalformed;
}

void find_moondream(GstBuffer *buffer, const Settings &settings, const Wanted &wanted,
                    Findings *findings) {
  const std::optional<FrameAnalysis> analysis = read_analysis(buffer);
  if (!analysis) {
    findings->missing = has_analysis(buffer) ? Missing::kMalformed : Missing::kNoSentinel;
    return;
  }
  findings->missing = missing_of(*analysis, settings.max_age);
  findings->status = to_string(analysis->status);
  findings->serial = analysis->serial;
  findings->moves = analysis->status == AnalysisStatus::kPredicted;
  if (analysis->status != AnalysisStatus::kFresh) {
    findings->age_is_unknown = !GST_CLOCK_TIME_IS_VALID(analysis->age);
    if (!findings->age_is_unknown) findings->age = analysis->age;
  }
  const auto drift = drift_of(buffer, wanted.width(), wanted.height());
  if (!drift && findings->missing == Missing::kNothing) findings->missing = Missing::kUnplaced;
  const Drift room = drift.value_or(Drift{});
  for (const AnalysisObject &object : analysis->objects)
    add(findings, wanted,
        {.box = widened(object.box, room),
         .label = object.label,
         .score = object.score,
         .id = object.id});
  for (const AnalysisPoint &point : analysis->points)
    add(findings, wanted,
        {.box = widened({point.point.x, point.point.y, point.point.x, point.point.y}, room),
         .is_point = true,
         .label = point.label,
         .score = point.score,
         .id = point.id});
}

// True if the buffer has any.
bool find_rois(GstBuffer *buffer, const Wanted &wanted, Findings *findings) {
  bool any = false;
  gpointer state = nullptr;
  while (GstMeta *meta = gst_buffer_iterate_meta_filtered(
             buffer, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)) {
    auto *roi = reinterpret_cast<GstVideoRegionOfInterestMeta *>(meta);
    any = true;
    const double x = roi->x, y = roi->y, width = wanted.width(), height = wanted.height();
    const gchar *type = g_quark_to_string(roi->roi_type);
    Finding finding{.box = {x / width, y / height, (x + roi->w) / width, (y + roi->h) / height},
                    .label = type ? type : ""};
    const GstStructure *detection = gst_video_region_of_interest_meta_get_param(roi, "detection");
    if (detection) gst_structure_get_double(detection, "confidence", &finding.score);
    add(findings, wanted, std::move(finding));
  }
  return any;
}

#ifdef HAVE_ANALYTICS
bool find_analytics(GstBuffer *buffer, const Wanted &wanted, Findings *findings) {
  GstAnalyticsRelationMeta *relations = gst_buffer_get_analytics_relation_meta(buffer);
  if (!relations) return false;
  bool any = false;
  gpointer state = nullptr;
  GstAnalyticsMtd mtd;
  while (gst_analytics_relation_meta_iterate(relations, &state, gst_analytics_od_mtd_get_mtd_type(),
                                             &mtd)) {
    gint x, y, w, h;
    gfloat score;
    if (!gst_analytics_od_mtd_get_location(&mtd, &x, &y, &w, &h, &score)) continue;
    any = true;
    const gchar *type = g_quark_to_string(gst_analytics_od_mtd_get_obj_type(&mtd));
    const double width = wanted.width(), height = wanted.height();
    add(findings, wanted,
        {.box = {x / width, y / height, (double{0} + x + w) / width, (double{0} + y + h) / height},
         .label = type ? type : "",
         .score = score});
  }
  return any;
}
#else
bool find_analytics(GstBuffer *, const Wanted &, Findings *) { return false; }
#endif

}  // namespace

const char *to_string(Missing missing) {
  switch (missing) {
    case Missing::kNothing:
      break;
    case Missing::kNoSentinel:
      return "no-sentinel";
    case Missing::kNoMeta:
      return "no-meta";
    case Missing::kMalformed:
      return "malformed";
    case Missing::kPending:
      return "pending";
    case Missing::kFailed:
      return "failed";
    case Missing::kTooOld:
      return "too-old";
    case Missing::kUnplaced:
      return "unplaced";
    case Missing::kNoRoom:
      return "no-room";
    case Missing::kCutShort:
      return "cut-short";
  }
  return "nothing";
}

Findings find(GstBuffer *buffer, const GstVideoInfo &info, const Settings &settings) {
  Findings findings;
  const Wanted wanted(settings, info);
  const bool sentinel = settings.source & kFromMoondream;
  if (sentinel) find_moondream(buffer, settings, wanted, &findings);
  bool any = false;
  if (settings.source & kFromRoi) any = find_rois(buffer, wanted, &findings) || any;
  if (settings.source & kFromAnalytics) any = find_analytics(buffer, wanted, &findings) || any;
  if (!sentinel && !any) findings.missing = Missing::kNoMeta;
  // A scaler that adds borders moves regions as if it did not, up to GStreamer 1.26.
  if (!sentinel && any && has_analysis(buffer) &&
      !drift_of(buffer, wanted.width(), wanted.height()))
    findings.missing = Missing::kUnplaced;
  return findings;
}

}  // namespace moondream::redact
