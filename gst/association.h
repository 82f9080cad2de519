// Which objects of successive results are the same one.
#pragma once

#include <gst/gst.h>

#include <cstddef>
#include <string>
#include <vector>

#include "gstmoondreammeta.h"

namespace moondream {

// Gives the objects and points of one stream ids that stay with them from result to result. Ids
// begin at 1, are shared by objects and points, and none is given twice.
//
// Two boxes may be the same object only if they have the same label. How alike they are is
//   1 + IoU      if their IoU is at least kMinIou, else
//   1 - d / D    if that is above 0 and neither has more than four times the other's area,
// where d is the distance of their centres and D the mean of their diagonals, or kPointReach for
// points. A known box is compared where it should be by now: moved on as it moved between its last
// two sightings, by its diagonal (or kPointReach) at most, or where relocate() said. The most alike
// pair is taken first, then the most alike of what is left, and so on; of equal ones that with the
// lower id, then that with the earlier object. What finds no partner is new.
//
// So that thousands of boxes cost little, one is compared with no more than the kWindow known ones
// of its label on either side whose centres are nearest to its own in x, and only its kCandidates
// best are remembered.
//
// An object is lost when no result has shown it for more than kLost, unless the result before this
// one did: then it is compared however long ago that was.
//
// Thread-safety: one thread at a time.
class Association {
 public:
  static constexpr double kMinIou = 0.2;
  static constexpr double kPointReach = 0.1;  // of the frame
  static constexpr GstClockTime kLost = 3 * GST_SECOND;
  static constexpr std::size_t kWindow = 256;
  static constexpr std::size_t kCandidates = 16;

  // Sets id and first_seen of each object and the id of each point. `analysis` says where they are
  // at `time`, which may be GST_CLOCK_TIME_NONE: then nothing is assumed to have moved, and what
  // the result before did not show is lost.
  void identify(FrameAnalysis &analysis, GstClockTime time);

  // Says where those with known ids are at `time`, from a better source than their last motion.
  void relocate(const FrameAnalysis &analysis, GstClockTime time);

  // Whatever comes next is new.
  void forget();

 private:
  struct Known {
    guint id;
    std::string label;
    Box box;                                        // a point is a box without size
    GstClockTime time = GST_CLOCK_TIME_NONE;        // that it was there
    double velocity_x = 0, velocity_y = 0;          // of its centre, fractions per ns
    GstClockTime seen = GST_CLOCK_TIME_NONE;        // by a result, last
    GstClockTime first_seen = GST_CLOCK_TIME_NONE;  // by a result
    bool in_last_result = true;
  };
  struct Seen {
    const std::string *label;
    Box box;
    std::size_t known = 0;  // position among the known ones, once identified
  };

  void identify(std::vector<Known> &all_known, std::vector<Seen> &seen, GstClockTime time);
  void see(std::vector<Known> &all_known, Seen &seen, std::size_t known, GstClockTime time);

  guint last_id_ = 0;
  std::vector<Known> objects_, points_;
};

}  // namespace moondream
