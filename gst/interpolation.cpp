#include "interpolation.h"

#include <cmath>
#include <limits>
#include <unordered_map>

namespace moondream {
namespace {

constexpr double kGazeReach = 0.1;  // of the frame

Point between(const Point &a, const Point &b, double t) {
  return {std::lerp(a.x, b.x, t), std::lerp(a.y, b.y, t)};
}

Box between(const Box &a, const Box &b, double t) {
  return {std::lerp(a.x_min, b.x_min, t), std::lerp(a.y_min, b.y_min, t),
          std::lerp(a.x_max, b.x_max, t), std::lerp(a.y_max, b.y_max, t)};
}

void interpolate(AnalysisObject &from, const AnalysisObject &to, double t) {
  from.box = between(from.box, to.box, t);
}

void interpolate(AnalysisPoint &from, const AnalysisPoint &to, double t) {
  from.point = between(from.point, to.point, t);
}

template <typename Item>
std::vector<Item> by_id(std::vector<Item> items, const std::vector<Item> &after, double t) {
  std::unordered_map<guint, std::size_t> places;
  for (std::size_t i = 0; i < items.size(); ++i) places.emplace(items[i].id, i);
  for (const Item &item : after) {
    const auto place = places.find(item.id);
    if (place == places.end()) {
      items.push_back(item);
    } else {
      interpolate(items[place->second], item, t);
    }
  }
  return items;
}

std::vector<AnalysisGaze> nearest(std::vector<AnalysisGaze> gazes,
                                  const std::vector<AnalysisGaze> &after, double t) {
  const std::vector<AnalysisGaze> before = gazes;
  std::vector<bool> matched(before.size()), taken(after.size());
  const auto distance = [&](std::size_t a, std::size_t b) {
    return std::hypot(before[a].from.x - after[b].from.x, before[a].from.y - after[b].from.y);
  };
  for (bool more = true; more;) {
    more = false;
    std::size_t best_a = 0, best_b = 0;
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t a = 0; a < before.size(); ++a) {
      for (std::size_t b = 0; b < after.size() && !matched[a]; ++b) {
        if (taken[b] || distance(a, b) > kGazeReach || distance(a, b) >= best) continue;
        more = true;
        best = distance(a, b);
        best_a = a;
        best_b = b;
      }
    }
    if (!more) break;
    matched[best_a] = taken[best_b] = true;
    gazes[best_a] = {between(before[best_a].from, after[best_b].from, t),
                     between(before[best_a].to, after[best_b].to, t)};
  }
  for (std::size_t b = 0; b < after.size(); ++b) {
    if (!taken[b]) gazes.push_back(after[b]);
  }
  return gazes;
}

}  // namespace

FrameAnalysis interpolated(const FrameAnalysis &before, const FrameAnalysis &after,
                           double fraction) {
  FrameAnalysis frame = before;
  frame.status = AnalysisStatus::kPredicted;
  frame.objects = by_id(before.objects, after.objects, fraction);
  frame.points = by_id(before.points, after.points, fraction);
  frame.gaze = nearest(before.gaze, after.gaze, fraction);
  return frame;
}

}  // namespace moondream
