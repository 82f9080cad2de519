#include "redact_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace moondream::redact {
namespace {

// Objects that moved further than so many times their longer side between two results are taken for
// two objects, unless their ids say otherwise.
constexpr double kFarthest = 2;

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

void Plan::add_between(const Findings &before, GstClockTime since, const Findings &after,
                       GstClockTime until) {
  for (const Finding &next : after.found) {
    const Finding *nearest = nullptr;
    double least = 0;
    for (const Finding &last : before.found) {
      if (last.is_point != next.is_point || last.label != next.label) continue;
      const double x = (last.box.x_min + last.box.x_max - next.box.x_min - next.box.x_max) / 2;
      const double y = (last.box.y_min + last.box.y_max - next.box.y_min - next.box.y_max) / 2;
      const double side = std::max({last.box.x_max - last.box.x_min,
                                    last.box.y_max - last.box.y_min, 2 * settings_.point_radius});
      const bool same = last.id != 0 && last.id == next.id;
      const double distance = same ? -1 : std::hypot(x, y);
      if (!same && distance > kFarthest * side) continue;
      if (!nearest || distance < least) {
        nearest = &last;
        least = distance;
      }
    }
    if (!nearest) continue;
    add({.region = region_of(next, around(nearest->box, next.box), std::min(since, until)),
         .why = "between",
         .label = next.label,
         .score = next.score,
         .serial = after.serial,
         .age = until});
  }
}

int block_of(const Region &region, const Settings &settings) {
  const int shorter = std::min(region.x_max - region.x_min, region.y_max - region.y_min);
  return std::max(static_cast<int>(settings.min_block),
                  static_cast<int>(std::ceil(settings.block_size * shorter)));
}

}  // namespace moondream::redact
