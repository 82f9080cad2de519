// Text pads linked to the elements that people link them to: every byte through GStreamer's own.
#include <gst/video/video.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "filter_harness.h"
#include "pipeline.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

using Names = std::vector<std::string>;

bool exists(const char *element) {
  GstElementFactory *factory = gst_element_factory_find(element);
  if (factory) gst_object_unref(factory);
  return factory;
}

// Calls `look` with every buffer of a named sink.
template <typename Look>
void watch(const Pipeline &pipeline, const char *sink, Look &look) {
  GstPad *pad = gst_element_get_static_pad(pipeline.child(sink).get(), "sink");
  gst_pad_add_probe(
      pad, GST_PAD_PROBE_TYPE_BUFFER,
      [](GstPad *, GstPadProbeInfo *info, gpointer data) {
        (*static_cast<Look *>(data))(GST_PAD_PROBE_INFO_BUFFER(info));
        return GST_PAD_PROBE_OK;
      },
      &look, nullptr);
  gst_object_unref(pad);
}

std::string bytes_of(GstBuffer *buffer) {
  GstMapInfo map;
  gst_buffer_map(buffer, &map, GST_MAP_READ);
  std::string bytes(reinterpret_cast<const char *>(map.data), map.size);
  gst_buffer_unmap(buffer, &map);
  return bytes;
}

// The n-th answer is "cue n".
void number_the_cues(MockModel &model, int cues) {
  for (int i = 1; i <= cues; ++i) {
    model.next(after(1ms, answers(Result{.prompts = {CaptionResult{"cue " + std::to_string(i)}}})));
  }
}

// ---- textoverlay -----------------------------------------------------------------------------

// Black video whose frames go through textoverlay, without a queue between the two elements: for
// each frame, whether something brighter than black is on it.
std::vector<bool> drawn_on(const std::string &filter, int frames) {
  Pipeline pipeline("videotestsrc pattern=black num-buffers=" + std::to_string(frames) +
                    " ! video/x-raw,format=GRAY8,width=320,height=240,framerate=25/1 ! "
                    "moondreamfilter name=filter caption=short " +
                    filter +
                    " ! overlay.video_sink  filter.text_0 ! overlay.text_sink  "
                    "textoverlay name=overlay wait-text=true ! fakesink name=sink");
  std::vector<bool> drawn;
  auto look = [&drawn](GstBuffer *buffer) {
    const std::string bytes = bytes_of(buffer);
    drawn.push_back(std::any_of(bytes.begin(), bytes.end(),
                                [](char c) { return static_cast<guint8>(c) > 128; }));
  };
  watch(pipeline, "sink", look);
  pipeline.play();
  pipeline.results_until_eos();
  return drawn;
}

TEST(MoondreamFilterTextPipeline, TextoverlayDrawsTheTextOnEveryFrameInSyncMode) {
  if (!exists("textoverlay")) GTEST_SKIP() << "no textoverlay (Debian: gstreamer1.0-x)";
  MockModel model;
  model.always(after(5ms, answers()));
  EXPECT_EQ(drawn_on("mode=sync", 60), std::vector<bool>(60, true));
}

// The proof that it is the text that is seen above.
TEST(MoondreamFilterTextPipeline, TextoverlayDrawsNothingWhileThereIsNothingToSay) {
  if (!exists("textoverlay")) GTEST_SKIP() << "no textoverlay (Debian: gstreamer1.0-x)";
  MockModel model;
  model.always(answers(Result{.prompts = {CaptionResult{" "}}}));
  EXPECT_EQ(drawn_on("mode=sync", 60), std::vector<bool>(60, false));
  model.always(hangs_until_cancelled());
  EXPECT_EQ(drawn_on("mode=async", 60), std::vector<bool>(60, false));
}

// The result of the third sample of four fails: half a second, 12 or 13 frames, is silent.
TEST(MoondreamFilterTextPipeline, TextoverlayStopsDrawingWhereTheResultEnds) {
  if (!exists("textoverlay")) GTEST_SKIP() << "no textoverlay (Debian: gstreamer1.0-x)";
  MockModel model;
  number_the_cues(model, 2);
  model.next(fails(ErrorKind::kFailed, "broken"));
  std::vector<bool> expected(50, true);
  // Sampled are the frames at 0, 520, 1000 and 1520 ms; the cue of the second ends at 1020.
  std::fill(expected.begin() + 26, expected.begin() + 38, false);
  EXPECT_EQ(drawn_on("mode=sync on-error=warn", 50), expected);
}

TEST(MoondreamFilterTextPipeline, TextoverlayDrawsLateResultsInAsyncMode) {
  if (!exists("textoverlay")) GTEST_SKIP() << "no textoverlay (Debian: gstreamer1.0-x)";
  MockModel model;
  model.always(after(1ms, answers()));
  // As fast as the machine can: the first result comes somewhere in between.
  const std::vector<bool> drawn = drawn_on("mode=async sample-rate=0/1 max-age=-1", 3000);
  ASSERT_EQ(drawn.size(), 3000u);
  EXPECT_TRUE(drawn.back());
  const auto first = std::find(drawn.begin(), drawn.end(), true);
  EXPECT_EQ(std::find(first, drawn.end(), false), drawn.end()) << "the text flickers";
}

TEST(MoondreamFilterTextPipeline, TextoverlayFollowsSeeks) {
  if (!exists("textoverlay")) GTEST_SKIP() << "no textoverlay (Debian: gstreamer1.0-x)";
  for (const char *mode : {"sync", "async"}) {
    MockModel model;
    model.always(after(1ms, answers()));
    Pipeline pipeline(
        "videotestsrc pattern=black ! video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1 "
        "! moondreamfilter name=filter caption=short mode=" +
        std::string(mode) +
        " ! overlay.video_sink  filter.text_0 ! overlay.text_sink  "
        "textoverlay name=overlay ! fakesink name=sink");
    pipeline.play();
    ASSERT_EQ(gst_element_get_state(pipeline.get(), nullptr, nullptr, kPatience),
              GST_STATE_CHANGE_SUCCESS);
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(gst_element_seek_simple(pipeline.get(), GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH,
                                          (i * 7 % 20) * GST_SECOND));
      g_usleep(2000);
    }
    EXPECT_TRUE(gst_element_seek(pipeline.get(), 1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH,
                                 GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, GST_SECOND));
    pipeline.results_until_eos();
  }
}

// ---- Files -----------------------------------------------------------------------------------

class TextFile : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }

  // Records two seconds of video with four cues.
  void record(const std::string &muxing) {
    MockModel model;
    number_the_cues(model, 4);
    Pipeline pipeline(
        "videotestsrc num-buffers=50 ! "
        "video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! "
        "moondreamfilter name=filter caption=short mode=sync ! " +
        muxing + " ! filesink location=" + path_.string() + "  filter.text_0 ! mux.");
    pipeline.play();
    EXPECT_EQ(pipeline.results_until_eos(), 4);
  }

  // The cues of the file, as "start-end text" in milliseconds.
  Names cues(const std::string &demuxer) {
    Pipeline pipeline("filesrc location=" + path_.string() + " ! " + demuxer +
                      " name=demux  demux.subtitle_0 ! queue ! fakesink name=texts  "
                      "demux.video_0 ! queue ! fakesink");
    Names cues;
    auto note = [&cues](GstBuffer *buffer) {
      // The demuxer of MP4 gives empty texts for silence; that of Matroska gaps or empty texts.
      const std::string text = bytes_of(buffer);
      if (text.empty()) return;
      const GstClockTime start = GST_BUFFER_PTS(buffer);
      cues.push_back(std::to_string(start / GST_MSECOND) + "-" +
                     std::to_string((start + GST_BUFFER_DURATION(buffer)) / GST_MSECOND) + " " +
                     text);
    };
    watch(pipeline, "texts", note);
    pipeline.play();
    pipeline.results_until_eos();
    return cues;
  }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() /
      ("moondream-text-" + std::to_string(g_random_int()) + ".file");
};

const Names kFourCues = {"0-500 cue 1", "520-1020 cue 2", "1020-1500 cue 3", "1520-2020 cue 4"};

TEST_F(TextFile, MatroskaHoldsTheCuesAsASubtitleTrack) {
  record("vp8enc deadline=1 ! matroskamux name=mux");
  EXPECT_EQ(cues("matroskademux"), kFourCues);
}

TEST_F(TextFile, Mp4HoldsTheCuesAsTimedText) {
  // What vp9parse, which Debian 12 does not have, would find out.
  record(
      "vp9enc deadline=1 ! capssetter caps=\"video/x-vp9,profile=(string)0,"
      "chroma-format=(string)4:2:0,bit-depth-luma=(uint)8,bit-depth-chroma=(uint)8\" ! "
      "mp4mux name=mux");
  EXPECT_EQ(cues("qtdemux"), kFourCues);
}

TEST_F(TextFile, TwoPadsAreTwoTracks) {
  MockModel model;
  {
    Pipeline pipeline(
        "videotestsrc num-buffers=25 ! "
        "video/x-raw,format=I420,width=64,height=48,framerate=25/1 ! "
        "moondreamfilter name=filter caption=short query=why mode=sync "
        "text_0::content=caption text_1::content=answers ! "
        "vp8enc deadline=1 ! matroskamux name=mux ! filesink location=" +
        path_.string() + "  filter.text_0 ! mux.  filter.text_1 ! mux.");
    pipeline.play();
    EXPECT_EQ(pipeline.results_until_eos(), 2);
  }
  Pipeline pipeline("filesrc location=" + path_.string() +
                    " ! matroskademux name=demux  demux.subtitle_0 ! queue ! fakesink name=first  "
                    "demux.subtitle_1 ! queue ! fakesink name=second");
  Names first, second;
  // Newer muxers of Matroska write silence as empty texts.
  const auto note = [](Names &texts, GstBuffer *buffer) {
    if (const std::string text = bytes_of(buffer); !text.empty()) texts.push_back(text);
  };
  auto note_first = [&](GstBuffer *buffer) { note(first, buffer); };
  auto note_second = [&](GstBuffer *buffer) { note(second, buffer); };
  watch(pipeline, "first", note_first);
  watch(pipeline, "second", note_second);
  pipeline.play();
  pipeline.results_until_eos();
  EXPECT_EQ(first, Names(2, "a mock caption"));
  EXPECT_EQ(second, Names(2, "mock answer: why"));
}

}  // namespace
}  // namespace moondream
