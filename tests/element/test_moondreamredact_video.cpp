// A filter and a redactor on drawn video, whose contents are known: whatever was found is gone on
// every frame that left.
#include <cmath>
#include <map>
#include <opencv2/core.hpp>

#include "filter_harness.h"
#include "matching.h"
#include "scene.h"

namespace moondream {
namespace {

constexpr int kWidth = 640, kHeight = 360, kFramesPerSecond = 25, kFrames = 51;
constexpr GstClockTime kFrame = GST_SECOND / kFramesPerSecond;
// Drawn scenes have little of it, and none of it in whole boxes.
constexpr guint8 kRed = 1, kGreen = 254, kBlue = 3;

double seconds(int frame) { return static_cast<double>(frame) / kFramesPerSecond; }

BufferPtr draw(const scenes::Scene &scene, int number) {
  cv::Mat picture;
  scene.draw(picture, seconds(number));
  // For the model that knows the truth: which frame it is asked about.
  picture.at<cv::Vec3b>(0, 0) = {static_cast<uchar>(number), 0, 0};
  const gsize size = picture.total() * picture.elemSize();
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, size, nullptr);
  gst_buffer_fill(buffer, 0, picture.data, size);
  GST_BUFFER_PTS(buffer) = static_cast<GstClockTime>(number) * kFrame;
  GST_BUFFER_DURATION(buffer) = kFrame;
  return BufferPtr(buffer);
}

// How many pixels of a box are not of the redaction's colour, parts of a pixel included.
int left_of(const std::vector<guint8> &frame, const Box &box) {
  const auto pixels = [](double value, int size) {
    return std::clamp(value * size, 0.0, size * 1.0);
  };
  const int x_min = static_cast<int>(std::floor(pixels(box.x_min, kWidth)));
  const int x_max = static_cast<int>(std::ceil(pixels(box.x_max, kWidth) - 1e-9));
  const int y_min = static_cast<int>(std::floor(pixels(box.y_min, kHeight)));
  const int y_max = static_cast<int>(std::ceil(pixels(box.y_max, kHeight) - 1e-9));
  int left = 0;
  for (int y = y_min; y < y_max; ++y) {
    for (int x = x_min; x < x_max; ++x) {
      const guint8 *pixel = frame.data() + 3 * (y * kWidth + x);
      left += pixel[0] != kBlue || pixel[1] != kGreen || pixel[2] != kRed;
    }
  }
  return left;
}

struct Output {
  std::vector<std::vector<guint8>> frames;
  // Of the frames that were looked at themselves.
  std::map<int, FrameAnalysis> samples;
};

// Two seconds of `scene` through filter and redactor.
Output redacted(const scenes::Scene &scene, const std::string &redact) {
  const HarnessPtr harness(gst_harness_new_parse(
      ("moondreamfilter detect=\"face,license plate\" mode=sync sample-rate=5/1 propagate=hold ! "
       "moondreamredact color=0x01fe03 hold-before=200000000 " +
       redact)
          .c_str()));
  gst_harness_set_src_caps_str(harness.get(),
                               "video/x-raw,format=BGR,width=640,height=360,framerate=25/1");
  for (int i = 0; i < kFrames; ++i)
    EXPECT_EQ(gst_harness_push(harness.get(), draw(scene, i).release()), GST_FLOW_OK);
  EXPECT_TRUE(gst_harness_push_event(harness.get(), gst_event_new_eos()));
  Output output;
  for (int i = 0; i < kFrames; ++i) {
    const BufferPtr buffer(gst_harness_pull(harness.get()));
    if (!buffer) {
      ADD_FAILURE() << "frame " << i << " did not come out";
      break;
    }
    EXPECT_EQ(GST_BUFFER_PTS(buffer.get()), static_cast<GstClockTime>(i) * kFrame);
    std::vector<guint8> bytes(gst_buffer_get_size(buffer.get()));
    gst_buffer_extract(buffer.get(), 0, bytes.data(), bytes.size());
    output.frames.push_back(std::move(bytes));
    const auto analysis = read_analysis(buffer.get());
    if (analysis && analysis->status == AnalysisStatus::kFresh) output.samples[i] = *analysis;
  }
  return output;
}

// Whether one of the boxes that were found on a frame is that of `truth`.
bool was_found(const FrameAnalysis &analysis, const scenes::LabelledBox &truth) {
  for (const AnalysisObject &object : analysis.objects) {
    if (object.label == truth.label &&
        scenes::intersection_over_union(object.box, truth.box) >= 0.5)
      return true;
  }
  return false;
}

struct Checked {
  int sampled = 0, between = 0;  // objects on frames
};

// Every face and plate that was found on a frame must be gone there; and on the frames between two
// on which it was found.
Checked expect_gone(const scenes::Scene &scene, const Output &output) {
  Checked checked;
  const auto truth_of = [&](int frame) {
    std::vector<scenes::LabelledBox> objects = scene.truth(seconds(frame));
    std::erase_if(objects, [](const scenes::LabelledBox &object) {
      return object.label != "face" && object.label != "license plate";
    });
    return objects;
  };
  for (auto sample = output.samples.begin(); sample != output.samples.end(); ++sample) {
    const auto next = std::next(sample);
    const int last = next == output.samples.end() ? sample->first : next->first - 1;
    const auto here = truth_of(sample->first);
    const auto there = next == output.samples.end() ? here : truth_of(next->first);
    // Nothing comes or goes within a scene.
    if (here.size() != there.size()) {
      ADD_FAILURE() << "the scene has changed";
      return checked;
    }
    for (int frame = sample->first; frame <= last; ++frame) {
      const auto now = truth_of(frame);
      for (std::size_t i = 0; i < now.size(); ++i) {
        if (!was_found(sample->second, here[i])) continue;
        if (frame > sample->first && !was_found(next->second, there[i])) continue;
        EXPECT_EQ(left_of(output.frames[frame], now[i].box), 0)
            << now[i].label << " on frame " << frame << ", found on frame " << sample->first;
        ++(frame > sample->first ? checked.between : checked.sampled);
      }
    }
  }
  return checked;
}

scenes::Scene fast_scene(std::uint64_t seed) {
  // An object of a fifth of the height moves by half of itself from sample to sample.
  return scenes::Scene::random(
      seed, {.size = {kWidth, kHeight}, .duration = 2.1, .min_objects = 1, .max_speed = 0.5});
}

// Without margins: what lies between two results is there because the redactor knows the way.
TEST(MoondreamRedactVideo, WhatAnExactDetectorFoundIsGoneToTheLastPixel) {
  Checked checked;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const scenes::Scene scene = fast_scene(seed);
    MockModel model;
    model.always([&scene](const Job &job) -> Outcome {
      const int frame = job.image->pixels[2];  // draw() wrote it into the first blue sample
      Result result;
      for (const Prompt &prompt : job.request->prompts) {
        DetectResult found;
        for (const auto &[label, box, id] : scene.truth(seconds(frame)))
          if (label == std::get<DetectPrompt>(prompt).object)
            found.objects.push_back({.box = box, .score = 0.9});
        result.prompts.push_back(found);
      }
      return result;
    });
    const Output output = redacted(scene, "margin=0 margin-growth=0");
    ASSERT_EQ(output.samples.size(), 11u);
    const Checked here = expect_gone(scene, output);
    checked.sampled += here.sampled;
    checked.between += here.between;
  }
  // A test that looked at nothing would pass.
  EXPECT_GT(checked.sampled, 60);
  EXPECT_GT(checked.between, 4 * 60);
}

// A box that agrees with the truth at IoU 0.5 has at least half of each of the truth's sides, so
// the truth reaches beyond it by no more than its own side: a margin of 1 covers all of it.
TEST(MoondreamRedactVideo, WhatTheDemoModelFoundIsGone) {
  Checked checked;
  for (std::uint64_t seed = 11; seed <= 13; ++seed) {
    const scenes::Scene scene = fast_scene(seed);
    const Checked here = expect_gone(scene, redacted(scene, "margin=1"));
    checked.sampled += here.sampled;
    checked.between += here.between;
  }
  EXPECT_GT(checked.sampled, 5) << "the model found next to nothing";
  EXPECT_GT(checked.between, 5);
}

}  // namespace
}  // namespace moondream
