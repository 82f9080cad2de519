// Puts evenly spaced frames of a video, each with its time, on one picture.
//
//   demo-sheet [--columns N] [--rows N] VIDEO SHEET.png
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include <iomanip>
#include <iostream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "gst_ref.h"

namespace {

struct Frame {
  cv::Mat picture;  // 8-bit BGR
  double seconds = 0;
};

Frame copy_frame(GstSample *sample) {
  GstVideoInfo info;
  GstVideoFrame mapped;
  if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) ||
      !gst_video_frame_map(&mapped, &info, gst_sample_get_buffer(sample), GST_MAP_READ)) {
    throw std::runtime_error("a frame cannot be read");
  }
  const cv::Mat view(info.height, info.width, CV_8UC3, GST_VIDEO_FRAME_PLANE_DATA(&mapped, 0),
                     static_cast<std::size_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&mapped, 0)));
  Frame frame{view.clone(),
              static_cast<double>(GST_BUFFER_PTS(gst_sample_get_buffer(sample))) / GST_SECOND};
  gst_video_frame_unmap(&mapped);
  return frame;
}

// All frames of the file. They are small and few here, and a WebM file that was written by a
// pipeline need not be seekable.
std::vector<Frame> decode(const std::string &file) {
  GError *error = nullptr;
  const GstRef<GstElement> pipeline(
      gst_parse_launch("filesrc name=source ! decodebin ! videoconvert ! video/x-raw,format=BGR"
                       " ! appsink name=sink sync=false",
                       &error));
  if (error) {
    const std::string text = error->message;
    g_error_free(error);
    throw std::runtime_error(text);
  }
  const GstRef<GstElement> source(gst_bin_get_by_name(GST_BIN(pipeline.get()), "source"));
  const GstRef<GstElement> sink(gst_bin_get_by_name(GST_BIN(pipeline.get()), "sink"));
  g_object_set(source.get(), "location", file.c_str(), nullptr);
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);

  std::vector<Frame> frames;
  // The time limit stands for an error too: the application sink ends on that only when stopped.
  while (const GstRef<GstSample> sample{
      gst_app_sink_try_pull_sample(GST_APP_SINK(sink.get()), 10 * GST_SECOND)}) {
    frames.push_back(copy_frame(sample.get()));
  }
  const bool complete = gst_app_sink_is_eos(GST_APP_SINK(sink.get()));
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  if (!complete || frames.empty()) throw std::runtime_error(file + " cannot be decoded");
  return frames;
}

std::string time_text(double seconds) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(2) << seconds << " s";
  return text.str();
}

cv::Mat contact_sheet(const std::vector<Frame> &frames, int columns, int rows) {
  constexpr int kGap = 6, kCaption = 20;
  const cv::Size size = frames.front().picture.size();
  const cv::Size cell(size.width + kGap, size.height + kGap + kCaption);
  cv::Mat sheet(rows * cell.height + kGap, columns * cell.width + kGap, CV_8UC3,
                cv::Scalar(255, 255, 255));
  const int count = columns * rows;
  for (int i = 0; i < count; ++i) {
    // The middles of equal parts of the video.
    const std::size_t index =
        frames.size() * static_cast<std::size_t>(2 * i + 1) / static_cast<std::size_t>(2 * count);
    const Frame &frame = frames[index];
    const cv::Point corner(kGap + i % columns * cell.width, kGap + i / columns * cell.height);
    if (frame.picture.size() != size) throw std::runtime_error("the frame size changes");
    frame.picture.copyTo(sheet(cv::Rect(corner, size)));
    cv::putText(sheet, time_text(frame.seconds), {corner.x + 2, corner.y + size.height + 15},
                cv::FONT_HERSHEY_SIMPLEX, 0.5, cv::Scalar(60, 60, 60), 1, cv::LINE_AA);
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
  GOptionContext *context = g_option_context_new("VIDEO SHEET.png");
  g_option_context_add_main_entries(context, entries, nullptr);
  g_option_context_add_group(context, gst_init_get_option_group());
  GError *error = nullptr;
  const bool parsed = g_option_context_parse(context, &argc, &argv, &error);
  g_option_context_free(context);
  if (!parsed || argc != 3 || columns < 1 || rows < 1) {
    std::cerr << "demo-sheet: " << (error ? error->message : "see --help") << '\n';
    g_clear_error(&error);
    return 2;
  }
  try {
    if (!cv::imwrite(argv[2], contact_sheet(decode(argv[1]), columns, rows))) {
      throw std::runtime_error(std::string("cannot write ") + argv[2]);
    }
  } catch (const std::exception &failure) {
    std::cerr << "demo-sheet: " << failure.what() << '\n';
    return 1;
  }
}
