// What a redactor or moderator left of a picture.
#pragma once

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace scenes {

// 255 where a BGR picture is black, else 0. Compression moves black by a few steps of 255, and the
// darkest things that are drawn have 20.
inline cv::Mat black_pixels(const cv::Mat &picture) {
  constexpr double kBlack = 10;
  cv::Mat grey, black;
  cv::cvtColor(picture, grey, cv::COLOR_BGR2GRAY);
  cv::threshold(grey, black, kBlack, 255, cv::THRESH_BINARY_INV);
  return black;
}

}  // namespace scenes
