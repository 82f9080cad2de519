#include "flow_tracks.h"

#include <algorithm>
#include <array>
#include <opencv2/imgproc.hpp>
#include <opencv2/video/tracking.hpp>

namespace moondream {
namespace {

const cv::Size kWindow(9, 9);  // that Lucas-Kanade compares; OpenCV's vector code likes 8 + 1
constexpr int kMaxLevel = 3;   // so that it finds steps of some 30 pixels
const cv::TermCriteria kEnough(cv::TermCriteria::COUNT + cv::TermCriteria::EPS, 10, 0.03);
constexpr float kMaxReturnError = 0.5f;  // pixels

// Smaller eigenvalue of the mean gradient products over 3x3 pixels, in grey levels per pixel,
// squared. Noise with a deviation of 2 levels has 0.75 of it, a corner of a step of 10 levels 5.
constexpr int kCornerBlock = 3;
constexpr float kMinCorner = 4;
// Closer to the border half the window is outside.
constexpr int kBorder = 3;

constexpr std::size_t kFewTracks = 20;
constexpr double kCutDifference = 12;  // grey levels

// Brings brightness and contrast to one level everywhere, so that a change of exposure or of the
// light is not taken for motion. The floor keeps the noise of flat areas small.
cv::Mat evened(const cv::Mat &grey) {
  constexpr int kArea = 31;
  constexpr double kFloor = 6, kContrast = 40;
  cv::Mat values, mean, square_mean, out;
  grey.convertTo(values, CV_32F);
  cv::boxFilter(values, mean, CV_32F, {kArea, kArea});
  cv::sqrBoxFilter(values, square_mean, CV_32F, {kArea, kArea});
  cv::Mat deviation = cv::max(square_mean - mean.mul(mean), 0);
  cv::sqrt(deviation, deviation);
  deviation += kFloor;
  values -= mean;
  cv::divide(values, deviation, values, kContrast);
  values.convertTo(out, CV_8U, 1, 128);
  return out;
}

std::vector<cv::Mat> pyramid_of(const cv::Mat &grey) {
  std::vector<cv::Mat> pyramid;
  cv::buildOpticalFlowPyramid(evened(grey), pyramid, kWindow, kMaxLevel);
  return pyramid;
}

// Mean difference per pixel once both have the same mean.
double difference(const cv::Mat &a, const cv::Mat &b) {
  const double shift = cv::mean(a)[0] - cv::mean(b)[0];
  cv::Mat moved;
  b.convertTo(moved, CV_16S, 1, shift);
  cv::Mat wide;
  a.convertTo(wide, CV_16S);
  return cv::norm(wide, moved, cv::NORM_L1) / static_cast<double>(a.total());
}

// Share of pixels that two histograms of 32 bins have in common once both have the same mean.
double common_share(const cv::Mat &a, const cv::Mat &b) {
  constexpr int kBins = 32;
  const auto histogram = [](const cv::Mat &grey, double shift) {
    std::array<int, kBins> bins{};
    for (int y = 0; y < grey.rows; ++y) {
      const auto *row = grey.ptr<std::uint8_t>(y);
      for (int x = 0; x < grey.cols; ++x) {
        ++bins[static_cast<std::size_t>(std::clamp(row[x] + shift, 0.0, 255.0)) * kBins / 256];
      }
    }
    return bins;
  };
  const auto bins_a = histogram(a, 0);
  const auto bins_b = histogram(b, cv::mean(a)[0] - cv::mean(b)[0]);
  int common = 0;
  for (std::size_t i = 0; i < kBins; ++i) common += std::min(bins_a[i], bins_b[i]);
  return static_cast<double>(common) / static_cast<double>(a.total());
}

}  // namespace

void FlowTracks::clear() {
  grey_.release();
  pyramid_.clear();
  keys_.clear();
  points_.clear();
  steps_.clear();
}

bool FlowTracks::advance(const cv::Mat &grey) {
  std::vector<cv::Mat> pyramid = pyramid_of(grey);
  bool cut = false;
  if (!grey_.empty()) {
    if (grey.size() != grey_.size()) rescale(grey.size());
    const std::size_t before = points_.size();
    if (before > 0) follow(pyramid);
    cut = is_cut(grey, before);
  }
  if (cut) clear();
  grey_ = grey;
  pyramid_ = std::move(pyramid);
  return !cut;
}

void FlowTracks::rescale(cv::Size size) {
  const float x = static_cast<float>(size.width) / static_cast<float>(grey_.cols);
  const float y = static_cast<float>(size.height) / static_cast<float>(grey_.rows);
  for (std::size_t i = 0; i < points_.size(); ++i) {
    points_[i] = {(points_[i].x + 0.5f) * x - 0.5f, (points_[i].y + 0.5f) * y - 0.5f};
    steps_[i] = {steps_[i].x * x, steps_[i].y * y};
  }
  cv::Mat resized;
  cv::resize(grey_, resized, size, 0, 0, x < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
  grey_ = resized;
  pyramid_ = pyramid_of(grey_);
}

void FlowTracks::follow(const std::vector<cv::Mat> &pyramid) {
  std::vector<cv::Point2f> there(points_.size()), back = points_;
  // What moved is likely to go on.
  for (std::size_t i = 0; i < points_.size(); ++i) there[i] = points_[i] + steps_[i];
  std::vector<std::uint8_t> found, returned;
  const cv::Size size = grey_.size();
  cv::calcOpticalFlowPyrLK(pyramid_, pyramid, points_, there, found, cv::noArray(), kWindow,
                           kMaxLevel, kEnough, cv::OPTFLOW_USE_INITIAL_FLOW);
  // Back from there without a hint, so that a wrong way does not find home by one.
  cv::calcOpticalFlowPyrLK(pyramid, pyramid_, there, back, returned, cv::noArray(), kWindow,
                           kMaxLevel, kEnough);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < points_.size(); ++i) {
    const cv::Point2f error = back[i] - points_[i];
    const bool inside = there[i].x >= 0 && there[i].y >= 0 &&
                        there[i].x <= static_cast<float>(size.width - 1) &&
                        there[i].y <= static_cast<float>(size.height - 1);
    if (!found[i] || !returned[i] || !inside ||
        error.dot(error) > kMaxReturnError * kMaxReturnError)
      continue;
    keys_[kept] = keys_[i];
    steps_[kept] = there[i] - points_[i];
    points_[kept] = there[i];
    ++kept;
  }
  keys_.resize(kept);
  steps_.resize(kept);
  points_.resize(kept);
}

bool FlowTracks::is_cut(const cv::Mat &grey, std::size_t before) const {
  const bool unlike =
      before >= kFewTracks ? 10 * points_.size() < 3 * before : common_share(grey, grey_) < 0.5;
  return unlike && difference(grey, grey_) > kCutDifference;
}

void FlowTracks::replenish() {
  if (grey_.cols <= 2 * kBorder || grey_.rows <= 2 * kBorder) return;
  const int columns = (grey_.cols + kCell - 1) / kCell, rows = (grey_.rows + kCell - 1) / kCell;
  std::vector<bool> occupied(static_cast<std::size_t>(columns * rows));
  for (const cv::Point2f &point : points_) {
    const int x = std::clamp(cvRound(point.x), 0, grey_.cols - 1) / kCell;
    const int y = std::clamp(cvRound(point.y), 0, grey_.rows - 1) / kCell;
    occupied[static_cast<std::size_t>(y * columns + x)] = true;
  }
  cv::Mat corners;
  cv::cornerMinEigenVal(grey_, corners, kCornerBlock, 3);
  // OpenCV divides the gradients of bytes by 255 / 2 and the block's size, and sums over the block.
  constexpr float kScale = 255.0f * 255.0f / 4;
  const cv::Rect inner(kBorder, kBorder, grey_.cols - 2 * kBorder, grey_.rows - 2 * kBorder);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      if (occupied[static_cast<std::size_t>(row * columns + column)]) continue;
      const cv::Rect cell = cv::Rect(column * kCell, row * kCell, kCell, kCell) & inner;
      if (cell.empty()) continue;
      double best;
      cv::Point at;
      cv::minMaxLoc(corners(cell), nullptr, &best, nullptr, &at);
      if (static_cast<float>(best) * kScale < kMinCorner) continue;
      keys_.push_back(next_key_++);
      points_.push_back(at + cell.tl());
      steps_.emplace_back(0.0f, 0.0f);
    }
  }
}

FlowTracks::Mark FlowTracks::mark() const {
  Mark mark;
  mark.keys_ = keys_;
  mark.fractions_.reserve(points_.size());
  for (const cv::Point2f &point : points_) {
    mark.fractions_.emplace_back((point.x + 0.5f) / static_cast<float>(grey_.cols),
                                 (point.y + 0.5f) / static_cast<float>(grey_.rows));
  }
  return mark;
}

std::vector<TrackMotion> FlowTracks::since(const Mark &mark) const {
  std::vector<TrackMotion> motions;
  motions.reserve(mark.keys_.size());
  std::size_t now = 0;
  for (std::size_t i = 0; i < mark.keys_.size(); ++i) {
    while (now < keys_.size() && keys_[now] < mark.keys_[i]) ++now;
    const cv::Point2f &from = mark.fractions_[i];
    TrackMotion &motion = motions.emplace_back();
    motion.from = {from.x * static_cast<float>(grey_.cols) - 0.5f,
                   from.y * static_cast<float>(grey_.rows) - 0.5f};
    motion.alive = now < keys_.size() && keys_[now] == mark.keys_[i];
    if (motion.alive) motion.to = points_[now];
  }
  return motions;
}

}  // namespace moondream
