#include "association.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <unordered_map>

namespace moondream {
namespace {

constexpr double kMaxAreaRatio = 4;

Point centre(const Box &box) { return {(box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2}; }

double diagonal(const Box &box) { return std::hypot(box.x_max - box.x_min, box.y_max - box.y_min); }

double area(const Box &box) { return (box.x_max - box.x_min) * (box.y_max - box.y_min); }

double iou(const Box &a, const Box &b) {
  const double width = std::min(a.x_max, b.x_max) - std::max(a.x_min, b.x_min);
  const double height = std::min(a.y_max, b.y_max) - std::max(a.y_min, b.y_min);
  if (width <= 0 || height <= 0) return 0;
  const double common = width * height;
  return common / (area(a) + area(b) - common);
}

// How far a box may be from another and be taken for it.
double reach(double a, double b) {
  const double mean = (a + b) / 2;
  return mean > 0 ? mean : Association::kPointReach;
}

// As the header says; 0 or less: not the same.
double likeness(const Box &a, const Box &b) {
  const double overlap = iou(a, b);
  if (overlap >= Association::kMinIou) return 1 + overlap;
  const double area_a = area(a), area_b = area(b);
  if (std::max(area_a, area_b) > kMaxAreaRatio * std::min(area_a, area_b)) return 0;
  const Point from = centre(a), to = centre(b);
  return 1 - std::hypot(to.x - from.x, to.y - from.y) / reach(diagonal(a), diagonal(b));
}

// Nanoseconds, negative when the stream plays backwards; 0 if one of them is not known.
double since(GstClockTime from, GstClockTime to) {
  if (!GST_CLOCK_TIME_IS_VALID(from) || !GST_CLOCK_TIME_IS_VALID(to)) return 0;
  return static_cast<double>(GST_CLOCK_DIFF(from, to));
}

struct Pair {
  double likeness;
  guint id;
  std::size_t seen, known;
};

bool before(const Pair &a, const Pair &b) {
  return std::tuple(-a.likeness, a.id, a.seen) < std::tuple(-b.likeness, b.id, b.seen);
}

}  // namespace

void Association::see(std::vector<Known> &all_known, Seen &seen, std::size_t known,
                      GstClockTime time) {
  Known &object = all_known[known];
  const double passed = since(object.time, time);
  const Point from = centre(object.box), to = centre(seen.box);
  object.velocity_x = passed == 0 ? 0 : (to.x - from.x) / passed;
  object.velocity_y = passed == 0 ? 0 : (to.y - from.y) / passed;
  object.box = seen.box;
  object.time = object.seen = time;
  object.in_last_result = true;
  seen.known = known;
}

void Association::identify(std::vector<Known> &all_known, std::vector<Seen> &seen,
                           GstClockTime time) {
  std::erase_if(all_known, [&](const Known &object) {
    const bool timed = GST_CLOCK_TIME_IS_VALID(time) && GST_CLOCK_TIME_IS_VALID(object.seen);
    const bool recent = timed && std::abs(since(object.seen, time)) <= static_cast<double>(kLost);
    return !object.in_last_result && !recent;
  });

  // Where they should be by now, in the order of label and place.
  std::vector<Box> expected;
  for (Known &object : all_known) {
    object.in_last_result = false;
    const double passed = since(object.time, time);
    double x = object.velocity_x * passed, y = object.velocity_y * passed;
    const double length = std::hypot(x, y);
    const double size = diagonal(object.box);
    const double most = reach(size, size);
    if (length > most) {
      x *= most / length;
      y *= most / length;
    }
    const Box &box = object.box;
    expected.push_back({box.x_min + x, box.y_min + y, box.x_max + x, box.y_max + y});
  }
  std::vector<std::size_t> order(all_known.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto place = [&](std::size_t known) {
    return std::tuple<const std::string &, double>(all_known[known].label,
                                                   centre(expected[known]).x);
  };
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return place(a) < place(b); });

  std::vector<Pair> pairs, candidates;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const std::tuple<const std::string &, double> own(*seen[i].label, centre(seen[i].box).x);
    const auto middle = std::lower_bound(
        order.begin(), order.end(), own,
        [&](std::size_t known, const auto &value) { return place(known) < value; });
    candidates.clear();
    // False: of another label.
    const auto compare = [&](std::size_t known) {
      if (all_known[known].label != *seen[i].label) return false;
      const double like = likeness(expected[known], seen[i].box);
      if (like > 0) candidates.push_back({like, all_known[known].id, i, known});
      return true;
    };
    std::size_t left = kWindow;
    for (auto it = middle; it != order.end() && left-- > 0 && compare(*it); ++it) {
    }
    left = kWindow;
    for (auto it = middle; it != order.begin() && left-- > 0 && compare(*--it);) {
    }
    const auto kept = static_cast<std::ptrdiff_t>(std::min(candidates.size(), kCandidates));
    std::partial_sort(candidates.begin(), candidates.begin() + kept, candidates.end(), before);
    pairs.insert(pairs.end(), candidates.begin(), candidates.begin() + kept);
  }
  std::sort(pairs.begin(), pairs.end(), before);

  std::vector<bool> identified(seen.size()), taken(all_known.size());
  for (const Pair &pair : pairs) {
    if (identified[pair.seen] || taken[pair.known]) continue;
    identified[pair.seen] = taken[pair.known] = true;
    see(all_known, seen[pair.seen], pair.known, time);
  }
  for (std::size_t i = 0; i < seen.size(); ++i) {
    if (identified[i]) continue;
    all_known.push_back({.id = ++last_id_,
                         .label = *seen[i].label,
                         .box = seen[i].box,
                         .time = time,
                         .first_seen = time});
    see(all_known, seen[i], all_known.size() - 1, time);
  }
}

void Association::identify(FrameAnalysis &analysis, GstClockTime time) {
  std::vector<Seen> seen;
  for (const AnalysisObject &object : analysis.objects) seen.push_back({&object.label, object.box});
  identify(objects_, seen, time);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    analysis.objects[i].id = objects_[seen[i].known].id;
    analysis.objects[i].first_seen = objects_[seen[i].known].first_seen;
  }
  seen.clear();
  for (const AnalysisPoint &found : analysis.points) {
    const Point &point = found.point;
    seen.push_back({&found.label, {point.x, point.y, point.x, point.y}});
  }
  identify(points_, seen, time);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    analysis.points[i].id = points_[seen[i].known].id;
  }
}

void Association::relocate(const FrameAnalysis &analysis, GstClockTime time) {
  std::unordered_map<guint, Box> places;
  for (const AnalysisObject &object : analysis.objects) places.emplace(object.id, object.box);
  for (const AnalysisPoint &found : analysis.points) {
    const Point &point = found.point;
    places.emplace(found.id, Box{point.x, point.y, point.x, point.y});
  }
  for (std::vector<Known> *all_known : {&objects_, &points_}) {
    for (Known &known : *all_known) {
      const auto place = places.find(known.id);
      if (place == places.end()) continue;
      known.box = place->second;
      known.time = time;
      known.velocity_x = known.velocity_y = 0;
    }
  }
}

void Association::forget() {
  objects_.clear();
  points_.clear();
}

}  // namespace moondream
