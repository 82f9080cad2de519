#include "matching.h"

#include <algorithm>

namespace scenes {

double intersection_over_union(const moondream::Box &a, const moondream::Box &b) {
  const auto area = [](double x_min, double y_min, double x_max, double y_max) {
    return std::max(0.0, x_max - x_min) * std::max(0.0, y_max - y_min);
  };
  const double shared = area(std::max(a.x_min, b.x_min), std::max(a.y_min, b.y_min),
                             std::min(a.x_max, b.x_max), std::min(a.y_max, b.y_max));
  const double covered =
      area(a.x_min, a.y_min, a.x_max, a.y_max) + area(b.x_min, b.y_min, b.x_max, b.y_max) - shared;
  return covered > 0 ? shared / covered : 0;
}

double Agreement::precision() const { return found ? static_cast<double>(matched) / found : 0; }
double Agreement::recall() const { return existing ? static_cast<double>(matched) / existing : 0; }
double Agreement::mean_iou() const { return matched ? iou_sum / matched : 0; }

Agreement &Agreement::operator+=(const Agreement &other) {
  found += other.found;
  existing += other.existing;
  matched += other.matched;
  iou_sum += other.iou_sum;
  return *this;
}

Agreement match(std::span<const moondream::Box> found, std::span<const moondream::Box> existing,
                double min_iou) {
  struct Pair {
    double iou;
    std::size_t found, existing;
  };
  std::vector<Pair> pairs;
  for (std::size_t f = 0; f < found.size(); ++f) {
    for (std::size_t e = 0; e < existing.size(); ++e) {
      const double iou = intersection_over_union(found[f], existing[e]);
      if (iou >= min_iou) pairs.push_back({iou, f, e});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair &a, const Pair &b) { return a.iou > b.iou; });

  Agreement agreement{.found = static_cast<int>(found.size()),
                      .existing = static_cast<int>(existing.size())};
  std::vector<bool> found_taken(found.size()), existing_taken(existing.size());
  for (const Pair &pair : pairs) {
    if (found_taken[pair.found] || existing_taken[pair.existing]) continue;
    found_taken[pair.found] = existing_taken[pair.existing] = true;
    ++agreement.matched;
    agreement.iou_sum += pair.iou;
  }
  return agreement;
}

std::vector<moondream::Box> boxes_of(std::span<const LabelledBox> objects,
                                     const std::string &label) {
  std::vector<moondream::Box> boxes;
  for (const LabelledBox &object : objects) {
    if (object.label == label) boxes.push_back(object.box);
  }
  return boxes;
}

}  // namespace scenes
