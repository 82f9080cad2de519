// What elements that others wrote make of the metas that moondreamfilter attaches.
#include <gst/video/gstvideometa.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <iterator>
#include <regex>

#include "filter_harness.h"

namespace moondream {
namespace {

// Two objects with corners on whole pixels of 64x48, and everything else that a result can hold.
FrameAnalysis everything() {
  FrameAnalysis analysis;
  analysis.status = AnalysisStatus::kHeld;
  analysis.sample_pts = 1;
  analysis.age = 2;
  analysis.serial = 3;
  analysis.model = "mock";
  analysis.objects = {{"license plate", 0.75, {0.25, 0.25, 0.5, 0.75}, 7, 1},
                      {"face", 0.5, {0.5, 0, 1, 0.5}, 9, 0}};
  analysis.points = {{"nose", 0.5, {0.5, 0.25}}};
  analysis.gaze = {{{0.5, 0.5}, {1, 1}}};
  analysis.caption = "Two things.";
  analysis.answers = {{"Why?", "Because."}};
  return analysis;
}

struct Region {
  std::string label;
  guint x, y, width, height;
  bool operator==(const Region &) const = default;
};
const std::vector<Region> kRegions = {{"license plate", 16, 12, 16, 24}, {"face", 32, 0, 32, 24}};

std::vector<Region> scaled(std::vector<Region> regions, guint factor) {
  for (Region &region : regions) {
    region.x *= factor;
    region.y *= factor;
    region.width *= factor;
    region.height *= factor;
  }
  return regions;
}

std::vector<Region> regions_of(GstBuffer *buffer) {
  std::vector<Region> regions;
  gpointer state = nullptr;
  while (GstMeta *meta = gst_buffer_iterate_meta_filtered(
             buffer, &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)) {
    const auto *roi = reinterpret_cast<GstVideoRegionOfInterestMeta *>(meta);
    regions.push_back({g_quark_to_string(roi->roi_type), roi->x, roi->y, roi->w, roi->h});
  }
  return regions;
}

// A plain way to compare all fields.
std::string text_of(const FrameAnalysis &analysis) {
  GstStructure *structure = to_structure(analysis, "analysis");
  const TextPtr text(gst_structure_to_string(structure));
  gst_structure_free(structure);
  return text.get();
}

bool exists(const char *name) {
  GstElementFactory *factory = gst_element_factory_find(name);
  if (factory) gst_object_unref(factory);
  return factory != nullptr;
}

constexpr const char *kCaps = "video/x-raw,format=I420,width=64,height=48,framerate=30/1";

BufferPtr new_frame() {
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, 64 * 48 * 3 / 2, nullptr);
  gst_buffer_memset(buffer, 0, 0x60, 64 * 48 * 3 / 2);
  GST_BUFFER_PTS(buffer) = 0;
  GST_BUFFER_DURATION(buffer) = GST_SECOND / 30;
  attach_analysis(buffer, everything(), 64, 48);
  return BufferPtr(buffer);
}

// What comes out of a chain of elements that a frame with `everything()` goes through; null, after
// a failure of the test, if nothing does.
BufferPtr through(const std::string &chain) {
  const HarnessPtr harness(gst_harness_new_parse(chain.c_str()));
  EXPECT_TRUE(harness) << chain;
  if (!harness) return nullptr;
  gst_harness_set_src_caps_str(harness.get(), kCaps);
  EXPECT_EQ(gst_harness_push(harness.get(), new_frame().release()), GST_FLOW_OK) << chain;
  // Encoders and decoders may keep frames until then.
  gst_harness_push_event(harness.get(), gst_event_new_eos());
  BufferPtr out(gst_harness_pull(harness.get()));
  // Encoders may begin with what is about no frame.
  while (out && GST_BUFFER_FLAG_IS_SET(out.get(), GST_BUFFER_FLAG_HEADER))
    out.reset(gst_harness_pull(harness.get()));
  EXPECT_TRUE(out) << chain;
  return out;
}

// ---- Survival --------------------------------------------------------------------------------

struct Survival {
  const char *element;  // that has to exist
  const char *chain;
  std::vector<Region> regions;
};

class InteropSurvival : public testing::TestWithParam<Survival> {};

// A consumer behind these elements has to find what the filter saw, in fractions of the frame and,
// where GStreamer keeps them, as regions in pixels of the frame as it is now.
TEST_P(InteropSurvival, ResultsAndRegionsComeThrough) {
  if (!exists(GetParam().element)) GTEST_SKIP() << GetParam().element << " is not installed";
  const BufferPtr out = through(GetParam().chain);
  ASSERT_TRUE(out);
  const auto analysis = read_analysis(out.get());
  ASSERT_TRUE(analysis);
  EXPECT_EQ(text_of(*analysis), text_of(everything()));
  EXPECT_EQ(regions_of(out.get()), GetParam().regions);
}

INSTANTIATE_TEST_SUITE_P(
    Elements, InteropSurvival,
    testing::Values(
        Survival{"queue", "queue ! identity", kRegions},
        Survival{"videorate", "videorate", kRegions},
        Survival{"videoconvert", "videoconvert ! capsfilter caps=video/x-raw,format=RGB", kRegions},
        Survival{"videoscale", "videoscale ! capsfilter caps=video/x-raw,width=128,height=96",
                 scaled(kRegions, 2)},
        Survival{"videoconvertscale",
                 "videoconvertscale ! capsfilter caps=video/x-raw,format=RGB,width=128,height=96",
                 scaled(kRegions, 2)},
        Survival{"jpegenc", "jpegenc", kRegions},
        Survival{"pngenc", "videoconvert ! pngenc", kRegions},
        Survival{"theoraenc", "theoraenc", kRegions},
        Survival{"vp8enc", "vp8enc deadline=1", kRegions},
        Survival{"vp9enc", "vp9enc deadline=1 cpu-used=8", kRegions},
        Survival{"x264enc", "x264enc tune=zerolatency", kRegions},
        Survival{"x265enc", "x265enc tune=zerolatency", kRegions},
        Survival{"openh264enc", "openh264enc", kRegions}),
    [](const auto &param_info) { return std::string(param_info.param.element); });

class InteropDecoders : public testing::TestWithParam<const char *> {};

// Whether regions survive is up to the decoder; the result does.
TEST_P(InteropDecoders, ResultsComeThroughAnEncoderAndItsDecoder) {
  const std::string name = GetParam();
  if (!exists((name + "enc").c_str()) || !exists((name + "dec").c_str()))
    GTEST_SKIP() << name << "enc or " << name << "dec is not installed";
  const BufferPtr out = through("videoconvert ! " + name + "enc ! " + name + "dec");
  ASSERT_TRUE(out);
  const auto analysis = read_analysis(out.get());
  ASSERT_TRUE(analysis);
  EXPECT_EQ(text_of(*analysis), text_of(everything()));
}

INSTANTIATE_TEST_SUITE_P(Codecs, InteropDecoders,
                         testing::Values("jpeg", "png", "theora", "vp8", "vp9"),
                         [](const auto &param_info) { return std::string(param_info.param); });

class InteropGeometry : public testing::TestWithParam<Survival> {};

// Elements that move the picture move regions or drop them, as their GStreamer does: either way
// none is where nothing is. The result stays, in fractions of the frame as it left the filter.
TEST_P(InteropGeometry, ResultsComeThroughAndNoRegionIsAtAWrongPlace) {
  if (!exists(GetParam().element)) GTEST_SKIP() << GetParam().element << " is not installed";
  const BufferPtr out = through(GetParam().chain);
  ASSERT_TRUE(out);
  const auto analysis = read_analysis(out.get());
  ASSERT_TRUE(analysis);
  EXPECT_EQ(text_of(*analysis), text_of(everything()));
  const auto regions = regions_of(out.get());
  if (!regions.empty()) {
    EXPECT_EQ(regions, GetParam().regions);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Elements, InteropGeometry,
    testing::Values(Survival{"videocrop",
                             "videocrop left=8 top=4",
                             {{"license plate", 8, 8, 16, 24}, {"face", 24, 0, 32, 20}}},
                    Survival{"videoflip",
                             "videoflip video-direction=180",
                             {{"license plate", 32, 12, 16, 24}, {"face", 0, 24, 32, 24}}},
                    Survival{"videobox",
                             "videobox left=-16 top=-16",
                             {{"license plate", 32, 28, 16, 24}, {"face", 48, 16, 32, 24}}}),
    [](const auto &param_info) { return std::string(param_info.param.element); });

// Runs a pipeline to its end.
void play(const std::string &description, GCallback handoff = nullptr, gpointer data = nullptr) {
  GError *error = nullptr;
  GstElement *made = gst_parse_launch(description.c_str(), &error);
  ASSERT_FALSE(error) << error->message;
  const ElementPtr pipeline(GST_ELEMENT(gst_object_ref_sink(made)));
  if (handoff) {
    const ElementPtr sink(gst_bin_get_by_name(GST_BIN(made), "sink"));
    g_signal_connect(sink.get(), "handoff", handoff, data);
  }
  const BusPtr bus(gst_element_get_bus(made));
  gst_element_set_state(made, GST_STATE_PLAYING);
  const MessagePtr message = wait_for(bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  gst_element_set_state(made, GST_STATE_NULL);
  ASSERT_TRUE(message);
  EXPECT_EQ(GST_MESSAGE_TYPE(message.get()), GST_MESSAGE_EOS);
}

// fakevideosink and others show a part of a frame by themselves, if the cropper says which. Whoever
// is in between and needs pixels where the caps say must not pass that offer on.
TEST(Interop, CroppersCropWhereOurElementsNeedThePixels) {
  for (const char *name : {"videocrop", "fakevideosink"})
    if (!exists(name)) GTEST_SKIP() << name << " is not installed";
  const std::string source =
      "videotestsrc num-buffers=3 ! video/x-raw,width=320,height=240 ! videocrop left=32 top=16 ! ";
  const std::string filter = "moondreamfilter detect=thing mode=sync ! ";
  for (const std::string &chain :
       {filter, filter + "moondreamoverlay ! ", std::string("moondreamredact ! "),
        std::string("moondreammoderate labels=face action=cover ! ")}) {
    MockModel model;
    SCOPED_TRACE(chain);
    play(source + chain + "fakevideosink sync=false");
  }
}

// A file holds frames and no metas: whoever reads one knows that nothing was looked at.
TEST(Interop, AFileEndsTheResult) {
  for (const char *name : {"matroskamux", "matroskademux", "jpegenc"})
    if (!exists(name)) GTEST_SKIP() << name << " is not installed";
  MockModel model;
  std::string file = testing::TempDir() + "interop-XXXXXX";
  close(mkstemp(file.data()));
  play(
      "videotestsrc num-buffers=10 ! video/x-raw,width=64,height=48 ! moondreamfilter detect=face "
      "mode=sync ! jpegenc ! matroskamux ! filesink location=" +
      file);
  struct Count {
    std::atomic<int> frames = 0, results = 0;
  } count;
  play("filesrc location=" + file + " ! matroskademux ! fakesink name=sink signal-handoffs=true",
       G_CALLBACK(+[](GstElement *, GstBuffer *buffer, GstPad *, Count *to) {
         ++to->frames;
         if (read_analysis(buffer)) ++to->results;
       }),
       &count);
  unlink(file.c_str());
  EXPECT_EQ(count.frames, 10);
  EXPECT_EQ(count.results, 0);
}

// ---- Readers ---------------------------------------------------------------------------------

// What DL Streamer's classes RegionOfInterest and Tensor read: the rectangle and the type of the
// region, of its parameter "detection" the fractions, the confidence and the label's number, and
// that of "object_id", each of exactly this type.
TEST(Interop, RegionsHoldWhatReadersOfDlStreamerLookFor) {
  const BufferPtr frame = new_frame();
  EXPECT_EQ(regions_of(frame.get()), kRegions);
  gpointer state = nullptr;
  for (const AnalysisObject &object : everything().objects) {
    GstMeta *meta = gst_buffer_iterate_meta_filtered(frame.get(), &state,
                                                     GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE);
    ASSERT_TRUE(meta);
    auto *roi = reinterpret_cast<GstVideoRegionOfInterestMeta *>(meta);
    const GstStructure *detection = gst_video_region_of_interest_meta_get_param(roi, "detection");
    ASSERT_TRUE(detection);
    const auto number = [&](const char *field) {
      gdouble value = -1;
      EXPECT_TRUE(gst_structure_get_double(detection, field, &value)) << field;
      return value;
    };
    EXPECT_EQ(number("x_min"), object.box.x_min);
    EXPECT_EQ(number("y_min"), object.box.y_min);
    EXPECT_EQ(number("x_max"), object.box.x_max);
    EXPECT_EQ(number("y_max"), object.box.y_max);
    EXPECT_EQ(number("confidence"), object.score);
    gint label_id = -1;
    EXPECT_TRUE(gst_structure_get_int(detection, "label_id", &label_id));
    EXPECT_EQ(label_id, object.label_id);
    // The number that a tracker gave it.
    const GstStructure *track = gst_video_region_of_interest_meta_get_param(roi, "object_id");
    ASSERT_TRUE(track);
    gint id = 0;
    EXPECT_TRUE(gst_structure_get_int(track, "id", &id));
    EXPECT_EQ(id, static_cast<gint>(object.id));
    // They take every other parameter for a tensor.
    EXPECT_EQ(g_list_length(roi->params), 2u);
  }
}

// The overlay of gst-plugins-bad draws boxes of GstAnalyticsODMtd.
TEST(Interop, ObjectDetectionOverlayDrawsTheBoxes) {
#ifndef HAVE_ANALYTICS
  GTEST_SKIP() << "built without gstreamer-analytics, which GStreamer has from 1.24 on";
#endif
  if (!exists("objectdetectionoverlay"))
    GTEST_SKIP() << "objectdetectionoverlay (gstreamer1.0-plugins-bad, 1.24) is not installed";
  constexpr int kWidth = 320, kHeight = 240;
  constexpr guint8 kGround = 0x20;
  const HarnessPtr harness(gst_harness_new_parse("objectdetectionoverlay draw-labels=false"));
  ASSERT_TRUE(harness);
  gst_harness_set_src_caps_str(harness.get(),
                               "video/x-raw,format=RGBx,width=320,height=240,framerate=30/1");
  GstBuffer *frame = gst_buffer_new_allocate(nullptr, kWidth * kHeight * 4, nullptr);
  gst_buffer_memset(frame, 0, kGround, kWidth * kHeight * 4);
  GST_BUFFER_PTS(frame) = 0;
  FrameAnalysis analysis = everything();
  analysis.objects = {{"face", 0.5, {0.25, 0.25, 0.75, 0.75}, 0, 0}};  // 80..240 x 60..180
  attach_analysis(frame, analysis, kWidth, kHeight);
  const BufferPtr out(gst_harness_push_and_pull(harness.get(), frame));
  ASSERT_TRUE(out);
  std::vector<guint8> bytes(kWidth * kHeight * 4);
  ASSERT_EQ(gst_buffer_extract(out.get(), 0, bytes.data(), bytes.size()), bytes.size());
  const auto drawn = [&](int x, int y) { return bytes[4 * (y * kWidth + x)] != kGround; };
  // Its line is a few pixels wide; where exactly is its own affair.
  constexpr int kLine = 4;
  const auto drawn_around = [&](int x, int y) {
    for (int dy = -kLine; dy <= kLine; ++dy)
      for (int dx = -kLine; dx <= kLine; ++dx)
        if (drawn(x + dx, y + dy)) return true;
    return false;
  };
  for (const auto &[x, y] : {std::pair{80, 120}, {240, 120}, {160, 60}, {160, 180}})
    EXPECT_TRUE(drawn_around(x, y)) << x << "," << y;
  for (const auto &[x, y] : {std::pair{20, 120}, {300, 120}, {160, 20}, {160, 220}, {160, 120}})
    EXPECT_FALSE(drawn_around(x, y)) << x << "," << y;
}

// Runs a program to its end; its exit status, and what it wrote.
int run(std::vector<std::string> command, std::string *output) {
  std::vector<gchar *> arguments;
  for (std::string &word : command) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  gchar *out = nullptr, *err = nullptr;
  gint status = -1;
  GError *error = nullptr;
  if (!g_spawn_sync(nullptr, arguments.data(), nullptr, G_SPAWN_DEFAULT, nullptr, nullptr, &out,
                    &err, &status, &error)) {
    const ErrorPtr failure(error);
    *output = failure->message;
    return -1;
  }
  *output = std::string(TextPtr(out).get()) + TextPtr(err).get();
  return status;
}

// GStreamer's tracer matches what enters an element with what leaves it.
TEST(Interop, TheLatencyTracerSeesEachFrameEnterAndLeaveTheFilter) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "gst-launch-1.0 is not instrumented, and cannot load a plugin that is";
#endif
  const std::vector<std::string> traced = {"/usr/bin/timeout",
                                           "10",
                                           "/usr/bin/env",
                                           "GST_TRACERS=latency(flags=element)",
                                           "GST_DEBUG=GST_TRACER:7",
                                           "GST_DEBUG_NO_COLOR=1",
                                           "gst-launch-1.0",
                                           "-q",
                                           "videotestsrc",
                                           "num-buffers=5",
                                           "!",
                                           "video/x-raw,width=64,height=48",
                                           "!"};
  const auto run_traced = [&](const std::vector<std::string> &element, std::string *output) {
    std::vector<std::string> command = traced;
    command.insert(command.end(), element.begin(), element.end());
    command.insert(command.end(), {"!", "fakesink"});
    return run(command, output);
  };
  std::string output;
  if (run_traced({"identity"}, &output) != 0) {
    GTEST_SKIP() << "the tracer of this GStreamer does not come to an end with its own identity";
  }
  for (const char *mode : {"mode=sync", "mode=async"}) {
    ASSERT_EQ(run_traced({"moondreamfilter", "name=see", "detect=face", mode}, &output), 0)
        << output;
    const std::regex latency("element-latency, [^\\n]*element=\\(string\\)see,");
    EXPECT_EQ(std::distance(std::sregex_iterator(output.begin(), output.end(), latency), {}), 5)
        << mode << "\n"
        << output;
  }
}

// With the demo model, which sees the ball of the test picture.
TEST(Interop, PythonReadsMetasAndMessages) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "python3 is not instrumented, and cannot load a plugin that is";
#endif
  std::string output;
  const std::string python = "/usr/bin/python3";  // that Debian's packages are for
  if (run({python, "-c",
           "import gi\nfor n in ('Gst', 'GstApp', 'GstVideo'): gi.require_version(n, '1.0')"},
          &output) != 0)
    GTEST_SKIP() << "python3-gi or gir1.2-gst-plugins-base-1.0 is not installed: " << output;
  ASSERT_EQ(run({python, MOONDREAM_SOURCE "/examples/boxes.py"}, &output), 0) << output;
  EXPECT_NE(output.find("frame 0.000 s, fresh\n  ball "), std::string::npos) << output;
  // Where exactly the model sees it depends on the machine's arithmetic.
  const std::regex region(
      "ball [0-9.]+: ([0-9.]+)x([0-9.]+) at ([0-9.]+),([0-9.]+), "
      "region of ([0-9]+)x([0-9]+) at ([0-9]+),([0-9]+)");
  std::smatch found;
  ASSERT_TRUE(std::regex_search(output, found, region)) << output;
  for (std::size_t i = 1; i <= 4; ++i) {
    // Of whole pixels; a size is the difference of two edges that were rounded.
    EXPECT_NEAR(std::stod(found[i]), std::stod(found[i + 4]), 1.1) << found[0];
  }
  EXPECT_NE(output.find("frame 0.033 s, held\n  ball "), std::string::npos) << output;
  EXPECT_NE(output.find("message: sample 2 of 0.500 s, ball "), std::string::npos) << output;
  // Behind an element that drops the parameters of regions.
  ASSERT_EQ(run({python, MOONDREAM_SOURCE "/examples/boxes.py",
                 "videotestsrc num-buffers=2 pattern=ball ! video/x-raw,width=320,height=240 ! "
                 "moondreamfilter detect=ball mode=sync ! videoconvert ! "
                 "video/x-raw,format=RGB ! appsink name=frames sync=false"},
                &output),
            0)
      << output;
  EXPECT_NE(output.find("  ball "), std::string::npos) << output;
  ASSERT_EQ(run({python, MOONDREAM_SOURCE "/examples/boxes.py",
                 "videotestsrc num-buffers=2 ! appsink name=frames sync=false"},
                &output),
            0)
      << output;
  EXPECT_NE(output.find("frame without a result"), std::string::npos) << output;
  EXPECT_NE(run({python, MOONDREAM_SOURCE "/examples/boxes.py",
                 "videotestsrc ! moondreamfilter detect=ball model=/nowhere ! appsink name=frames"},
                &output),
            0);
  EXPECT_NE(output.find("boxes.py: "), std::string::npos) << output;
}

}  // namespace
}  // namespace moondream
