// What elements that others wrote do to the picture between a result and whoever goes by its
// coordinates. The oracle is the picture itself: something bright on a dark ground.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>

#include "coordinates.h"
#include "filter_harness.h"

namespace moondream {
namespace {

constexpr int kWidth = 256, kHeight = 192;
constexpr guint8 kGround = 50, kThing = 200;
constexpr const char *kGrey = "video/x-raw,format=GRAY8,width=256,height=192,framerate=30/1";

// A thing that fills its box to the last pixel, near a corner, so that every way of moving the
// picture takes it out of there.
constexpr int kLeft = 16, kTop = 32, kRight = 80, kBottom = 80;

BufferPtr frame_with_thing(GstClockTime pts = 0) {
  std::vector<guint8> pixels(kWidth * kHeight, kGround);
  for (int y = kTop; y < kBottom; ++y)
    std::fill_n(pixels.begin() + y * kWidth + kLeft, kRight - kLeft, kThing);
  GstBuffer *buffer = gst_buffer_new_memdup(pixels.data(), pixels.size());
  GST_BUFFER_PTS(buffer) = pts;
  GST_BUFFER_DURATION(buffer) = GST_SECOND / 30;
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kFresh;
  analysis.serial = 1;
  analysis.age = 0;
  analysis.sample_pts = pts;
  analysis.caption = "A thing.";
  analysis.objects = {{.label = "thing",
                       .score = 1,
                       .box = {kLeft / double{kWidth}, kTop / double{kHeight},
                               kRight / double{kWidth}, kBottom / double{kHeight}}}};
  attach_analysis(buffer, analysis, kWidth, kHeight);
  return BufferPtr(buffer);
}

bool exists(const std::string &chain) {
  const std::string name = chain.substr(0, chain.find(' '));
  GstElementFactory *factory = gst_element_factory_find(name.c_str());
  if (factory) gst_object_unref(factory);
  return factory != nullptr;
}

// A frame with the thing goes through `chain` and then `behind`, which gets GRAY8.
struct Passed {
  HarnessPtr harness;
  BusPtr bus;
  BufferPtr buffer;
  int width = 0, height = 0;

  Passed(const std::string &chain, const std::string &behind)
      : harness(gst_harness_new_parse(
            (chain + " ! videoconvert ! capsfilter caps=video/x-raw,format=GRAY8 ! " + behind)
                .c_str())),
        bus(listen_to(harness->element)) {
    gst_harness_set_src_caps_str(harness.get(), kGrey);
    EXPECT_EQ(gst_harness_push(harness.get(), frame_with_thing().release()), GST_FLOW_OK);
    gst_harness_push_event(harness.get(), gst_event_new_eos());
    buffer.reset(gst_harness_pull(harness.get()));
    GstCaps *caps = gst_pad_get_current_caps(harness->sinkpad);
    GstVideoInfo info;
    if (caps && gst_video_info_from_caps(&info, caps)) {
      width = info.width;
      height = info.height;
    }
    if (caps) gst_caps_unref(caps);
  }

  ElementPtr child(const char *name) {
    return ElementPtr(gst_bin_get_by_name(GST_BIN(harness->element), name));
  }

  // Of the picture; rows end at words.
  std::vector<guint8> pixels() const {
    std::vector<guint8> bytes(gst_buffer_get_size(buffer.get())), all;
    gst_buffer_extract(buffer.get(), 0, bytes.data(), bytes.size());
    const auto stride = static_cast<std::size_t>(GST_ROUND_UP_4(width));
    EXPECT_EQ(bytes.size(), stride * static_cast<std::size_t>(height));
    for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y)
      all.insert(all.end(), bytes.begin() + static_cast<std::ptrdiff_t>(y * stride),
                 bytes.begin() + static_cast<std::ptrdiff_t>(y * stride) + width);
    return all;
  }
};

struct Move {
  const char *name;
  const char *chain;
  // Of the picture that is left of the thing's, where the thing is not: what encoders make of an
  // even ground, in values of a pixel.
  int noise = 0;
};
std::ostream &operator<<(std::ostream &out, const Move &move) { return out << move.name; }

std::string name_of(const testing::TestParamInfo<Move> &param_info) {
  return param_info.param.name;
}

nlohmann::json json_of(const BufferPtr &buffer) {
  std::string text(gst_buffer_get_size(buffer.get()), '\0');
  gst_buffer_extract(buffer.get(), 0, text.data(), text.size());
  return nlohmann::json::parse(text);
}

constexpr const char *kRedact = "moondreamredact name=redact margin=0";

// ---- What can be followed ----------------------------------------------------------------------

class CoordinatesFollow : public testing::TestWithParam<Move> {};

// Whatever of the thing is left, be it mixed into its neighbours, is brighter than the ground.
TEST_P(CoordinatesFollow, NothingOfTheThingIsLeftAndTheRestIs) {
  if (!exists(GetParam().chain)) GTEST_SKIP() << GetParam().chain << " is not installed";
  Passed passed(GetParam().chain, kRedact);
  ASSERT_TRUE(passed.buffer);
  const auto pixels = passed.pixels();
  EXPECT_LE(*std::max_element(pixels.begin(), pixels.end()), kGround + GetParam().noise);
  // The thing is a sixteenth of the picture. With room for what drifted, less than a fifth.
  const auto left =
      std::count_if(pixels.begin(), pixels.end(), [](guint8 value) { return value > kGround / 2; });
  EXPECT_GT(left * 5, static_cast<std::ptrdiff_t>(pixels.size()) * 4);
  EXPECT_EQ(stat_of(passed.child("redact").get(), "unplaced"), 0u);
  EXPECT_EQ(stat_of(passed.child("redact").get(), "redacted"), 1u);
}

TEST_P(CoordinatesFollow, TheRecordHasNothingToSay) {
  if (!exists(GetParam().chain)) GTEST_SKIP() << GetParam().chain << " is not installed";
  Passed passed(GetParam().chain, "moondreammetawrite output=json");
  ASSERT_TRUE(passed.buffer);
  EXPECT_FALSE(json_of(passed.buffer).contains("placed"));
}

INSTANTIATE_TEST_SUITE_P(
    Elements, CoordinatesFollow,
    testing::Values(
        Move{"nothing", "identity"},
        Move{"videoconvert", "videoconvert ! capsfilter caps=video/x-raw,format=I420"},
        Move{"videorate", "videorate"},
        Move{"larger", "videoscale ! capsfilter caps=video/x-raw,width=512,height=384"},
        Move{"muchlarger", "videoscale ! capsfilter caps=video/x-raw,width=1280,height=960"},
        Move{"smaller", "videoscale ! capsfilter caps=video/x-raw,width=128,height=96"},
        Move{"nearest",
             "videoscale method=nearest-neighbour ! capsfilter "
             "caps=video/x-raw,width=400,height=300"},
        // 25 rows hold what would take 24.75.
        Move{"rounded",
             "videoscale ! capsfilter caps=video/x-raw,width=33,height=25,pixel-aspect-ratio=1/1"},
        Move{"roundedwithoutborders",
             "videoscale add-borders=false ! capsfilter "
             "caps=video/x-raw,width=33,height=25,pixel-aspect-ratio=1/1"},
        // Narrow pixels: the same picture.
        Move{
            "otherpixels",
            "videoscale ! capsfilter caps=video/x-raw,width=384,height=192,pixel-aspect-ratio=2/3"},
        Move{"freepixels", "videoscale ! capsfilter caps=video/x-raw,width=192,height=384"},
        Move{"twice",
             "videoscale ! capsfilter caps=video/x-raw,width=320,height=240 ! videoscale ! "
             "capsfilter caps=video/x-raw,width=400,height=300"},
        Move{"convertandscale",
             "videoconvertscale ! capsfilter caps=video/x-raw,format=I420,width=512,height=384"},
        Move{"jpeg", "jpegenc quality=100 ! jpegdec", 8}, Move{"png", "pngenc ! pngdec"},
        Move{"scaledjpeg",
             "jpegenc quality=100 ! jpegdec ! videoscale ! capsfilter "
             "caps=video/x-raw,width=512,height=384",
             8}),
    name_of);

// ---- What cannot -------------------------------------------------------------------------------

class CoordinatesLost : public testing::TestWithParam<Move> {};

TEST_P(CoordinatesLost, TheFrameIsCoveredAndSaysWhy) {
  if (!exists(GetParam().chain)) GTEST_SKIP() << GetParam().chain << " is not installed";
  Passed passed(GetParam().chain, kRedact);
  ASSERT_TRUE(passed.buffer);
  const auto pixels = passed.pixels();
  EXPECT_EQ(std::count(pixels.begin(), pixels.end(), 0),
            static_cast<std::ptrdiff_t>(pixels.size()));
  EXPECT_EQ(stat_of(passed.child("redact").get(), "unplaced"), 1u);
  const MessagePtr message = wait_for(passed.bus, GST_MESSAGE_WARNING);
  ASSERT_TRUE(message);
  EXPECT_EQ(GST_MESSAGE_SRC(message.get()), GST_OBJECT(passed.child("redact").get()));
}

// Regions that GStreamer moved along are taken for right as little, where a filter was upstream:
// the scalers of its versions up to 1.26 do not think of their borders.
TEST_P(CoordinatesLost, RegionsAreNotBelievedEither) {
  if (!exists(GetParam().chain)) GTEST_SKIP() << GetParam().chain << " is not installed";
  Passed passed(GetParam().chain, std::string(kRedact) + " source=roi");
  ASSERT_TRUE(passed.buffer);
  const auto pixels = passed.pixels();
  EXPECT_EQ(std::count(pixels.begin(), pixels.end(), 0),
            static_cast<std::ptrdiff_t>(pixels.size()));
  EXPECT_EQ(stat_of(passed.child("redact").get(), "unplaced") +
                stat_of(passed.child("redact").get(), "no-meta"),
            1u);
}

// Boxes are not drawn where nothing is; what the model said stays true.
TEST_P(CoordinatesLost, NoBoxIsDrawn) {
  if (!exists(GetParam().chain)) GTEST_SKIP() << GetParam().chain << " is not installed";
  Passed passed(GetParam().chain, "moondreamoverlay name=overlay draw-caption=false");
  Passed plain(GetParam().chain, "identity");
  ASSERT_TRUE(passed.buffer && plain.buffer);
  EXPECT_TRUE(passed.pixels() == plain.pixels());
  const MessagePtr message = wait_for(passed.bus, GST_MESSAGE_WARNING);
  ASSERT_TRUE(message);
  EXPECT_EQ(GST_MESSAGE_SRC(message.get()), GST_OBJECT(passed.child("overlay").get()));
  Passed captioned(GetParam().chain, "moondreamoverlay");
  EXPECT_FALSE(captioned.pixels() == plain.pixels());
}

// The record says that its coordinates are not of the frame whose size it gives.
TEST_P(CoordinatesLost, TheRecordSaysSo) {
  if (!exists(GetParam().chain)) GTEST_SKIP() << GetParam().chain << " is not installed";
  Passed passed(GetParam().chain, "moondreammetawrite output=json");
  ASSERT_TRUE(passed.buffer);
  const auto json = json_of(passed.buffer);
  EXPECT_EQ(json.value("placed", true), false);
  EXPECT_EQ(json["objects"][0]["label"], "thing");
}

INSTANTIATE_TEST_SUITE_P(
    Elements, CoordinatesLost,
    testing::Values(
        Move{
            "borders",
            "videoscale ! capsfilter caps=video/x-raw,width=512,height=192,pixel-aspect-ratio=1/1"},
        // Would be where it says, but nobody can tell it from the one above.
        Move{"noborders",
             "videoscale add-borders=false ! capsfilter "
             "caps=video/x-raw,width=512,height=192,pixel-aspect-ratio=1/1"},
        Move{
            "otherpixels",
            "videoscale ! capsfilter caps=video/x-raw,pixel-aspect-ratio=2/1,width=256,height=192"},
        Move{
            "thenback",
            "videoscale ! capsfilter caps=video/x-raw,width=512,height=192,pixel-aspect-ratio=1/1 "
            "! "
            "videoscale ! capsfilter caps=video/x-raw,width=256,height=192,pixel-aspect-ratio=1/1"},
        Move{"crop", "videocrop left=8 top=16"},
        Move{"cropthatkeepstheaspect", "videocrop right=128 bottom=96"},
        Move{"cropandzoom",
             "videocrop right=128 bottom=96 ! videoscale ! capsfilter "
             "caps=video/x-raw,width=256,height=192"},
        Move{"aspectratiocrop",
             "videoconvert ! capsfilter caps=video/x-raw,width=256,height=192,format=I420 ! "
             "aspectratiocrop aspect-ratio=1/1"},
        Move{"paddedbox", "videobox left=-64 top=-48"},
        Move{"paddedboxandback", "videobox left=-64 top=-48 right=64 bottom=48"},
        Move{"croppedbox", "videobox right=128 bottom=96"},
        Move{"mirrored", "videoflip video-direction=horiz"},
        Move{"upsidedown", "videoflip video-direction=180"},
        Move{"turned", "videoflip video-direction=90r"}, Move{"warped", "rotate angle=1"}),
    name_of);

// ---- The meta ----------------------------------------------------------------------------------

TEST(Coordinates, AreThoseOfTheFrameThatTheyWereAttachedTo) {
  const BufferPtr buffer = frame_with_thing();
  EXPECT_EQ(drift_of(buffer.get(), kWidth, kHeight), Drift{});
  EXPECT_FALSE(drift_of(buffer.get(), kWidth + 1, kHeight));
  EXPECT_FALSE(drift_of(buffer.get(), kWidth, kHeight - 1));
  attach_coordinates(buffer.get(), 8, 9);
  EXPECT_FALSE(drift_of(buffer.get(), kWidth, kHeight));
  EXPECT_EQ(drift_of(buffer.get(), 8, 9), Drift{});
  const BufferPtr bare(gst_buffer_new());
  EXPECT_FALSE(drift_of(bare.get(), kWidth, kHeight));
}

// A pixel of the smaller picture for each scaler that there was.
TEST(Coordinates, DriftWithEachScaler) {
  Passed once("videoscale ! capsfilter caps=video/x-raw,width=32,height=24", "identity");
  EXPECT_EQ(drift_of(once.buffer.get(), 32, 24), (Drift{1.0 / 32, 1.0 / 24}));
  Passed twice(
      "videoscale ! capsfilter caps=video/x-raw,width=32,height=24 ! videoscale ! "
      "capsfilter caps=video/x-raw,width=64,height=48",
      "identity");
  EXPECT_EQ(drift_of(twice.buffer.get(), 64, 48), (Drift{2.0 / 32, 2.0 / 24}));
  EXPECT_EQ(widened({0.25, 0.5, 0.75, 0.875}, {0.25, 0.125}), (Box{0, 0.375, 1, 1}));
}

// A meta that somebody else wrote, or damaged, says nothing.
TEST(Coordinates, AreUnknownWhereTheMetaIsMalformed) {
  for (const char *field : {"width", "height", "drift-x", "drift-y"}) {
    const BufferPtr buffer = frame_with_thing();
    GstCustomMeta *meta = gst_buffer_get_custom_meta(buffer.get(), "moondream-coordinates");
    ASSERT_TRUE(meta);
    gst_structure_set(gst_custom_meta_get_structure(meta), field, G_TYPE_STRING, "?", nullptr);
    EXPECT_FALSE(drift_of(buffer.get(), kWidth, kHeight)) << field;
    // Nor does its copy.
    const BufferPtr copy(gst_buffer_copy(buffer.get()));
    EXPECT_FALSE(drift_of(copy.get(), kWidth, kHeight)) << field;
    EXPECT_TRUE(read_analysis(copy.get())) << field;
  }
}

TEST(Coordinates, AreUnknownWhereTheyMayHaveDriftedAnywhere) {
  for (const double drift : {-0.1, 1.1, HUGE_VAL, std::nan("")}) {
    const BufferPtr buffer = frame_with_thing();
    GstCustomMeta *meta = gst_buffer_get_custom_meta(buffer.get(), "moondream-coordinates");
    gst_structure_set(gst_custom_meta_get_structure(meta), "drift-x", G_TYPE_DOUBLE, drift,
                      nullptr);
    EXPECT_FALSE(drift_of(buffer.get(), kWidth, kHeight)) << drift;
  }
}

}  // namespace
}  // namespace moondream
