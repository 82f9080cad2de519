#include "overlay_analysis.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace moondream::overlay {
namespace {

// Pixels that are less square than this are taken for a mistake in the caps.
constexpr double kMaxPixelAspect = 8;

bool is_drawn(const FrameAnalysis &analysis, GstClockTime max_age) {
  switch (analysis.status) {
    case AnalysisStatus::kFresh:
      return true;
    case AnalysisStatus::kHeld:
    case AnalysisStatus::kPredicted:
      // An unknown age is the largest number.
      return max_age == GST_CLOCK_TIME_NONE || analysis.age <= max_age;
    case AnalysisStatus::kPending:
    case AnalysisStatus::kFailed:
      return false;
  }
  return false;
}

// `id` 0: none.
Paragraph make_tag(const std::string &label, double score, guint id, const Settings &settings) {
  Paragraph tag;
  if (settings.draw_labels && !label.empty()) tag.push_back({label});
  if (settings.draw_scores && std::isfinite(score))
    tag.push_back({std::to_string(std::lround(std::clamp(score, 0.0, 1.0) * 100)) + "%"});
  if (settings.draw_ids && id != 0) tag.push_back({"#" + std::to_string(id)});
  return tag;
}

void add_places(Scene *scene, const FrameAnalysis &analysis, const Settings &settings) {
  for (const AnalysisObject &object : analysis.objects) {
    const PixelRect box = pixels_of(object.box, scene->width, scene->height);
    if (box.empty()) continue;
    scene->boxes.push_back(
        {box, object.label, make_tag(object.label, object.score, object.id, settings)});
  }
  for (const AnalysisPoint &found : analysis.points) {
    ScenePoint point = {.label = found.label,
                        .tag = make_tag(found.label, found.score, found.id, settings)};
    if (pixel_of(found.point, scene->width, scene->height, &point.x, &point.y))
      scene->points.push_back(std::move(point));
  }
  for (const AnalysisGaze &gaze : analysis.gaze) {
    SceneRay ray;
    if (pixel_of(gaze.from, scene->width, scene->height, &ray.x0, &ray.y0) &&
        pixel_of(gaze.to, scene->width, scene->height, &ray.x1, &ray.y1))
      scene->rays.push_back(ray);
  }
}

}  // namespace

Scene make_scene(const FrameAnalysis &analysis, const Settings &settings, const GstVideoInfo &info,
                 bool placed) {
  Scene scene;
  scene.width = GST_VIDEO_INFO_WIDTH(&info);
  scene.height = GST_VIDEO_INFO_HEIGHT(&info);
  scene.pixel_aspect =
      std::clamp(static_cast<double>(GST_VIDEO_INFO_PAR_N(&info)) / GST_VIDEO_INFO_PAR_D(&info),
                 1 / kMaxPixelAspect, kMaxPixelAspect);
  scene.font = settings.font;
  scene.line_width = static_cast<int>(settings.line_width);
  if (!is_drawn(analysis, settings.max_age)) return scene;

  if (placed) add_places(&scene, analysis, settings);
  if (settings.draw_caption) {
    if (analysis.caption && !analysis.caption->empty())
      scene.panel.push_back({TextRun{*analysis.caption}});
    for (const AnalysisAnswer &answer : analysis.answers)
      scene.panel.push_back(
          {TextRun{.text = answer.question, .quiet = true}, TextRun{.text = answer.answer}});
  }
  return scene;
}

}  // namespace moondream::overlay
