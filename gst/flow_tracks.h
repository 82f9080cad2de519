// Points of a small grey picture, followed from frame to frame.
#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <vector>

namespace moondream {

// Where a track was and where it is now, in pixels of the newest picture: the centre of the first
// pixel is (0, 0).
struct TrackMotion {
  cv::Point2f from, to;
  bool alive = true;  // false: the track has ended and nobody knows `to`
};

// Sparse optical flow (pyramidal Lucas-Kanade) with one set of tracks for everybody who wants to
// know how far things went since some frame: mark() notes where all tracks are, and whenever one
// likes later since() says where those that are still there have gone. So the way from any marked
// frame to the newest costs nothing extra, however far back it is.
//
// A track ends when it leaves the picture, or when following it back does not lead to where it came
// from (by more than half a pixel). Brightness and contrast may change as long as they do so over
// areas larger than some 30 pixels: each picture is brought to one local mean and contrast first.
//
// Cost: about 5 us a frame and track, of which there is at most one in kCell x kCell pixels.
// Thread-safety: one thread at a time.
class FlowTracks {
 public:
  static constexpr int kCell = 10;  // pixels

  // Where tracks were at some frame.
  class Mark {
    friend class FlowTracks;
    std::vector<std::uint64_t> keys_;     // of tracks, ascending
    std::vector<cv::Point2f> fractions_;  // of the picture, of each
  };

  // Goes on to the next picture, 8-bit grey, which is kept and must not change. It may have another
  // size than the one before, but shows the same field of view. False: the scene was cut between
  // the two, so that no track and no mark before means anything now.
  //
  // That is so if seven of ten tracks end (there being at least 20) while the pictures, brought to
  // the same mean, differ by 12 grey levels a pixel in the mean; or, where there are fewer tracks,
  // if they so differ and their histograms have less than half in common.
  bool advance(const cv::Mat &grey);

  // Begins a track at the best corner of each cell that has none, if it is good enough.
  void replenish();

  // Where the tracks are now.
  Mark mark() const;

  // Pixels of the newest picture.
  cv::Size size() const { return grey_.size(); }

  // What became of each track of the mark, in the mark's order.
  std::vector<TrackMotion> since(const Mark &mark) const;

  // As a stream begins.
  void clear();

 private:
  bool is_cut(const cv::Mat &grey, std::size_t before) const;
  void follow(const std::vector<cv::Mat> &pyramid);
  void rescale(cv::Size size);

  cv::Mat grey_;                     // the newest picture; empty: none yet
  std::vector<cv::Mat> pyramid_;     // of grey_, evened
  std::vector<std::uint64_t> keys_;  // ascending, never used twice
  std::vector<cv::Point2f> points_;  // of each key
  std::vector<cv::Point2f> steps_;   // that each took last
  std::uint64_t next_key_ = 0;
};

}  // namespace moondream
