#include "video_reader.h"

#include <gst/app/gstappsink.h>
#include <gst/video/video.h>

#include <stdexcept>
#include <utility>

namespace scenes {
namespace {

VideoFrame copy_frame(GstSample *sample) {
  GstVideoInfo info;
  GstVideoFrame mapped;
  GstBuffer *buffer = gst_sample_get_buffer(sample);
  if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) ||
      !gst_video_frame_map(&mapped, &info, buffer, GST_MAP_READ)) {
    throw std::runtime_error("a frame cannot be read");
  }
  const cv::Mat view(info.height, info.width, CV_8UC3, GST_VIDEO_FRAME_PLANE_DATA(&mapped, 0),
                     static_cast<std::size_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&mapped, 0)));
  VideoFrame frame{view.clone(), GST_BUFFER_PTS(buffer)};
  gst_video_frame_unmap(&mapped);
  return frame;
}

}  // namespace

VideoReader VideoReader::of_file(const std::string &file) {
  VideoReader reader(file, "filesrc name=source ! decodebin");
  const GstRef<GstElement> source(gst_bin_get_by_name(GST_BIN(reader.pipeline_.get()), "source"));
  g_object_set(source.get(), "location", file.c_str(), nullptr);
  gst_element_set_state(reader.pipeline_.get(), GST_STATE_PLAYING);
  return reader;
}

VideoReader VideoReader::of_launch(const std::string &source) {
  VideoReader reader(source, source);
  gst_element_set_state(reader.pipeline_.get(), GST_STATE_PLAYING);
  return reader;
}

VideoReader::VideoReader(std::string name, const std::string &source) : name_(std::move(name)) {
  GError *error = nullptr;
  const std::string launch = source +
                             " ! videoconvert ! video/x-raw,format=BGR"
                             " ! appsink name=sink sync=false max-buffers=4";
  pipeline_.reset(gst_parse_launch(launch.c_str(), &error));
  if (error) {
    const std::string text = error->message;
    g_error_free(error);
    throw std::runtime_error(name_ + ": " + text);
  }
  sink_.reset(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "sink"));
}

VideoReader::~VideoReader() {
  if (pipeline_) gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
}

std::optional<VideoFrame> VideoReader::next() {
  // The application sink does not end on an error, so the bus is looked at, too.
  constexpr GstClockTime kStep = GST_SECOND / 10;
  constexpr int kSteps = 100;
  for (int i = 0; i < kSteps; ++i) {
    const GstRef<GstSample> sample(gst_app_sink_try_pull_sample(GST_APP_SINK(sink_.get()), kStep));
    if (sample) return copy_frame(sample.get());
    if (gst_app_sink_is_eos(GST_APP_SINK(sink_.get()))) return std::nullopt;
    const GstRef<GstBus> bus(gst_element_get_bus(pipeline_.get()));
    const GstRef<GstMessage> message(gst_bus_pop_filtered(bus.get(), GST_MESSAGE_ERROR));
    if (!message) continue;
    GError *error = nullptr;
    gst_message_parse_error(message.get(), &error, nullptr);
    const std::string text = error->message;
    g_error_free(error);
    throw std::runtime_error(name_ + " cannot be decoded: " + text);
  }
  throw std::runtime_error(name_ + " cannot be decoded: nothing comes");
}

}  // namespace scenes
