#include "flow_regions.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace moondream {
namespace {

constexpr std::size_t kFewTracks = 3;     // fewer tell nothing about a box
constexpr std::size_t kScaleTracks = 4;   // fewer tell no scale
constexpr std::size_t kMiddleTracks = 6;  // as many are enough in the middle of a box
constexpr std::size_t kMostTracks = 40;   // of one box: thousands of boxes may share all
constexpr std::size_t kPointTracks = 5;   // nearest ones, of a point
constexpr float kPointReach = 16;         // pixels
constexpr float kMinDistance = 3;         // pixels, of two tracks whose distance says anything
constexpr float kOwnWay = 1;              // pixels off the background's way, and
constexpr float kOwnWayShare = 0.1f;      // of that way's length: an own one
constexpr float kStray = 2;               // pixels off the box's way, or
constexpr float kStrayShare = 0.1f;       // of its diagonal: no longer a track of the box
constexpr double kLeastVisible = 0.1;     // of a box
constexpr float kMostScale = 4;           // of a box's size; more is a mistake

float median(std::vector<float> &values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

float length(cv::Point2f vector) { return std::hypot(vector.x, vector.y); }

template <typename Value>
cv::Point2f median_of(const std::vector<TrackMotion> &tracks, Value value) {
  std::vector<float> x, y;
  x.reserve(tracks.size());
  y.reserve(tracks.size());
  for (const TrackMotion &track : tracks) {
    const cv::Point2f point = value(track);
    x.push_back(point.x);
    y.push_back(point.y);
  }
  return {median(x), median(y)};
}

cv::Rect2f rect_of(const Box &box) {
  return {static_cast<float>(box.x_min), static_cast<float>(box.y_min),
          static_cast<float>(box.x_max - box.x_min), static_cast<float>(box.y_max - box.y_min)};
}

cv::Rect2f rect_of(const Point &point) {
  return {static_cast<float>(point.x), static_cast<float>(point.y), 0, 0};
}

cv::Point2f centre(const cv::Rect2f &rect) { return (rect.tl() + rect.br()) / 2; }

cv::Rect2f shrunk(const cv::Rect2f &rect, float share) {
  return {rect.x + rect.width * (1 - share) / 2, rect.y + rect.height * (1 - share) / 2,
          rect.width * share, rect.height * share};
}

// Those of `all` that `wanted` wants, or all of them if these are fewer than `least`.
template <typename Wanted>
std::vector<std::size_t> preferred(const std::vector<std::size_t> &all, std::size_t least,
                                   Wanted wanted) {
  std::vector<std::size_t> some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some), wanted);
  return some.size() >= least ? some : all;
}

bool inside_frame(cv::Point2f at) { return at.x >= 0 && at.x <= 1 && at.y >= 0 && at.y <= 1; }

}  // namespace

Similarity median_motion(const std::vector<TrackMotion> &tracks) {
  Similarity motion;
  if (tracks.empty()) return motion;
  motion.centre = median_of(tracks, [](const TrackMotion &track) { return track.from; });
  motion.step = median_of(tracks, [](const TrackMotion &track) { return track.to - track.from; });
  if (tracks.size() < kScaleTracks) return motion;
  // Each with a few others spread over the rest, so that the cost is linear.
  std::vector<float> ratios;
  const std::size_t size = tracks.size();
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t turn = 1; turn <= std::min<std::size_t>(size - 1, 6); ++turn) {
      const std::size_t j = (i + 1 + (size - 1) * (turn - 1) / 6) % size;
      if (j == i) continue;
      const float before = length(tracks[i].from - tracks[j].from);
      if (before < kMinDistance) continue;
      ratios.push_back(length(tracks[i].to - tracks[j].to) / before);
    }
  }
  if (ratios.size() >= kScaleTracks) {
    motion.scale = std::clamp(median(ratios), 1 / kMostScale, kMostScale);
  }
  return motion;
}

FlowRegions::FlowRegions(FrameAnalysis result, const FlowTracks::Mark &mark,
                         const FlowTracks &tracks)
    : result_(std::move(result)), mark_(mark), size_(tracks.size()), tracks_(tracks.since(mark)) {
  const auto add = [](std::vector<Region> &regions, const cv::Rect2f &start) {
    Region region;
    region.start = region.now = start;
    regions.push_back(std::move(region));
  };
  for (const AnalysisObject &object : result_.objects) add(boxes_, rect_of(object.box));
  for (const AnalysisPoint &found : result_.points) add(points_, rect_of(found.point));
  for (const AnalysisGaze &gaze : result_.gaze) {
    add(gaze_from_, rect_of(gaze.from));
    add(gaze_to_, rect_of(gaze.to));
  }

  cover_.resize(tracks_.size());
  for (Region &box : boxes_) {
    for (std::size_t i = 0; i < tracks_.size(); ++i) {
      cover_[i] += box.start.contains(to_fraction(tracks_[i].from));
    }
  }
  measure_background();
  for (Region &box : boxes_) {
    box.tracks = own_tracks(box);
    box.began = box.tracks.size();
    box.gone =
        box.began >= kFewTracks && living(box).size() < std::max<std::size_t>(2, box.began / 5);
    // What ended before the result came has nothing to say about what is left from now on.
    std::erase_if(box.tracks, [&](std::size_t i) { return !tracks_[i].alive; });
    box.tracks = preferred(
        box.tracks, std::max(kFewTracks, (box.tracks.size() + 3) / 4), [&](std::size_t i) {
          const cv::Point2f &from = tracks_[i].from, expected = background_(from);
          return length(tracks_[i].to - expected) >
                 kOwnWay + kOwnWayShare * length(expected - from);
        });
    box.began = box.tracks.size();
  }
  for (std::vector<Region> *points : {&points_, &gaze_from_, &gaze_to_}) {
    for (Region &point : *points) {
      point.tracks = nearest_tracks(point);
      point.began = point.tracks.size();
    }
  }
  advance(tracks);
}

cv::Point2f FlowRegions::to_pixels(cv::Point2f fraction) const {
  return {fraction.x * size_.width - 0.5f, fraction.y * size_.height - 0.5f};
}

cv::Point2f FlowRegions::to_fraction(cv::Point2f pixel) const {
  return {(pixel.x + 0.5f) / size_.width, (pixel.y + 0.5f) / size_.height};
}

std::vector<std::size_t> FlowRegions::own_tracks(const Region &box) const {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    if (box.start.contains(to_fraction(tracks_[i].from))) all.push_back(i);
  }
  const cv::Rect2f middle = shrunk(box.start, 0.8f);
  all = preferred(all, kMiddleTracks,
                  [&](std::size_t i) { return middle.contains(to_fraction(tracks_[i].from)); });
  all = preferred(all, kFewTracks, [&](std::size_t i) { return cover_[i] == 1; });
  if (all.size() <= kMostTracks) return all;
  std::vector<std::size_t> some;
  for (std::size_t i = 0; i < kMostTracks; ++i) some.push_back(all[i * all.size() / kMostTracks]);
  return some;
}

std::vector<std::size_t> FlowRegions::nearest_tracks(const Region &point) const {
  const cv::Point2f at = to_pixels(point.start.tl());
  std::vector<std::pair<float, std::size_t>> near;
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    const float distance = length(tracks_[i].from - at);
    if (distance <= kPointReach) near.emplace_back(distance, i);
  }
  std::sort(near.begin(), near.end());
  near.resize(std::min(near.size(), kPointTracks));
  std::vector<std::size_t> tracks;
  for (const auto &[distance, i] : near) tracks.push_back(i);
  return tracks;
}

std::vector<TrackMotion> FlowRegions::living(const Region &region) const {
  std::vector<TrackMotion> living;
  for (const std::size_t i : region.tracks) {
    if (tracks_[i].alive) living.push_back(tracks_[i]);
  }
  return living;
}

void FlowRegions::measure_background() {
  std::vector<TrackMotion> free;
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    if (tracks_[i].alive && cover_[i] == 0) free.push_back(tracks_[i]);
  }
  background_ = median_motion(free);
}

void FlowRegions::advance(const FlowTracks &tracks) {
  tracks_ = tracks.since(mark_);
  size_ = tracks.size();
  measure_background();
  for (Region &box : boxes_) {
    if (!box.gone) move_box(box);
  }
  for (std::vector<Region> *points : {&points_, &gaze_from_, &gaze_to_}) {
    for (Region &point : *points) {
      if (!point.gone) move_point(point);
    }
  }
}

void FlowRegions::move_box(Region &box) {
  Similarity motion = background_;
  if (box.began >= kFewTracks) {
    const std::vector<TrackMotion> own = living(box);
    if (own.size() < std::max<std::size_t>(2, box.began / 5)) {
      box.gone = true;
      return;
    }
    motion = median_motion(own);
    const float diagonal = length({box.now.width * size_.width, box.now.height * size_.height});
    const float stray = std::max(kStray, kStrayShare * diagonal);
    std::erase_if(box.tracks, [&](std::size_t i) {
      return !tracks_[i].alive || length(tracks_[i].to - motion(tracks_[i].from)) > stray;
    });
  }
  const cv::Point2f middle = to_fraction(motion(to_pixels(centre(box.start))));
  const cv::Size2f size(box.start.width * motion.scale, box.start.height * motion.scale);
  box.now = {middle.x - size.width / 2, middle.y - size.height / 2, size.width, size.height};
  const cv::Rect2f visible = box.now & cv::Rect2f(0, 0, 1, 1);
  box.gone = !(visible.area() >= kLeastVisible * box.now.area());
}

void FlowRegions::move_point(Region &point) {
  const cv::Point2f start = to_pixels(point.start.tl());
  cv::Point2f now = background_(start);
  if (point.began >= 2) {
    const std::vector<TrackMotion> own = living(point);
    if (own.empty()) {
      point.gone = true;
      return;
    }
    now = start + median_of(own, [](const TrackMotion &track) { return track.to - track.from; });
  }
  const cv::Point2f at = to_fraction(now);
  point.now = {at.x, at.y, 0, 0};
  point.gone = !inside_frame(at);
}

FrameAnalysis FlowRegions::at(GstClockTime age) const {
  const double seconds =
      GST_CLOCK_TIME_IS_VALID(age) ? static_cast<double>(age) / static_cast<double>(GST_SECOND) : 0;
  FrameAnalysis moved = result_;
  moved.status = AnalysisStatus::kPredicted;
  moved.objects.clear();
  moved.points.clear();
  moved.gaze.clear();
  for (std::size_t i = 0; i < boxes_.size(); ++i) {
    if (boxes_[i].gone) continue;
    const cv::Rect2f &now = boxes_[i].now;
    const double x = kGrowth * seconds * now.width, y = kGrowth * seconds * now.height;
    AnalysisObject object = result_.objects[i];
    object.box = {std::max(now.x - x, 0.0), std::max(now.y - y, 0.0),
                  std::min(now.x + now.width + x, 1.0), std::min(now.y + now.height + y, 1.0)};
    // A box that had next to no size may have none any more.
    if (object.box.x_min < object.box.x_max && object.box.y_min < object.box.y_max) {
      moved.objects.push_back(std::move(object));
    }
  }
  const auto place = [](const Region &region) { return Point{region.now.x, region.now.y}; };
  for (std::size_t i = 0; i < points_.size(); ++i) {
    if (points_[i].gone) continue;
    AnalysisPoint point = result_.points[i];
    point.point = place(points_[i]);
    moved.points.push_back(std::move(point));
  }
  for (std::size_t i = 0; i < gaze_from_.size(); ++i) {
    if (gaze_from_[i].gone || gaze_to_[i].gone) continue;
    moved.gaze.push_back({place(gaze_from_[i]), place(gaze_to_[i])});
  }
  return moved;
}

}  // namespace moondream
