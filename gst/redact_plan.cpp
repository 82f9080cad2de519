#include "redact_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace moondream::redact {
namespace {

// An object that two results show with the same id and at least this IoU is one that stayed.
constexpr double kStayed = 0.3;
// How many times its longer side an object may have moved to where another seems to have stayed.
constexpr double kFarthest = 4;
// Of more pairs of one label that may be the same, all are redacted as one region: a crowd behind a
// camera that turns would take longer than its frames last.
constexpr std::size_t kMostWays = 100;

// A pixel position far outside of every frame is as good as one still farther.
int to_pixel(double value) { return static_cast<int>(std::clamp(value, -1e6, 1e6)); }

Region enclose(double x_min, double y_min, double x_max, double y_max, Shape shape) {
  return {to_pixel(std::floor(x_min)), to_pixel(std::floor(y_min)), to_pixel(std::ceil(x_max)),
          to_pixel(std::ceil(y_max)), shape};
}

double seconds(GstClockTime time) {
  return static_cast<double>(time) / static_cast<double>(GST_SECOND);
}

Box around(const Box &a, const Box &b) {
  return {std::min(a.x_min, b.x_min), std::min(a.y_min, b.y_min), std::max(a.x_max, b.x_max),
          std::max(a.y_max, b.y_max)};
}

double iou(const Box &a, const Box &b) {
  const double width = std::min(a.x_max, b.x_max) - std::max(a.x_min, b.x_min);
  const double height = std::min(a.y_max, b.y_max) - std::max(a.y_min, b.y_min);
  if (width <= 0 || height <= 0) return 0;
  const auto area = [](const Box &box) {
    return (box.x_max - box.x_min) * (box.y_max - box.y_min);
  };
  return width * height / (area(a) + area(b) - width * height);
}

// What may be anything of its label.
struct Movers {
  Finding whole;  // the box around all
  std::size_t lasts = 0, nexts = 0;

  void add(const Finding &finding, std::size_t Movers::*count) {
    const Box box = lasts + nexts > 0 ? around(whole.box, finding.box) : finding.box;
    whole = finding;
    whole.box = box;
    ++(this->*count);
  }
  bool is_crowd() const { return lasts * nexts > kMostWays; }
};

// Between the middles.
double distance(const Box &a, const Box &b) {
  return std::hypot((a.x_min + a.x_max - b.x_min - b.x_max) / 2,
                    (a.y_min + a.y_max - b.y_min - b.y_max) / 2);
}

}  // namespace

void Plan::add(PlannedRegion planned) {
  const auto same = [&](const PlannedRegion &other) { return other.region == planned.region; };
  if (std::none_of(regions_.begin(), regions_.end(), same)) regions_.push_back(std::move(planned));
}

void Plan::add_zones(const std::vector<Box> &zones) {
  for (const Box &zone : zones)
    add({.region = enclose(zone.x_min * width_, zone.y_min * height_, zone.x_max * width_,
                           zone.y_max * height_, Shape::kRectangle),
         .why = "zone"});
}

Region Plan::region_of(const Finding &finding, const Box &box, GstClockTime distance) const {
  const double share = settings_.margin + settings_.margin_growth * seconds(distance);
  const double radius = finding.is_point ? settings_.point_radius * std::min(width_, height_) : 0;
  const double x_min = box.x_min * width_ - radius, x_max = box.x_max * width_ + radius;
  const double y_min = box.y_min * height_ - radius, y_max = box.y_max * height_ + radius;
  const double x = (x_max - x_min) * share + settings_.margin_pixels;
  const double y = (y_max - y_min) * share + settings_.margin_pixels;
  return enclose(x_min - x, y_min - y, x_max + x, y_max + y, settings_.shape);
}

void Plan::add_findings(const Findings &findings, GstClockTime distance) {
  for (const Finding &finding : findings.found)
    add({.region = region_of(finding, finding.box, distance),
         .why = finding.is_point ? "point" : "object",
         .label = finding.label,
         .score = finding.score,
         .serial = findings.serial,
         .age = distance});
}

// ---- Ways ------------------------------------------------------------------------------------

void Plan::add_ways(std::span<const Sighting> before, std::span<const Sighting> after, bool exact) {
  if (before.empty() || after.empty()) return;
  add_ways_of_ids(before, after, exact);
  if (!exact) add_possible_ways(before.front(), after.front());
}

// A rectangle, whatever the shape of objects: the way goes from corner to corner.
void Plan::add_way(const Finding &last, const Sighting &before, const Finding &next,
                   const Sighting &after) {
  Region region =
      region_of(next, around(last.box, next.box), std::min(before.distance, after.distance));
  region.shape = Shape::kRectangle;
  add({.region = region,
       .why = "between",
       .label = next.label,
       .score = next.score,
       .serial = after.findings->serial,
       .age = after.distance});
}

// From where each was seen last to where it is seen next.
void Plan::add_ways_of_ids(std::span<const Sighting> before, std::span<const Sighting> after,
                           bool exact) {
  std::unordered_map<guint, std::pair<const Finding *, const Sighting *>> next;
  for (const Sighting &sighting : after)
    for (const Finding &finding : sighting.findings->found)
      if (finding.id != 0) next.try_emplace(finding.id, &finding, &sighting);
  std::unordered_set<guint> done;
  for (const Sighting &sighting : before) {
    const bool here = exact && &sighting == &before.front();
    for (const Finding &last : sighting.findings->found) {
      if (last.id == 0 || !done.insert(last.id).second || here) continue;
      const auto found = next.find(last.id);
      if (found == next.end()) continue;
      const auto [finding, place] = found->second;
      add_way(last, sighting, *finding, *place);
    }
  }
}

// Ids are guesses, and the faster things move the worse ones. Whatever seems to have stayed where
// it was is taken for known; all else may be any of the rest.
void Plan::add_possible_ways(const Sighting &before, const Sighting &after) {
  const std::vector<Finding> &lasts = before.findings->found, &nexts = after.findings->found;
  std::vector<bool> last_stayed(lasts.size()), next_stayed(nexts.size());
  std::unordered_map<guint, std::size_t> by_id;
  for (std::size_t i = 0; i < lasts.size(); ++i) by_id.try_emplace(lasts[i].id, i);
  for (std::size_t i = 0; i < nexts.size(); ++i) {
    const auto last = by_id.find(nexts[i].id);
    if (nexts[i].id == 0 || last == by_id.end()) continue;
    if (stayed(lasts[last->second], nexts[i])) last_stayed[last->second] = next_stayed[i] = true;
  }
  std::map<std::pair<std::string, bool>, Movers> movers;
  const auto movers_of = [&](const Finding &finding) -> Movers & {
    return movers[{finding.label, finding.is_point}];
  };
  for (std::size_t i = 0; i < lasts.size(); ++i)
    if (!last_stayed[i]) movers_of(lasts[i]).add(lasts[i], &Movers::lasts);
  for (std::size_t i = 0; i < nexts.size(); ++i)
    if (!next_stayed[i]) movers_of(nexts[i]).add(nexts[i], &Movers::nexts);

  for (std::size_t i = 0; i < lasts.size(); ++i) {
    for (std::size_t j = 0; j < nexts.size(); ++j) {
      const Finding &last = lasts[i], &next = nexts[j];
      if (last.is_point != next.is_point || last.label != next.label) continue;
      if (last_stayed[i] && next_stayed[j]) continue;
      const bool one_stayed = last_stayed[i] || next_stayed[j];
      if (one_stayed && distance(last.box, next.box) > kFarthest * side_of(last)) continue;
      if (!one_stayed && movers_of(last).is_crowd()) continue;
      add_way(last, before, next, after);
    }
  }
  for (const auto &[kind, all] : movers)
    if (all.is_crowd()) add_way(all.whole, before, all.whole, after);
}

bool Plan::stayed(const Finding &last, const Finding &next) const {
  return next.is_point ? distance(last.box, next.box) <= settings_.point_radius
                       : iou(last.box, next.box) >= kStayed;
}

// Of an object or of what is redacted around a point, fractions of the frame.
double Plan::side_of(const Finding &finding) const {
  return std::max({finding.box.x_max - finding.box.x_min, finding.box.y_max - finding.box.y_min,
                   finding.is_point ? 2 * settings_.point_radius : 0});
}

// ---- Styles ----------------------------------------------------------------------------------

int block_of(const Region &region, const Settings &settings) {
  const int shorter = std::min(region.x_max - region.x_min, region.y_max - region.y_min);
  return std::max(static_cast<int>(settings.min_block),
                  static_cast<int>(std::ceil(settings.block_size * shorter)));
}

}  // namespace moondream::redact
