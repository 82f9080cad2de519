// Which pixels of a frame are to be redacted, and why.
// Thread-safety: safe.
#pragma once

#include <gst/gst.h>

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

// Regions of one frame, without those that are there already.
class Plan {
 public:
  Plan(const Settings &settings, int width, int height)
      : settings_(settings), width_(width), height_(height) {}

  void add_zones(const std::vector<Box> &zones);

  // What was found `distance` away in time, at most.
  void add_findings(const Findings &findings, GstClockTime distance);

  // What was found on a frame before and on one after this one: the box around each pair of
  // objects that may be the same. They are it if they have the same id, else if they are nearest to
  // each other among those of the same label, and not too far.
  void add_between(const Findings &before, GstClockTime since, const Findings &after,
                   GstClockTime until);

  const std::vector<PlannedRegion> &regions() const { return regions_; }

 private:
  void add(PlannedRegion region);
  Region region_of(const Finding &finding, const Box &box, GstClockTime distance) const;

  const Settings &settings_;
  const int width_, height_;
  std::vector<PlannedRegion> regions_;
};

// The side of the cells of a mosaic or blur on `region`, pixels.
int block_of(const Region &region, const Settings &settings);

}  // namespace moondream::redact
