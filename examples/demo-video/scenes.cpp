// Draws a short video of moving faces, license plates and shapes, and writes down where they are.
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gst_ref.h"
#include "program.h"
#include "scene.h"
#include "truth.h"

namespace {

constexpr int kWidth = 640, kHeight = 360, kFramesPerSecond = 25, kSecondsPerScene = 2;

// Encodes frames to VP8 in a WebM file. Every method throws std::runtime_error.
class VideoWriter {
 public:
  explicit VideoWriter(const std::string &file) {
    GError *error = nullptr;
    pipeline_.reset(gst_parse_launch(
        "appsrc name=source format=time block=true ! videoconvert"
        // Good quality at any speed of the machine: nothing here is live.
        " ! vp8enc deadline=1000000 cpu-used=4 end-usage=cq cq-level=12 target-bitrate=4000000"
        " keyframe-max-dist=50 ! webmmux ! filesink name=sink",
        &error));
    if (error) {
      const std::string text = error->message;
      g_error_free(error);
      throw std::runtime_error("cannot encode video: " + text);
    }
    source_.reset(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "source"));
    const GstRef<GstElement> sink(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "sink"));
    g_object_set(sink.get(), "location", file.c_str(), nullptr);
    GstCaps *caps = gst_caps_new_simple(
        "video/x-raw", "format", G_TYPE_STRING, "BGR", "width", G_TYPE_INT, kWidth, "height",
        G_TYPE_INT, kHeight, "framerate", GST_TYPE_FRACTION, kFramesPerSecond, 1, nullptr);
    gst_app_src_set_caps(GST_APP_SRC(source_.get()), caps);
    gst_caps_unref(caps);
    gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING);
  }

  ~VideoWriter() { gst_element_set_state(pipeline_.get(), GST_STATE_NULL); }

  // `frame`: 8-bit BGR without gaps between its rows, which GStreamer accepts for BGR as the width
  // is a multiple of 4.
  void write(const cv::Mat &frame, std::uint64_t pts, std::uint64_t duration) {
    const gsize size = frame.total() * frame.elemSize();
    GstBuffer *buffer = gst_buffer_new_allocate(nullptr, size, nullptr);
    gst_buffer_fill(buffer, 0, frame.data, size);
    GST_BUFFER_PTS(buffer) = pts;
    GST_BUFFER_DURATION(buffer) = duration;
    if (gst_app_src_push_buffer(GST_APP_SRC(source_.get()), buffer) != GST_FLOW_OK) {
      fail_with_message();
    }
  }

  // Ends the file. No write() may follow.
  void finish() {
    gst_app_src_end_of_stream(GST_APP_SRC(source_.get()));
    fail_with_message();
  }

 private:
  // Waits for the end of the stream; throws if an error comes before it.
  void fail_with_message() {
    const GstRef<GstBus> bus(gst_element_get_bus(pipeline_.get()));
    const GstRef<GstMessage> message(gst_bus_timed_pop_filtered(
        bus.get(), 60 * GST_SECOND,
        static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR)));
    if (!message) throw std::runtime_error("cannot encode video: the encoder does not answer");
    if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_EOS) return;
    GError *error = nullptr;
    gst_message_parse_error(message.get(), &error, nullptr);
    const std::string text = error->message;
    g_error_free(error);
    throw std::runtime_error("cannot encode video: " + text);
  }

  GstRef<GstElement> pipeline_;
  GstRef<GstElement> source_;
};

void draw_video(std::uint64_t seed, int seconds, int plates_every, const std::string &video,
                const std::string &truth_file) {
  scenes::Truth truth{.width = kWidth,
                      .height = kHeight,
                      .duration = static_cast<std::uint64_t>(seconds) * GST_SECOND,
                      .frames = {}};
  VideoWriter writer(video);
  cv::Mat frame;
  std::optional<scenes::Scene> scene;
  int last_id = 0, ids_before = 0;  // of all things until now; of those in earlier scenes
  constexpr int kFramesPerScene = kFramesPerSecond * kSecondsPerScene;
  for (int i = 0; i < seconds * kFramesPerSecond; ++i) {
    if (i % kFramesPerScene == 0) {
      const int number = i / kFramesPerScene;
      scene = scenes::Scene::random(seed + static_cast<std::uint64_t>(number),
                                    {.size = {kWidth, kHeight},
                                     .duration = kSecondsPerScene,
                                     .plates = (number + 1) % plates_every == 0});
      ids_before = last_id;
    }
    const double time = static_cast<double>(i % kFramesPerScene) / kFramesPerSecond;
    const std::uint64_t pts = static_cast<std::uint64_t>(i) * GST_SECOND / kFramesPerSecond;
    scene->draw(frame, time);
    writer.write(frame, pts, GST_SECOND / kFramesPerSecond);
    std::vector<scenes::LabelledBox> objects = scene->truth(time);
    for (scenes::LabelledBox &object : objects) {
      object.id += ids_before;
      last_id = std::max(last_id, object.id);
    }
    truth.frames.push_back({pts, std::move(objects)});
  }
  writer.finish();
  scenes::write_truth(truth_file, truth);
}

}  // namespace

int main(int argc, char **argv) {
  std::uint64_t seed = 1;
  int seconds = 10, plates_every = 1;
  const scenes::Page page{
      .name = "demo-scenes",
      .summary = "draws a video of moving faces, license plates and shapes",
      .operands = "VIDEO.webm TRUTH.json",
      .description = "A new scene begins every two seconds. TRUTH.json says where everything is.",
      .options = {scenes::integer_option("seed", "Equal seeds give equal pictures (1).", seed, 0),
                  scenes::integer_option("seconds", "Length of the video (10).", seconds, 1),
                  scenes::integer_option("plates-every",
                                         "Only every Nth scene may have license plates (1).",
                                         plates_every, 1)},
      .examples = ""};
  return scenes::run_program(page, argc, argv, [&](const scenes::Operands &files) {
    if (files.size() != 2) throw scenes::UsageError("two files must be given");
    gst_init(nullptr, nullptr);
    draw_video(seed, seconds, plates_every, files[0], files[1]);
    return true;
  });
}
