// Moves boxes and points of an earlier frame to where the tracks of their picture went.
#pragma once

#include <gst/gst.h>

#include <cstddef>
#include <opencv2/core.hpp>
#include <vector>

#include "flow_tracks.h"
#include "gstmoondreammeta.h"

namespace moondream {

// A similarity: `centre` goes to `centre + step`, and what is around it grows `scale` times.
struct Similarity {
  cv::Point2f centre, step;  // pixels
  float scale = 1;

  cv::Point2f operator()(cv::Point2f at) const { return centre + step + scale * (at - centre); }
};

// The median of the tracks' steps, and of the ratios by which the distances between them changed.
// Up to a half of the tracks may go anywhere. Fewer than four tell no scale; none tell that nothing
// moved.
Similarity median_motion(const std::vector<TrackMotion> &tracks);

// One result on its way from the frame that it is about to the frames after it.
//
// A box follows its own tracks: those in its middle 80 % if there are six, else all inside it; of
// those, where at least three are in no other box, only they; and of those, where at least three
// and a quarter go elsewhere than the background does, only they, for those of the background that
// shows beside the object stand still. It moves by their median motion. In each frame those that
// have left that motion by more than 2 pixels or a tenth of the box's diagonal are dropped. A box
// with fewer than three tracks of its own has nothing to go by and moves as the background does at
// its place: the median motion of all tracks in no box.
//
// A box is gone when four fifths of its tracks, and all but two of them, are; or when less than a
// tenth of it is in the frame. A point, and each end of a gaze, follows the five tracks that are
// nearest to it within 16 pixels by the median of their steps, or the background, if there are
// fewer than two; it is gone when none of its tracks is left or it leaves the frame.
//
// Thread-safety: one thread at a time.
class FlowRegions {
 public:
  // What each side of a box moves outwards in a second, in widths or heights of the box: nothing
  // knows for sure where it is now.
  static constexpr double kGrowth = 0.02;

  // `mark` is of the frame that `result` is about, `tracks` those since the mark.
  FlowRegions(FrameAnalysis result, const FlowTracks::Mark &mark, const FlowTracks &tracks);

  // Goes on to the newest frame of `tracks`. What is gone stays so.
  void advance(const FlowTracks &tracks);

  // The result with everything where it is at the newest frame, boxes grown by `age` and clamped to
  // the frame. What is gone is missing. The status is predicted.
  FrameAnalysis at(GstClockTime age) const;

 private:
  struct Region {
    cv::Rect2f start, now;            // fractions of the frame; a point has no size
    std::vector<std::size_t> tracks;  // positions in tracks_
    std::size_t began = 0;            // number of them when the result came
    bool gone = false;
  };

  std::vector<std::size_t> own_tracks(const Region &box) const;
  std::vector<std::size_t> nearest_tracks(const Region &point) const;
  std::vector<TrackMotion> living(const Region &region) const;
  void measure_background();
  void move_box(Region &box);
  void move_point(Region &point);
  cv::Point2f to_pixels(cv::Point2f fraction) const;
  cv::Point2f to_fraction(cv::Point2f pixel) const;

  FrameAnalysis result_;
  FlowTracks::Mark mark_;
  // Of the newest frame:
  cv::Size2f size_;                  // pixels
  std::vector<TrackMotion> tracks_;  // of the mark
  Similarity background_;
  // Of the frame that the result is about:
  std::vector<int> cover_;  // boxes that each track was in
  std::vector<Region> boxes_, points_, gaze_from_, gaze_to_;
};

}  // namespace moondream
