#include "ball.h"

#include <opencv2/imgproc.hpp>
#include <string>

#include "video_reader.h"

namespace scenes {

std::vector<BallFrame> ball_frames(int count) {
  constexpr int kStep = 10;
  VideoReader reader = VideoReader::of_launch(
      "videotestsrc pattern=ball num-buffers=" + std::to_string(kStep * count) +
      " ! video/x-raw,width=320,height=240");
  std::vector<BallFrame> frames;
  for (int number = 0; const auto frame = reader.next(); ++number) {
    if (number % kStep != 0) continue;
    cv::Mat rgb, grey;
    cv::cvtColor(frame->picture, rgb, cv::COLOR_BGR2RGB);
    cv::cvtColor(frame->picture, grey, cv::COLOR_BGR2GRAY);
    // White on black; the rim is in between.
    const cv::Rect ball = cv::boundingRect(grey > 127);
    frames.push_back({{rgb.cols, rgb.rows, {rgb.datastart, rgb.dataend}},
                      {.x_min = static_cast<double>(ball.x) / rgb.cols,
                       .y_min = static_cast<double>(ball.y) / rgb.rows,
                       .x_max = static_cast<double>(ball.br().x) / rgb.cols,
                       .y_max = static_cast<double>(ball.br().y) / rgb.rows}});
  }
  return frames;
}

}  // namespace scenes
