// How well found boxes agree with true ones.
#pragma once

#include <span>
#include <vector>

#include "scene.h"

namespace scenes {

// Area that two boxes share over the area that they cover together, [0, 1]; 0 if that is nothing.
double intersection_over_union(const moondream::Box &a, const moondream::Box &b);

// Counts over any number of frames; add them up with +=.
struct Agreement {
  int found = 0;       // boxes that were found
  int existing = 0;    // boxes that there are
  int matched = 0;     // pairs of the two
  double iou_sum = 0;  // over the pairs

  // Each is 0 where it would be a division by 0.
  double precision() const;  // share of the found boxes that exist
  double recall() const;     // share of the existing boxes that were found
  double mean_iou() const;   // of the pairs

  Agreement &operator+=(const Agreement &other);
};

// Compares the boxes of one label in one frame; labels are not looked at. Pairs are made in the
// order of falling IoU, each box in one pair at most, while the IoU is at least `min_iou`.
Agreement match(std::span<const moondream::Box> found, std::span<const moondream::Box> existing,
                double min_iou = 0.5);

// The boxes of one label, in order.
std::vector<moondream::Box> boxes_of(std::span<const LabelledBox> objects,
                                     const std::string &label);

}  // namespace scenes
