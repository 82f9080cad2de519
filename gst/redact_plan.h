// Which pixels of a frame are to be redacted, and why.
// Thread-safety: safe.
#pragma once

#include <gst/gst.h>

#include <span>
#include <string>
#include <vector>

#include "redact_findings.h"
#include "redact_region.h"
#include "redact_settings.h"

namespace moondream::redact {

struct PlannedRegion {
  Region region;
  const char *why = "";  // "object", "point", "zone" or "between". Static
  std::string label;
  double score = 1;
  guint64 serial = 0;    // of the result, 0: none
  GstClockTime age = 0;  // from the result to this frame, or from this frame to the result
};

// A result on another frame.
struct Sighting {
  const Findings *findings;  // borrowed
  GstClockTime distance;     // in time, between that frame and this one
};

// Regions of one frame, without those that are there already.
class Plan {
 public:
  Plan(const Settings &settings, int width, int height)
      : settings_(settings), width_(width), height_(height) {}

  void add_zones(const std::vector<Box> &zones);

  // What was found `distance` away in time, at most.
  void add_findings(const Findings &findings, GstClockTime distance);

  // The ways of what was found before a frame and is found again after it. `before` begins with the
  // frame's own result and goes back in time from there; `after` goes forward. `exact`: that
  // result is about this very frame, so that what it found is where it says.
  //
  // Objects and points of the same id are the same one: a result between the two that missed it
  // does not matter. But ids are guesses. So each object of the frame's own result that the next
  // does not show with the same id and about where it was may be any of the next result's that the
  // own one did not show so either, and any other that is near; and the other way round. The box
  // around each such pair of a label is redacted.
  void add_ways(std::span<const Sighting> before, std::span<const Sighting> after, bool exact);

  const std::vector<PlannedRegion> &regions() const { return regions_; }

 private:
  void add(PlannedRegion region);
  void add_way(const Finding &last, const Sighting &before, const Finding &next,
               const Sighting &after);
  void add_ways_of_ids(std::span<const Sighting> before, std::span<const Sighting> after,
                       bool exact);
  void add_possible_ways(const Sighting &before, const Sighting &after);
  bool stayed(const Finding &last, const Finding &next) const;
  double side_of(const Finding &finding) const;
  Region region_of(const Finding &finding, const Box &box, GstClockTime distance) const;

  const Settings &settings_;
  const int width_, height_;
  std::vector<PlannedRegion> regions_;
};

// The side of the cells of a mosaic or blur on `region`, pixels.
int block_of(const Region &region, const Settings &settings);

}  // namespace moondream::redact
