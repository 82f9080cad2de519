// moondreamoverlay in a harness: what comes out of frames that carry results, and of those that do
// not.
#include <gst/check/gstharness.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "../overlay_frames.h"
#include "gstmoondreammeta.h"
#include "gstmoondreamoverlay.h"
#include "overlay_palette.h"

namespace moondream {
namespace {

using test::info_of;
using test::writable_formats;

constexpr guint8 kGround = 0x60;

FrameAnalysis face_at(Box box) {
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kFresh;
  analysis.age = 0;
  analysis.serial = 1;
  analysis.objects = {{"face", 0.93, box, 0, 0}};
  return analysis;
}

class MoondreamOverlay : public testing::Test {
 protected:
  MoondreamOverlay()
      : element_(GST_ELEMENT(g_object_new(GST_TYPE_MOONDREAM_OVERLAY, nullptr))),
        harness_(gst_harness_new_with_element(GST_ELEMENT(gst_object_ref_sink(element_)), "sink",
                                              "src")),
        bus_(gst_bus_new()) {
    gst_element_set_bus(element_, bus_);
  }
  ~MoondreamOverlay() override {
    gst_element_set_bus(element_, nullptr);
    gst_object_unref(bus_);
    gst_harness_teardown(harness_);
    gst_object_unref(element_);
  }

  void set_caps(const GstVideoInfo &info) {
    info_ = info;
    gst_harness_set_src_caps(harness_, gst_video_info_to_caps(&info_));
  }

  // A frame whose bytes are all kGround.
  GstBuffer *new_frame() const {
    GstBuffer *buffer = gst_buffer_new_allocate(nullptr, info_.size, nullptr);
    gst_buffer_memset(buffer, 0, kGround, info_.size);
    GST_BUFFER_PTS(buffer) = 0;
    return buffer;
  }

  // Takes the buffer; the result is the caller's.
  GstBuffer *process(GstBuffer *buffer) { return gst_harness_push_and_pull(harness_, buffer); }

  std::vector<guint8> draw(const FrameAnalysis &analysis) {
    GstBuffer *buffer = new_frame();
    attach_analysis(buffer, analysis, info_.width, info_.height);
    buffer = process(buffer);
    const auto bytes = bytes_of(buffer);
    gst_buffer_unref(buffer);
    return bytes;
  }

  static std::vector<guint8> bytes_of(GstBuffer *buffer) {
    GstMapInfo map;
    EXPECT_TRUE(gst_buffer_map(buffer, &map, GST_MAP_READ));
    std::vector<guint8> bytes(map.data, map.data + map.size);
    gst_buffer_unmap(buffer, &map);
    return bytes;
  }

  // Of a frame in RGB.
  guint32 rgb_at(const std::vector<guint8> &bytes, int x, int y) const {
    const guint8 *p = bytes.data() + y * info_.stride[0] + 3 * x;
    return p[0] << 16 | p[1] << 8 | p[2];
  }
  bool touched(const std::vector<guint8> &bytes, int x, int y) const {
    return rgb_at(bytes, x, y) != 0x606060;
  }
  // The least rectangle that holds all touched pixels of an RGB frame.
  overlay::PixelRect touched_area(const std::vector<guint8> &bytes) const {
    overlay::PixelRect area = {info_.width, info_.height, 0, 0};
    for (int y = 0; y < info_.height; ++y) {
      for (int x = 0; x < info_.width; ++x) {
        if (!touched(bytes, x, y)) continue;
        area = {std::min(area.x_min, x), std::min(area.y_min, y), std::max(area.x_max, x + 1),
                std::max(area.y_max, y + 1)};
      }
    }
    return area;
  }

  GstElement *element_;
  GstHarness *harness_;
  GstBus *bus_;
  GstVideoInfo info_;
};

guint32 colour_of(const char *label) {
  const overlay::Colour c = overlay::label_colour(label);
  return c.r << 16 | c.g << 8 | c.b;
}

// ---- Nothing to draw -------------------------------------------------------------------------

// A copy of every frame would be the price of an overlay that draws on few of them.
TEST_F(MoondreamOverlay, PassesBuffersWithNothingToDrawAsTheyAre) {
  set_caps(info_of(GST_VIDEO_FORMAT_I420, 320, 240));
  FrameAnalysis nothing_found;
  nothing_found.status = AnalysisStatus::kFresh;
  FrameAnalysis pending = face_at({0.1, 0.1, 0.5, 0.5});
  pending.status = AnalysisStatus::kPending;
  FrameAnalysis failed = pending;
  failed.status = AnalysisStatus::kFailed;
  for (const FrameAnalysis *analysis : {static_cast<const FrameAnalysis *>(nullptr),
                                        static_cast<const FrameAnalysis *>(&nothing_found),
                                        static_cast<const FrameAnalysis *>(&pending),
                                        static_cast<const FrameAnalysis *>(&failed)}) {
    GstBuffer *in = new_frame();
    if (analysis) attach_analysis(in, *analysis, 320, 240);
    const auto before = bytes_of(in);
    gst_buffer_ref(in);  // not writable
    GstBuffer *out = process(in);
    EXPECT_EQ(out, in);
    EXPECT_EQ(bytes_of(out), before);
    gst_buffer_unref(out);
    gst_buffer_unref(in);
  }
}

TEST_F(MoondreamOverlay, PassesResultsThatAreTooOldAsTheyAre) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  FrameAnalysis held = face_at({0.1, 0.1, 0.5, 0.5});
  held.status = AnalysisStatus::kHeld;
  held.age = 1500 * GST_MSECOND;
  const auto is_drawn = [&] { return !touched_area(draw(held)).empty(); };
  EXPECT_TRUE(is_drawn());
  g_object_set(element_, "max-age", guint64{GST_SECOND}, nullptr);
  EXPECT_FALSE(is_drawn());
  g_object_set(element_, "max-age", guint64{2 * GST_SECOND}, nullptr);
  EXPECT_TRUE(is_drawn());
}

// ---- Drawing ---------------------------------------------------------------------------------

TEST_F(MoondreamOverlay, DrawsOnACopyOfABufferThatOthersHold) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  GstBuffer *in = new_frame();
  attach_analysis(in, face_at({0.25, 0.25, 0.75, 0.75}), 320, 240);
  const auto before = bytes_of(in);
  gst_buffer_ref(in);
  GstBuffer *out = process(in);
  EXPECT_NE(out, in);
  EXPECT_EQ(bytes_of(in), before);
  EXPECT_NE(bytes_of(out), before);
  EXPECT_EQ(GST_BUFFER_PTS(out), 0u);
  EXPECT_TRUE(read_analysis(out)) << "the result stays for those behind";
  gst_buffer_unref(out);
  gst_buffer_unref(in);
}

TEST_F(MoondreamOverlay, DrawsInPlaceWhereNobodyElseHoldsTheBuffer) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  GstBuffer *in = new_frame();
  attach_analysis(in, face_at({0.25, 0.25, 0.75, 0.75}), 320, 240);
  GstBuffer *out = process(in);
  EXPECT_EQ(out, in);
  gst_buffer_unref(out);
}

TEST_F(MoondreamOverlay, BoxLinesRunAroundTheBoxInTheColourOfTheLabel) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  g_object_set(element_, "line-width", 3u, "draw-labels", FALSE, "draw-scores", FALSE, nullptr);
  const auto frame = draw(face_at({0.25, 0.25, 0.75, 0.75}));  // 80..240 x 60..180
  const guint32 face = colour_of("face");
  for (int x = 77; x < 243; ++x) {
    for (int y = 57; y < 183; ++y) {
      const bool line = x < 80 || x >= 240 || y < 60 || y >= 180;
      ASSERT_EQ(rgb_at(frame, x, y), line ? face : 0x606060) << x << "," << y;
    }
  }
  // Around the line there is only its dark rim, one pixel wide.
  EXPECT_EQ(touched_area(frame), (overlay::PixelRect{76, 56, 244, 184}));
  EXPECT_LT(rgb_at(frame, 76, 100), 0x606060u);
}

TEST_F(MoondreamOverlay, LabelAtTheTopOfTheFrameIsLegible) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  const auto frame = draw(face_at({0.25, 0, 0.75, 0.75}));
  const guint32 face = colour_of("face");
  // The tag fills the top left corner of the box but for its letters, which are black with soft
  // edges: less than half as red as the label's colour.
  int filled = 0, ink = 0;
  for (int y = 0; y < 12; ++y) {
    for (int x = 84; x < 120; ++x) {
      filled += rgb_at(frame, x, y) == face;
      ink += rgb_at(frame, x, y) >> 16 < 0x80;
    }
  }
  EXPECT_GT(filled, 12 * 36 / 3);
  EXPECT_GT(ink, 30) << "letters";
}

TEST_F(MoondreamOverlay, PointIsADotAtItsPlace) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  g_object_set(element_, "draw-labels", FALSE, "draw-scores", FALSE, nullptr);
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kFresh;
  analysis.points = {{"nose", 0.8, {0.5, 0.5}}};
  const auto frame = draw(analysis);
  EXPECT_EQ(rgb_at(frame, 160, 120), colour_of("nose"));
  const overlay::PixelRect area = touched_area(frame);
  // The pixel's centre is the dot's.
  EXPECT_EQ(160 - area.x_min, area.x_max - 1 - 160);
  EXPECT_EQ(120 - area.y_min, area.y_max - 1 - 120);
  EXPECT_LT(area.width(), 20);
}

TEST_F(MoondreamOverlay, CaptionIsWrappedWithinTheBottomOfTheFrame) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kFresh;
  analysis.caption = "Two people walk along a wet street beside a parked car.";
  analysis.answers = {{"Is it raining?", "Yes."}};
  const overlay::PixelRect area = touched_area(draw(analysis));
  EXPECT_GT(area.x_min, 0);
  EXPECT_LT(area.x_max, 320);
  EXPECT_GT(area.y_min, 120);
  EXPECT_LT(area.y_max, 240);
  EXPECT_GT(area.height(), 3 * 12) << "three lines of at least 12 pixels";
  g_object_set(element_, "draw-caption", FALSE, nullptr);
  EXPECT_TRUE(touched_area(draw(analysis)).empty());
}

TEST_F(MoondreamOverlay, LettersGrowWithTheFrame) {
  const auto tag_height = [&](int width, int height) {
    set_caps(info_of(GST_VIDEO_FORMAT_RGB, width, height));
    const auto frame = draw(face_at({0.25, 0.5, 0.75, 0.75}));
    const guint32 face = colour_of("face");
    // The tag is what stands on the top line, whose rows have the colour over the whole width.
    int rows = 0;
    for (int y = 0; y < height / 2; ++y)
      rows += rgb_at(frame, width / 4, y) == face && rgb_at(frame, width * 5 / 8, y) != face;
    return rows;
  };
  const int small = tag_height(320, 240), large = tag_height(3840, 2160);
  EXPECT_GE(small, 11);
  EXPECT_LE(small, 18);
  EXPECT_GE(large, 58);
  EXPECT_LE(large, 100);
}

// Text must not be wider on a display because its pixels are.
TEST_F(MoondreamOverlay, LettersAreNarrowerWherePixelsAreWide) {
  const auto caption_width = [&](int par_n, int par_d) {
    GstVideoInfo info = info_of(GST_VIDEO_FORMAT_RGB, 720, 576);
    info.par_n = par_n;
    info.par_d = par_d;
    set_caps(info);
    FrameAnalysis analysis;
    analysis.status = AnalysisStatus::kFresh;
    analysis.caption = "A wet street.";
    return touched_area(draw(analysis)).width();
  };
  // A pixel for rounding up at either end.
  EXPECT_NEAR(caption_width(64, 45), caption_width(1, 1) * 45 / 64.0, 2);
}

TEST_F(MoondreamOverlay, AnyTextIsDrawnOnAnySize) {
  FrameAnalysis analysis = face_at({0, 0, 1, 1});
  analysis.objects[0].label =
      "\xe2\x80\xae<b>&\x01 \xf0\x9f\x98\x80 \xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d";
  analysis.points = {{std::string(5000, 'w'), 0.5, {1, 1}}};
  analysis.gaze = {{{0, 0}, {1, 1}}};
  analysis.caption = std::string(20000, 'c') + "\n\n\t\x7f";
  for (const auto &[width, height] : {std::pair{1, 1}, {3, 5}, {8192, 16}, {33, 777}}) {
    set_caps(info_of(GST_VIDEO_FORMAT_RGB, width, height));
    EXPECT_FALSE(touched_area(draw(analysis)).empty()) << width << "x" << height;
  }
}

// ---- Formats ---------------------------------------------------------------------------------

class EveryFormat : public MoondreamOverlay, public testing::WithParamInterface<GstVideoFormat> {};

INSTANTIATE_TEST_SUITE_P(MoondreamOverlay, EveryFormat, testing::ValuesIn(writable_formats()),
                         [](const auto &test) {
                           return std::string(gst_video_format_to_string(test.param));
                         });

TEST_P(EveryFormat, IsDrawnOnAndKeptElsewhere) {
  // Odd, but for UYVP, whose rows of odd width are too short for the converter.
  const int width = GetParam() == GST_VIDEO_FORMAT_UYVP ? 162 : 161, height = 121;
  set_caps(info_of(GetParam(), width, height));
  g_object_set(element_, "draw-labels", FALSE, "draw-scores", FALSE, nullptr);
  test::Frame before(info_);
  before.convert_from(test::argb_frame(width, height, [](int, int) { return 0xff606060u; }).get());
  const auto pixels_before = before.unpacked();
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, info_.size, nullptr);
  gst_buffer_fill(buffer, 0, before.plane(0), info_.size);
  attach_analysis(buffer, face_at({0.25, 0.25, 0.75, 0.75}), width, height);
  buffer = process(buffer);
  ASSERT_TRUE(buffer);
  gst_buffer_extract(buffer, 0, before.plane(0), info_.size);
  gst_buffer_unref(buffer);
  const auto pixels = before.unpacked();
  const auto changed = [&](int x, int y) {
    const std::size_t i = 4 * (static_cast<std::size_t>(y) * width + x);
    return !std::equal(&pixels[i], &pixels[i] + 4, &pixels_before[i]);
  };
  // The line is two pixels wide, at most four of chroma away from the box.
  for (int y = 40; y < 80; ++y) EXPECT_TRUE(changed(39, y) && changed(122, y)) << y;
  for (int x = 50; x < 110; ++x) EXPECT_TRUE(changed(x, 29) && changed(x, 92)) << x;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool outside = x < 32 || x >= 132 || y < 22 || y >= 102;
      const bool inside = x > 48 && x < 112 && y > 38 && y < 84;
      if (outside || inside) {
        ASSERT_FALSE(changed(x, y)) << x << "," << y;
      }
    }
  }
}

// ---- Streams ---------------------------------------------------------------------------------

std::atomic<int> renderings;

void count_renderings(GstDebugCategory *category, GstDebugLevel, const gchar *, const gchar *, gint,
                      GObject *, GstDebugMessage *message, gpointer) {
  if (!std::strcmp(gst_debug_category_get_name(category), "moondreamoverlay") &&
      std::strstr(gst_debug_message_get(message), "rendering result"))
    ++renderings;
}

// Thirty held frames a second must not each cost what a new result does.
TEST_F(MoondreamOverlay, RendersAResultOnceForAllFramesThatHoldIt) {
  set_caps(info_of(GST_VIDEO_FORMAT_I420, 320, 240));
  gst_debug_set_threshold_for_name("moondreamoverlay", GST_LEVEL_DEBUG);
  gst_debug_remove_log_function(gst_debug_log_default);  // keeps the test's output clean
  gst_debug_add_log_function(count_renderings, nullptr, nullptr);
  renderings = 0;
  FrameAnalysis analysis = face_at({0.25, 0.25, 0.75, 0.75});
  const auto first = draw(analysis);
  for (int i = 1; i < 10; ++i) {
    analysis.status = AnalysisStatus::kHeld;
    analysis.age = i * 33 * GST_MSECOND;
    EXPECT_EQ(draw(analysis), first);
  }
  EXPECT_EQ(renderings, 1);
  analysis.objects[0].score = 0.5;
  EXPECT_NE(draw(analysis), first);
  EXPECT_EQ(renderings, 2);
  gst_debug_remove_log_function(count_renderings);
  gst_debug_add_log_function(gst_debug_log_default, nullptr, nullptr);
  gst_debug_unset_threshold_for_name("moondreamoverlay");
}

// Between two held frames there may be one without a result: the next is drawn all the same.
TEST_F(MoondreamOverlay, DrawsAgainAfterFramesWithoutAResult) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  const auto first = draw(face_at({0.25, 0.25, 0.75, 0.75}));
  gst_buffer_unref(process(new_frame()));
  EXPECT_EQ(draw(face_at({0.25, 0.25, 0.75, 0.75})), first);
}

TEST_F(MoondreamOverlay, FollowsCapsThatChange) {
  const FrameAnalysis analysis = face_at({0.25, 0.25, 0.75, 0.75});
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  const auto first = draw(analysis);
  EXPECT_EQ(rgb_at(first, 79, 120), colour_of("face"));
  set_caps(info_of(GST_VIDEO_FORMAT_BGR, 320, 240));  // the same size: the same scene
  const auto second = draw(analysis);
  EXPECT_EQ(second[120 * info_.stride[0] + 79 * 3], colour_of("face") & 0xff) << "blue is first";
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 640, 480));
  EXPECT_EQ(rgb_at(draw(analysis), 159, 240), colour_of("face"));
}

TEST_F(MoondreamOverlay, PropertiesTakeEffectOnTheNextFrame) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  const FrameAnalysis analysis = face_at({0.25, 0.5, 0.75, 0.75});
  const auto both = draw(analysis);
  g_object_set(element_, "draw-scores", FALSE, nullptr);
  const auto label = draw(analysis);
  g_object_set(element_, "draw-labels", FALSE, nullptr);
  const auto none = draw(analysis);
  EXPECT_NE(both, label);
  EXPECT_NE(label, none);
  g_object_set(element_, "line-width", 9u, nullptr);
  EXPECT_EQ(rgb_at(draw(analysis), 71, 150), colour_of("face"));
  g_object_set(element_, "draw-labels", TRUE, "draw-scores", TRUE, "line-width", 0u, nullptr);
  EXPECT_EQ(draw(analysis), both);
}

TEST_F(MoondreamOverlay, RunsAgainAfterItWasStopped) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  const auto first = draw(face_at({0.25, 0.25, 0.75, 0.75}));
  gst_element_set_state(element_, GST_STATE_NULL);
  gst_element_set_state(element_, GST_STATE_PLAYING);
  gst_harness_play(harness_);
  gst_harness_push_event(harness_, gst_event_new_stream_start("again"));
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_harness_push_event(harness_, gst_event_new_segment(&segment));
  EXPECT_EQ(draw(face_at({0.25, 0.25, 0.75, 0.75})), first);
}

TEST_F(MoondreamOverlay, MemoryThatIsTooSmallIsAnError) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, 100, nullptr);
  attach_analysis(buffer, face_at({0.25, 0.25, 0.75, 0.75}), 320, 240);
  EXPECT_EQ(gst_harness_push(harness_, buffer), GST_FLOW_ERROR);
  GstMessage *message = gst_bus_pop_filtered(bus_, GST_MESSAGE_ERROR);
  ASSERT_TRUE(message);
  GError *error = nullptr;
  gst_message_parse_error(message, &error, nullptr);
  EXPECT_TRUE(g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT)) << error->message;
  g_error_free(error);
  gst_message_unref(message);
}

// Frames are drawn on where they are, so they may be made in what downstream offers.
TEST_F(MoondreamOverlay, DownstreamAnswersTheAllocationQuery) {
  set_caps(info_of(GST_VIDEO_FORMAT_RGB, 320, 240));
  gst_harness_add_propose_allocation_meta(harness_, GST_VIDEO_META_API_TYPE, nullptr);
  gst_buffer_unref(process(new_frame()));
  GstCaps *caps = gst_video_info_to_caps(&info_);
  GstQuery *query = gst_query_new_allocation(caps, TRUE);
  EXPECT_TRUE(gst_pad_peer_query(harness_->srcpad, query));
  EXPECT_TRUE(gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr));
  gst_query_unref(query);
  gst_caps_unref(caps);
}

}  // namespace
}  // namespace moondream
