// Results of earlier frames, moved by what the picture did since.
#pragma once

#include <gst/gst.h>

#include <map>
#include <memory>
#include <opencv2/core.hpp>
#include <optional>

#include "flow_regions.h"
#include "flow_tracks.h"
#include "frame_sampler.h"

namespace moondream {

// Follows one set of tracks over all frames of a stream and remembers where they were at each
// sampled frame, so that a result that comes late is at once where its objects are now.
// Thread-safety: one thread at a time.
class FlowPropagation {
 public:
  // To be called with the small grey picture of every frame in order. `own` is the sample that was
  // taken of it, or null.
  void frame(const cv::Mat &grey, const Sample *own);

  // Whether the result of this sample is of a scene before a cut: it means nothing now.
  bool is_cut_off(const Sample &sample) const { return sample.serial <= cut_off_; }

  // What a finished sample, of this or of an earlier frame, says of the newest one, boxes grown by
  // `age`. Nothing if its frame was not among those given to frame(), so that nobody knows what
  // moved since. After one sample none of a lower serial may come.
  std::optional<FrameAnalysis> moved(const Sample &sample, GstClockTime age);

  // As a stream begins.
  void clear();

 private:
  // More samples are not in flight. Marks of cancelled ones go with the next result.
  static constexpr std::size_t kMostMarks = 128;

  FlowTracks tracks_;
  std::map<guint64, FlowTracks::Mark> marks_;  // by serial, of the frames of samples in flight
  guint64 newest_ = 0;                         // serial of the last sample seen
  guint64 cut_off_ = 0;                        // it and all lower ones are of earlier scenes
  guint64 moving_ = 0;                         // serial of regions_
  std::optional<FlowRegions> regions_;
};

}  // namespace moondream
