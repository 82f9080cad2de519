// moondreamoverlay in front of something that shows pictures over the video by itself.
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "../overlay_frames.h"
#include "gstmoondreammeta.h"
#include "gstmoondreamoverlay.h"
#include "overlay_composition.h"
#include "overlay_palette.h"

namespace moondream {
namespace {

constexpr int kWidth = 320, kHeight = 240;
constexpr guint8 kGround = 0x60;
constexpr const char *kFeature = GST_CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION;

FrameAnalysis face_at(Box box) {
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kFresh;
  analysis.age = 0;
  analysis.serial = 1;
  analysis.objects = {{"face", 0.93, box, 0, 0}};
  return analysis;
}

// Both, and takes any format.
enum class Downstream { kShowsCompositions, kTakesTheirCapsAlone, kTakesNone, kTakesAnything };

class Composition : public testing::Test {
 protected:
  ~Composition() override { end(); }

  void begin(Downstream downstream) {
    end();
    auto *element = GST_ELEMENT(gst_object_ref_sink(g_object_new(
        GST_TYPE_MOONDREAM_OVERLAY, "draw-labels", FALSE, "draw-scores", FALSE, nullptr)));
    harness_ = gst_harness_new_with_element(element, "sink", "src");
    gst_object_unref(element);  // the harness has its own reference
    const std::string with = std::string("video/x-raw(memory:SystemMemory, ") + kFeature + ")";
    if (downstream == Downstream::kTakesNone) {
      gst_harness_set_sink_caps_str(harness_, "video/x-raw");
    } else if (downstream != Downstream::kTakesAnything) {
      gst_harness_set_sink_caps_str(harness_, (with + "; video/x-raw").c_str());
    }
    if (downstream == Downstream::kShowsCompositions) {
      gst_harness_add_propose_allocation_meta(harness_, GST_VIDEO_OVERLAY_COMPOSITION_META_API_TYPE,
                                              nullptr);
    }
    info_ = test::info_of(GST_VIDEO_FORMAT_BGRx, kWidth, kHeight);
    gst_harness_set_src_caps(harness_, gst_video_info_to_caps(&info_));
  }

  void end() {
    if (harness_) gst_harness_teardown(harness_);
    harness_ = nullptr;
  }

  GstBuffer *new_frame() const {
    GstBuffer *buffer = gst_buffer_new_allocate(nullptr, info_.size, nullptr);
    gst_buffer_memset(buffer, 0, kGround, info_.size);
    GST_BUFFER_PTS(buffer) = 0;
    return buffer;
  }
  GstBuffer *new_frame(const FrameAnalysis &analysis) const {
    GstBuffer *buffer = new_frame();
    attach_analysis(buffer, analysis, kWidth, kHeight);
    return buffer;
  }

  static std::vector<guint8> bytes_of(GstBuffer *buffer) {
    std::vector<guint8> bytes(gst_buffer_get_size(buffer));
    gst_buffer_extract(buffer, 0, bytes.data(), bytes.size());
    return bytes;
  }

  bool caps_have_feature() const {
    GstCaps *caps = gst_pad_get_current_caps(harness_->sinkpad);
    const bool has = gst_caps_features_contains(gst_caps_get_features(caps, 0), kFeature);
    gst_caps_unref(caps);
    return has;
  }

  static GstVideoOverlayComposition *composition_of(GstBuffer *buffer) {
    const auto *meta = gst_buffer_get_video_overlay_composition_meta(buffer);
    return meta ? meta->overlay : nullptr;
  }

  GstHarness *harness_ = nullptr;
  GstVideoInfo info_;
};

// Not even the pixels of a buffer that others hold: only its metadata is copied.
TEST_F(Composition, TravelsBesidePixelsThatAreNeitherWrittenNorCopied) {
  begin(Downstream::kShowsCompositions);
  GstBuffer *in = new_frame(face_at({0.25, 0.25, 0.75, 0.75}));
  gst_buffer_ref(in);
  GstBuffer *out = gst_harness_push_and_pull(harness_, in);
  ASSERT_TRUE(out);
  EXPECT_TRUE(caps_have_feature());
  EXPECT_TRUE(composition_of(out));
  EXPECT_FALSE(composition_of(in)) << "the others' buffer is as it was";
  EXPECT_EQ(gst_buffer_peek_memory(out, 0), gst_buffer_peek_memory(in, 0));
  EXPECT_EQ(bytes_of(out), std::vector<guint8>(info_.size, kGround));
  EXPECT_TRUE(read_analysis(out));
  gst_buffer_unref(out);
  gst_buffer_unref(in);
}

// GStreamer's own blender stands for the sink.
TEST_F(Composition, ShowsWhatWouldHaveBeenDrawn) {
  begin(Downstream::kShowsCompositions);
  GstBuffer *out =
      gst_harness_push_and_pull(harness_, new_frame(face_at({0.25, 0.25, 0.75, 0.75})));
  ASSERT_TRUE(out && composition_of(out));
  GstVideoOverlayComposition *composition = gst_video_overlay_composition_ref(composition_of(out));
  gst_buffer_unref(out);
  GstBuffer *shown = new_frame();
  GstVideoFrame frame;
  ASSERT_TRUE(gst_video_frame_map(&frame, &info_, shown, GST_MAP_READWRITE));
  EXPECT_TRUE(gst_video_overlay_composition_blend(composition, &frame));
  gst_video_frame_unmap(&frame);
  gst_video_overlay_composition_unref(composition);

  // The box is 80..240 x 60..180 and its line, two pixels wide, runs around it.
  const overlay::Colour face = overlay::label_colour("face");
  const auto bytes = bytes_of(shown);
  gst_buffer_unref(shown);
  for (const auto &[x, y] : {std::pair{79, 120}, {240, 120}, {160, 59}, {160, 180}}) {
    const guint8 *pixel = &bytes[static_cast<std::size_t>(y) * info_.stride[0] + 4 * x];
    // Each of two blendings may round.
    EXPECT_NEAR(pixel[0], face.b, 2) << x << "," << y;
    EXPECT_NEAR(pixel[1], face.g, 2) << x << "," << y;
    EXPECT_NEAR(pixel[2], face.r, 2) << x << "," << y;
  }
  EXPECT_EQ(bytes[static_cast<std::size_t>(120) * info_.stride[0] + 4 * 160], kGround);
}

// A sink keeps the textures of a composition that it has seen.
TEST_F(Composition, IsTheSameObjectAsLongAsTheResultLooksTheSame) {
  begin(Downstream::kShowsCompositions);
  FrameAnalysis analysis = face_at({0.25, 0.25, 0.75, 0.75});
  GstBuffer *first = gst_harness_push_and_pull(harness_, new_frame(analysis));
  analysis.status = AnalysisStatus::kHeld;
  analysis.age = GST_SECOND;
  GstBuffer *second = gst_harness_push_and_pull(harness_, new_frame(analysis));
  analysis.objects[0].box.x_max = 0.5;
  GstBuffer *third = gst_harness_push_and_pull(harness_, new_frame(analysis));
  EXPECT_EQ(composition_of(first), composition_of(second));
  EXPECT_NE(composition_of(first), composition_of(third));
  for (GstBuffer *buffer : {first, second, third}) gst_buffer_unref(buffer);
}

TEST_F(Composition, IsNotThereWhereThereIsNothingToDraw) {
  begin(Downstream::kShowsCompositions);
  GstBuffer *in = new_frame();
  GstBuffer *out = gst_harness_push_and_pull(harness_, in);
  EXPECT_EQ(out, in);
  EXPECT_FALSE(composition_of(out));
  gst_buffer_unref(out);
}

TEST_F(Composition, LiesOverThoseOfOtherElements) {
  begin(Downstream::kShowsCompositions);
  GstBuffer *in = new_frame(face_at({0.25, 0.25, 0.75, 0.75}));
  GstBuffer *pixels = gst_buffer_new_allocate(nullptr, 4, nullptr);
  gst_buffer_memset(pixels, 0, 0xff, 4);
  gst_buffer_add_video_meta(pixels, GST_VIDEO_FRAME_FLAG_NONE,
                            GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB, 1, 1);
  GstVideoOverlayRectangle *other =
      gst_video_overlay_rectangle_new_raw(pixels, 0, 0, 1, 1, GST_VIDEO_OVERLAY_FORMAT_FLAG_NONE);
  GstVideoOverlayComposition *others = gst_video_overlay_composition_new(other);
  gst_buffer_add_video_overlay_composition_meta(in, others);
  GstBuffer *out = gst_harness_push_and_pull(harness_, in);
  ASSERT_TRUE(composition_of(out));
  // GStreamer may copy the rectangle itself.
  guint width = 0, height = 0;
  EXPECT_TRUE(gst_video_overlay_rectangle_get_render_rectangle(
      gst_video_overlay_composition_get_rectangle(composition_of(out), 0), nullptr, nullptr, &width,
      &height));
  EXPECT_TRUE(width == 1 && height == 1) << "theirs is first";
  EXPECT_GT(gst_video_overlay_composition_n_rectangles(composition_of(out)), 1u);
  EXPECT_EQ(gst_video_overlay_composition_n_rectangles(others), 1u) << "theirs is as it was";
  gst_buffer_unref(out);
  gst_video_overlay_composition_unref(others);
  gst_video_overlay_rectangle_unref(other);
  gst_buffer_unref(pixels);
}

// Otherwise nothing would be seen at all.
TEST_F(Composition, PixelsAreDrawnOnWhereItWouldNotBeShown) {
  for (const Downstream downstream :
       {Downstream::kTakesTheirCapsAlone, Downstream::kTakesNone, Downstream::kTakesAnything}) {
    begin(downstream);
    GstBuffer *out =
        gst_harness_push_and_pull(harness_, new_frame(face_at({0.25, 0.25, 0.75, 0.75})));
    ASSERT_TRUE(out);
    EXPECT_FALSE(composition_of(out));
    EXPECT_NE(bytes_of(out), std::vector<guint8>(info_.size, kGround));
    EXPECT_EQ(caps_have_feature(), downstream == Downstream::kTakesTheirCapsAlone);
    gst_buffer_unref(out);
    gst_harness_teardown(std::exchange(harness_, nullptr));
  }
}

// What is attached lies on a whole picture.
TEST(CompositionCaps, FieldsHaveNone) {
  GstCaps *caps = gst_caps_from_string(
      "video/x-raw,width=64; video/x-raw(format:Interlaced),interlace-mode=alternate");
  GstCaps *with = overlay::with_composition(caps);
  EXPECT_EQ(gst_caps_get_size(with), 1u);
  EXPECT_TRUE(overlay::has_composition(with));
  EXPECT_FALSE(gst_caps_features_contains(gst_caps_get_features(with, 0),
                                          GST_CAPS_FEATURE_FORMAT_INTERLACED));
  gst_caps_unref(with);
  gst_caps_unref(caps);
}

}  // namespace
}  // namespace moondream
