// Puts evenly spaced frames of a video, each with its time, on one picture; of several videos
// beside each other.
#include <gst/gst.h>

#include <iomanip>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "program.h"
#include "video_reader.h"

namespace {

using scenes::VideoFrame;
using scenes::VideoReader;

// The middles of `count` equal parts of the video. It is decoded twice, as a WebM file that was
// written by a pipeline need not be seekable.
std::vector<VideoFrame> middles(const std::string &file, std::size_t count) {
  std::size_t length = 0;
  for (VideoReader reader = VideoReader::of_file(file); reader.next();) ++length;
  if (length == 0) throw std::runtime_error(file + " has no frames");
  std::vector<VideoFrame> frames;
  VideoReader reader = VideoReader::of_file(file);
  for (std::size_t number = 0; auto frame = reader.next(); ++number) {
    while (frames.size() < count && length * (2 * frames.size() + 1) / (2 * count) == number) {
      frames.push_back(*frame);
    }
  }
  return frames;
}

std::string time_text(std::uint64_t pts) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << static_cast<double>(pts) / 1e9 << " s";
  return text.str();
}

// `videos`: as many frames of each.
cv::Mat contact_sheet(const std::vector<std::vector<VideoFrame>> &videos, int columns) {
  constexpr int kGap = 6, kNarrowGap = 2, kCaption = 20;
  const cv::Size size = videos[0][0].picture.size();
  const int across = static_cast<int>(videos.size());
  const int rows = static_cast<int>(videos[0].size()) / columns;
  const cv::Size cell(across * (size.width + kNarrowGap) - kNarrowGap + kGap,
                      size.height + kGap + kCaption);
  cv::Mat sheet(rows * cell.height + kGap, columns * cell.width + kGap, CV_8UC3,
                cv::Scalar(255, 255, 255));
  for (int i = 0; i < columns * rows; ++i) {
    const cv::Point corner(kGap + i % columns * cell.width, kGap + i / columns * cell.height);
    for (int k = 0; k < across; ++k) {
      const VideoFrame &frame = videos[static_cast<std::size_t>(k)][static_cast<std::size_t>(i)];
      if (frame.picture.size() != size) throw std::runtime_error("the frame size changes");
      const cv::Point at = corner + cv::Point(k * (size.width + kNarrowGap), 0);
      frame.picture.copyTo(sheet(cv::Rect(at, size)));
      cv::putText(sheet, time_text(frame.pts), {at.x + 2, at.y + size.height + 15},
                  cv::FONT_HERSHEY_SIMPLEX, 0.5, cv::Scalar(60, 60, 60), 1, cv::LINE_AA);
    }
  }
  return sheet;
}

}  // namespace

int main(int argc, char **argv) {
  int columns = 3, rows = 3;
  const scenes::Page page{
      .name = "demo-sheet",
      .summary = "puts frames of a video on one picture",
      .operands = "VIDEO... SHEET.png",
      .description =
          "The frames are evenly spaced and have their times below them. Those of several videos "
          "are beside each other.",
      .options = {scenes::integer_option("columns", "Frames in a row (3).", columns, 1),
                  scenes::integer_option("rows", "Rows (3).", rows, 1)},
      .examples = ""};
  return scenes::run_program(page, argc, argv, [&](const scenes::Operands &files) {
    if (files.size() < 2) throw scenes::UsageError("a video and a picture must be given");
    gst_init(nullptr, nullptr);
    std::vector<std::vector<VideoFrame>> videos;
    for (std::size_t i = 0; i + 1 < files.size(); ++i) {
      videos.push_back(middles(files[i], static_cast<std::size_t>(columns * rows)));
    }
    if (!cv::imwrite(files.back(), contact_sheet(videos, columns))) {
      throw std::runtime_error("cannot write " + files.back());
    }
    return true;
  });
}
