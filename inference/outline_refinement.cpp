#include "outline_refinement.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

namespace moondream {
namespace {

constexpr double kMargin = 0.25;       // of the box, on each side
constexpr double kSmallArea = 0.0015;  // of the picture

// A view of a mask that nobody writes to.
cv::Mat view_of(const Mask &mask) {
  return {mask.height, mask.width, CV_8UC1, const_cast<std::uint8_t *>(mask.pixels.data())};
}

Mask mask_of(const cv::Mat &pixels) {
  return {pixels.cols, pixels.rows,
          std::vector<std::uint8_t>(pixels.begin<std::uint8_t>(), pixels.end<std::uint8_t>())};
}

// The box and its margin, in whole pixels of the picture.
cv::Rect part_of(const Box &box, int width, int height) {
  const double x_margin = kMargin * (box.x_max - box.x_min) * width;
  const double y_margin = kMargin * (box.y_max - box.y_min) * height;
  const auto pixel = [](double value, int most) {
    return static_cast<int>(std::clamp(value, 0.0, static_cast<double>(most)));
  };
  const int x = pixel(box.x_min * width - x_margin, width);
  const int y = pixel(box.y_min * height - y_margin, height);
  return {x, y, pixel(box.x_max * width + x_margin, width) - x,
          pixel(box.y_max * height + y_margin, height) - y};
}

// Marks the 8-connected parts of what is 1 that have fewer pixels than `least`, and says how large
// the largest part is.
cv::Mat small_parts(const cv::Mat &pixels, double least, int &largest) {
  cv::Mat labels, stats, centroids;
  const int count = cv::connectedComponentsWithStats(pixels, labels, stats, centroids, 8);
  cv::Mat small = cv::Mat::zeros(pixels.size(), CV_8UC1);
  largest = 0;
  for (int label = 1; label < count; ++label) {
    const int area = stats.at<int>(label, cv::CC_STAT_AREA);
    largest = std::max(largest, area);
    if (area < least) small.setTo(1, labels == label);
  }
  return small;
}

}  // namespace

Mask clean_mask(const Mask &mask) {
  cv::Mat pixels = view_of(mask).clone();
  const double least = std::max(1.0, kSmallArea * mask.height * mask.width);
  int largest = 0;
  pixels.setTo(1, small_parts(pixels == 0, least, largest));
  const cv::Mat specks = small_parts(pixels, least, largest);
  if (largest >= least) {
    pixels.setTo(0, specks);
  } else if (largest > 0) {
    // All is small: what is as large as the largest stays.
    int unused = 0;
    pixels.setTo(0, small_parts(pixels, largest, unused));
  }
  cv::Mat closed;
  cv::morphologyEx(pixels, closed, cv::MORPH_CLOSE, cv::Mat::ones(3, 3, CV_8UC1));
  return mask_of(closed);
}

std::optional<SegmentResult> refine_outline(const ImageView &image, const SegmentResult &coarse,
                                            int side, const MaskRefiner &refine) {
  if (!coarse.box || coarse.path.empty()) return std::nullopt;
  const Mask drawn = fill_outline(coarse.path, *coarse.box, image.width, image.height);
  const cv::Rect part = part_of(*coarse.box, image.width, image.height);
  if (part.empty() || cv::countNonZero(view_of(drawn)(part)) == 0) return std::nullopt;

  // Nobody writes to the picture.
  const cv::Mat picture(image.height, image.width, CV_8UC3, const_cast<std::uint8_t *>(image.data),
                        static_cast<std::size_t>(image.stride));
  cv::Mat pixels, mask;
  cv::resize(picture(part), pixels, {side, side}, 0, 0, cv::INTER_LINEAR);
  cv::resize(view_of(drawn)(part), mask, {side, side}, 0, 0, cv::INTER_NEAREST);
  std::vector<float> found = refine({pixels.datastart, pixels.dataend}, mask_of(mask).pixels);

  cv::Mat likely;
  cv::resize(cv::Mat(side, side, CV_32FC1, found.data()), likely, part.size(), 0, 0,
             cv::INTER_LINEAR);
  cv::Mat whole = cv::Mat::zeros(image.height, image.width, CV_8UC1);
  whole(part).setTo(1, likely > 0.5);
  SegmentResult refined = trace_outline(clean_mask(mask_of(whole)));
  if (!refined.box) return std::nullopt;
  return refined;
}

}  // namespace moondream
