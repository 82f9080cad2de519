// Puts evenly spaced frames of a video, each with its time, on one picture; of several videos
// beside each other.
//
//   demo-sheet [--columns N] [--rows N] VIDEO... SHEET.png
#include <gst/gst.h>

#include <iomanip>
#include <iostream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

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
  gint columns = 3, rows = 3;
  const GOptionEntry entries[] = {
      {"columns", 0, 0, G_OPTION_ARG_INT, &columns, "Frames in a row (default 3)", "N"},
      {"rows", 0, 0, G_OPTION_ARG_INT, &rows, "Rows (default 3)", "N"},
      {}};
  GOptionContext *context = g_option_context_new("VIDEO... SHEET.png");
  g_option_context_add_main_entries(context, entries, nullptr);
  g_option_context_add_group(context, gst_init_get_option_group());
  GError *error = nullptr;
  const bool parsed = g_option_context_parse(context, &argc, &argv, &error);
  g_option_context_free(context);
  if (!parsed || argc < 3 || columns < 1 || rows < 1) {
    std::cerr << "demo-sheet: " << (error ? error->message : "see --help") << '\n';
    g_clear_error(&error);
    return 2;
  }
  try {
    std::vector<std::vector<VideoFrame>> videos;
    for (int i = 1; i < argc - 1; ++i) {
      videos.push_back(middles(argv[i], static_cast<std::size_t>(columns * rows)));
    }
    const std::string sheet = argv[argc - 1];
    if (!cv::imwrite(sheet, contact_sheet(videos, columns))) {
      throw std::runtime_error("cannot write " + sheet);
    }
  } catch (const std::exception &failure) {
    std::cerr << "demo-sheet: " << failure.what() << '\n';
    return 1;
  }
}
