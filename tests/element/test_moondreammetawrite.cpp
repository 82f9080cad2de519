// moondreammetawrite in a harness and in pipelines: what it writes, and that video goes on whatever
// becomes of that.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "filter_harness.h"
#include "line_writer.h"

namespace moondream {
namespace {

using Json = nlohmann::json;

FrameAnalysis face(guint64 serial, AnalysisStatus status = AnalysisStatus::kFresh,
                   GstClockTime age = 0) {
  FrameAnalysis analysis;
  analysis.status = status;
  analysis.serial = serial;
  analysis.age = age;
  analysis.model = "mock";
  analysis.objects = {{"face", 0.5, {0.25, 0.25, 0.75, 0.75}, 0, 0}};
  return analysis;
}

class MoondreamMetawrite : public testing::Test {
 protected:
  MoondreamMetawrite() {
    std::string name = testing::TempDir() + "metawrite-XXXXXX";
    folder_ = mkdtemp(name.data());
    element_.reset(gst_element_factory_make("moondreammetawrite", nullptr));
    if (!element_) throw std::runtime_error("the plugin is not where GST_PLUGIN_PATH says");
    gst_object_ref_sink(element_.get());
    bus_ = listen_to(element_.get());
  }
  ~MoondreamMetawrite() override {
    harness_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string path() const { return folder_ + "/results.jsonl"; }
  void set(const char *name, const std::string &value) {
    gst_util_set_object_arg(G_OBJECT(element_.get()), name, value.c_str());
  }
  void start(const char *caps = kSmallCaps) {
    harness_.reset(gst_harness_new_with_element(element_.get(), "sink", "src"));
    gst_harness_set_src_caps_str(harness_.get(), caps);
  }
  // Leaves the element for another harness.
  void stop() {
    gst_element_set_state(element_.get(), GST_STATE_NULL);
    gst_element_foreach_pad(
        element_.get(),
        [](GstElement *, GstPad *pad, gpointer) -> gboolean {
          GstPad *peer = gst_pad_get_peer(pad);
          if (!peer) return TRUE;
          GST_PAD_IS_SRC(pad) ? gst_pad_unlink(pad, peer) : gst_pad_unlink(peer, pad);
          gst_object_unref(peer);
          return TRUE;
        },
        nullptr);
    harness_.reset();
  }
  void start_writing(const std::string &location) {
    set("location", location);
    start();
  }

  static BufferPtr frame(GstClockTime pts) {
    GstBuffer *buffer = gst_buffer_new_allocate(nullptr, 64 * 48 * 3 / 2, nullptr);
    GST_BUFFER_PTS(buffer) = pts;
    GST_BUFFER_DURATION(buffer) = 40 * GST_MSECOND;
    return BufferPtr(buffer);
  }
  static BufferPtr frame(GstClockTime pts, const FrameAnalysis &analysis) {
    BufferPtr buffer = frame(pts);
    attach_analysis(buffer.get(), analysis, 64, 48);
    return buffer;
  }
  // Pushes and takes out; false if something else came out, or nothing.
  bool pass(BufferPtr buffer) {
    GstBuffer *in = buffer.get();
    const BufferPtr out(gst_harness_push_and_pull(harness_.get(), buffer.release()));
    return out.get() == in;
  }
  bool pass(GstClockTime pts, const FrameAnalysis &analysis) { return pass(frame(pts, analysis)); }
  void end() { gst_harness_push_event(harness_.get(), gst_event_new_eos()); }

  std::vector<Json> lines() const {
    std::vector<Json> lines;
    std::ifstream file(path());
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  guint64 stat(const char *name) const { return stat_of(element_.get(), name); }
  // The code of the error with which the element refuses to start.
  int code_of_start() {
    EXPECT_EQ(gst_element_set_state(element_.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
    const MessagePtr message = wait_for(bus_, GST_MESSAGE_ERROR);
    gst_element_set_state(element_.get(), GST_STATE_NULL);
    if (!message) return 0;
    const ErrorPtr error = error_of(message.get());
    EXPECT_EQ(error->domain, GST_RESOURCE_ERROR);
    return error->code;
  }
  int warnings() const {
    int count = 0;
    while (wait_for(bus_, GST_MESSAGE_WARNING, 0)) ++count;
    return count;
  }

  std::string folder_;
  ElementPtr element_;
  BusPtr bus_;
  HarnessPtr harness_;  // stops the element, so it goes first
};

// ---- What is written -------------------------------------------------------------------------

TEST_F(MoondreamMetawrite, ALineHoldsTheResultAndTheTimesOfItsBuffer) {
  start_writing(path());
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.start = GST_SECOND;
  segment.time = 5 * GST_SECOND;
  gst_harness_push_event(harness_.get(), gst_event_new_segment(&segment));
  ASSERT_TRUE(pass(2 * GST_SECOND, face(7, AnalysisStatus::kHeld, 3)));
  end();
  const auto written = lines();
  ASSERT_EQ(written.size(), 1u);
  EXPECT_EQ(written[0],
            Json::parse(R"({"pts":2000000000,"running_time":1000000000,"stream_time":6000000000,
                "serial":7,"status":"held","age":3,"width":64,"height":48,"model":"mock",
                "objects":[{"label":"face","score":0.5,"x_min":0.25,"y_min":0.25,"x_max":0.75,
                "y_max":0.75,"id":0}],"points":[],"gaze":[],"answers":[]})"));
}

// The element has to be free where nobody looks, and must not stand in the way of allocation.
TEST_F(MoondreamMetawrite, BuffersPassAsTheyAre) {
  start_writing(path());
  BufferPtr buffer = frame(0, face(1));
  const BufferPtr other(gst_buffer_ref(buffer.get()));  // not writable
  EXPECT_TRUE(pass(std::move(buffer)));
}

TEST_F(MoondreamMetawrite, AResultIsWrittenOnceHoweverManyFramesCarryIt) {
  start_writing(path());
  ASSERT_TRUE(pass(0, {}));  // pending
  ASSERT_TRUE(pass(1, face(1, AnalysisStatus::kHeld, 1)));
  ASSERT_TRUE(pass(2, face(1, AnalysisStatus::kHeld, 2)));
  ASSERT_TRUE(pass(3, {}));
  ASSERT_TRUE(pass(4, face(1, AnalysisStatus::kHeld, 4)));
  ASSERT_TRUE(pass(5, face(2, AnalysisStatus::kFailed)));
  ASSERT_TRUE(pass(6, face(2, AnalysisStatus::kFailed)));
  ASSERT_TRUE(pass(7, face(3)));
  end();
  std::vector<int> at;
  for (const Json &line : lines()) at.push_back(line["pts"]);
  EXPECT_EQ(at, (std::vector{1, 5, 7}));
}

TEST_F(MoondreamMetawrite, AnotherStreamsResultsMayHaveTheSameNumbers) {
  start_writing(path());
  ASSERT_TRUE(pass(0, face(1)));
  gst_harness_push_event(harness_.get(), gst_event_new_stream_start("another"));
  gst_harness_set_src_caps_str(harness_.get(), kSmallCaps);
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_harness_push_event(harness_.get(), gst_event_new_segment(&segment));
  ASSERT_TRUE(pass(0, face(1)));
  end();
  EXPECT_EQ(lines().size(), 2u);
}

TEST_F(MoondreamMetawrite, FramesChoosesWhichBuffersGetALine) {
  const auto count = [&](const char *frames) {
    set("frames", frames);
    start_writing(path());
    pass(0, {});
    pass(1, face(1));
    pass(2, face(1, AnalysisStatus::kHeld, 1));
    pass(3, face(2, AnalysisStatus::kHeld, 1));
    pass(frame(4));  // came through no filter
    end();
    EXPECT_EQ(stat("unmarked"), 1u);
    EXPECT_EQ(stat("frames"), 5u);
    EXPECT_EQ(stat("written"), lines().size());
    stop();
    return lines().size();
  };
  EXPECT_EQ(count("results"), 2u);
  EXPECT_EQ(count("fresh"), 1u);
  EXPECT_EQ(count("all"), 4u);
}

TEST_F(MoondreamMetawrite, EncodedVideoIsWrittenAboutToo) {
  set("location", path());
  start("image/jpeg,width=1920,height=1080");
  ASSERT_TRUE(pass(0, face(1)));
  // Caps need not say how large the picture is.
  gst_harness_set_src_caps_str(harness_.get(), "video/x-h264");
  ASSERT_TRUE(pass(1, face(2)));
  end();
  const auto written = lines();
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(written[0]["width"], 1920);
  EXPECT_TRUE(written[1]["width"].is_null());
}

// A reader cannot know that boxes are not of the frame whose size the line says.
TEST_F(MoondreamMetawrite, CoordinatesOfAnotherPictureAreMarked) {
  set("location", path());
  start("video/x-raw,format=GRAY8,width=64,height=48");
  ASSERT_TRUE(pass(0, face(1)));
  // Fields of so many rows.
  gst_harness_set_src_caps_str(harness_.get(),
                               "video/x-raw(format:Interlaced),format=GRAY8,width=64,height=95,"
                               "interlace-mode=alternate");
  ASSERT_TRUE(pass(1, face(2)));
  gst_harness_set_src_caps_str(harness_.get(), "video/x-raw,format=GRAY8,width=32,height=48");
  ASSERT_TRUE(pass(2, face(3)));
  end();
  const auto written = lines();
  ASSERT_EQ(written.size(), 3u);
  EXPECT_FALSE(written[0].contains("placed"));
  EXPECT_FALSE(written[1].contains("placed"));
  EXPECT_EQ(written[2]["placed"], false);
}

TEST_F(MoondreamMetawrite, AppendKeepsWhatIsThereAndStartingAnewDoesNot) {
  set("append", "true");
  for (int run = 0; run < 2; ++run) {
    start_writing(path());
    ASSERT_TRUE(pass(run, face(1)));
    stop();
  }
  EXPECT_EQ(lines().size(), 2u);
  set("append", "false");
  start_writing(path());
  stop();
  EXPECT_EQ(lines().size(), 0u);
}

TEST_F(MoondreamMetawrite, WithoutEosTheLinesAreThereWhenItHasStopped) {
  start_writing(path());
  for (guint64 i = 1; i <= 500; ++i) ASSERT_TRUE(pass(i, face(i)));
  harness_.reset();
  EXPECT_EQ(lines().size(), 500u);
  EXPECT_EQ(stat("written"), 500u) << "the last run's counts stay";
}

TEST_F(MoondreamMetawrite, FlushesAndSeeksKeepWritingGoing) {
  start_writing(path());
  ASSERT_TRUE(pass(0, face(1)));
  gst_harness_push_event(harness_.get(), gst_event_new_flush_start());
  gst_harness_push_event(harness_.get(), gst_event_new_flush_stop(TRUE));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_harness_push_event(harness_.get(), gst_event_new_segment(&segment));
  ASSERT_TRUE(pass(9, face(2)));
  end();
  EXPECT_EQ(lines().size(), 2u);
}

TEST_F(MoondreamMetawrite, ADescriptorIsWrittenToAndStaysOpen) {
  const FileDescriptor file(open(path().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  g_object_set(element_.get(), "fd", file.get(), nullptr);
  start();
  ASSERT_TRUE(pass(0, face(1)));
  harness_.reset();
  EXPECT_EQ(lines().size(), 1u);
  EXPECT_NE(fcntl(file.get(), F_GETFD), -1);
}

// ---- What cannot be written ------------------------------------------------------------------

TEST_F(MoondreamMetawrite, WhatCannotBeOpenedIsAnErrorAtTheStart) {
  EXPECT_EQ(code_of_start(), GST_RESOURCE_ERROR_SETTINGS) << "neither location nor fd";
  set("location", folder_ + "/missing/results.jsonl");
  EXPECT_EQ(code_of_start(), GST_RESOURCE_ERROR_NOT_FOUND);
  set("location", folder_);
  EXPECT_EQ(code_of_start(), GST_RESOURCE_ERROR_OPEN_WRITE);
  set("fd", "1");
  EXPECT_EQ(code_of_start(), GST_RESOURCE_ERROR_SETTINGS) << "both";
  set("location", "");
  set("fd", "9999");
  EXPECT_EQ(code_of_start(), GST_RESOURCE_ERROR_SETTINGS) << "no such descriptor";
  set("fd", "-1");
  start_writing(path());
  EXPECT_TRUE(pass(0, face(1))) << "it starts after it could not";
}

TEST_F(MoondreamMetawrite, AFullDiskIsOneWarningAndVideoGoesOn) {
  start_writing("/dev/full");
  for (guint64 i = 1; i <= 20; ++i) ASSERT_TRUE(pass(i, face(i)));
  end();
  EXPECT_EQ(stat("dropped"), 20u);
  const MessagePtr message = wait_for(bus_, GST_MESSAGE_WARNING, 0);
  ASSERT_TRUE(message);
  const ErrorPtr warning = error_of(message.get());
  EXPECT_TRUE(g_error_matches(warning.get(), GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT));
  EXPECT_NE(std::string(warning->message).find("/dev/full"), std::string::npos);
  EXPECT_EQ(warnings(), 0) << "further ones";
}

TEST_F(MoondreamMetawrite, AReaderThatIsGoneIsOneWarningAndVideoGoesOn) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor writer(ends[1]);
  g_object_set(element_.get(), "fd", writer.get(), nullptr);
  start();
  close(ends[0]);
  for (guint64 i = 1; i <= 20; ++i) ASSERT_TRUE(pass(i, face(i)));
  end();
  EXPECT_EQ(stat("dropped"), 20u);
  EXPECT_EQ(warnings(), 1);
}

TEST_F(MoondreamMetawrite, AReaderThatDoesNotReadHoldsNothingUp) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor reader(ends[0]), writer(ends[1]);
  g_object_set(element_.get(), "fd", writer.get(), "max-bytes", 1000u, nullptr);
  start();
  // A pipe holds 64 KiB. What fills it and the queue is far less than this.
  FrameAnalysis analysis = face(0);
  analysis.caption = std::string(900, 'x');
  constexpr int kFrames = 1000;
  for (int i = 0; i < kFrames; ++i) {
    ++analysis.serial;
    ASSERT_TRUE(pass(i, analysis));
  }
  EXPECT_GT(stat("dropped"), 500u);
  EXPECT_EQ(stat("dropped") + stat("waiting") + stat("written"), guint64{kFrames});
  EXPECT_GE(warnings(), 1);
  EXPECT_LT(warnings(), kFrames / 10) << "one for each time that it began to be too slow";
  harness_.reset();
  EXPECT_EQ(stat("dropped") + stat("written"), guint64{kFrames}) << "the last one is lost";
}

// An application that stops while the end of the stream waits for a slow reader is not kept.
TEST_F(MoondreamMetawrite, StoppingEndsTheWaitAtTheEndOfTheStream) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor reader(ends[0]), writer(ends[1]);
  g_object_set(element_.get(), "fd", writer.get(), nullptr);
  start();
  FrameAnalysis analysis = face(1);
  analysis.caption = std::string(200'000, 'x');
  ASSERT_TRUE(pass(0, analysis));
  std::thread ending([&] { end(); });
  // However early it comes: what waits is given up after half a second.
  EXPECT_LT(time_of([&] {
              gst_element_set_state(element_.get(), GST_STATE_NULL);
              ending.join();
            }),
            std::chrono::seconds(4));
  EXPECT_EQ(stat("dropped"), 1u);
}

// ---- Lines as buffers ------------------------------------------------------------------------

TEST_F(MoondreamMetawrite, LinesCanLeaveInPlaceOfTheBuffers) {
  set("output", "json");
  start();
  EXPECT_EQ(gst_harness_push(harness_.get(), frame(GST_SECOND, face(1)).release()), GST_FLOW_OK);
  const BufferPtr out(gst_harness_try_pull(harness_.get()));
  ASSERT_TRUE(out);
  std::string line(gst_buffer_get_size(out.get()), '\0');
  gst_buffer_extract(out.get(), 0, line.data(), line.size());
  EXPECT_EQ(line.back(), '\n');
  const Json json = Json::parse(line);
  EXPECT_EQ(json["pts"], guint64{GST_SECOND});
  EXPECT_EQ(json["width"], 64);
  EXPECT_EQ(GST_BUFFER_PTS(out.get()), GST_SECOND);
  EXPECT_EQ(GST_BUFFER_DURATION(out.get()), 40 * GST_MSECOND);
  EXPECT_EQ(stat("pushed"), 1u);

  // Stream-start, caps and segment come before it, in this order.
  std::vector<GstEventType> events;
  while (GstEvent *event = gst_harness_try_pull_event(harness_.get())) {
    if (GST_EVENT_TYPE(event) == GST_EVENT_CAPS) {
      GstCaps *caps;
      gst_event_parse_caps(event, &caps);
      EXPECT_TRUE(gst_structure_has_name(gst_caps_get_structure(caps, 0), "application/json"));
    }
    events.push_back(GST_EVENT_TYPE(event));
    gst_event_unref(event);
  }
  EXPECT_EQ(events, (std::vector{GST_EVENT_STREAM_START, GST_EVENT_CAPS, GST_EVENT_SEGMENT}));
}

TEST_F(MoondreamMetawrite, ABufferWithoutALineIsAGapAmongTheLines) {
  set("output", "json");
  set("location", path());
  start();
  for (int i = 0; i < 3; ++i) {
    gst_harness_push(harness_.get(),
                     frame(i * GST_SECOND, face(1, AnalysisStatus::kHeld, i)).release());
  }
  gst_harness_push(harness_.get(), frame(3 * GST_SECOND).release());
  end();
  EXPECT_EQ(gst_harness_buffers_received(harness_.get()), 1u);
  EXPECT_EQ(lines().size(), 1u) << "written, too";
  std::vector<GstClockTime> gaps;
  bool ended = false;
  while (GstEvent *event = gst_harness_try_pull_event(harness_.get())) {
    GstClockTime pts, duration;
    if (GST_EVENT_TYPE(event) == GST_EVENT_GAP) {
      gst_event_parse_gap(event, &pts, &duration);
      gaps.push_back(pts);
      EXPECT_EQ(duration, 40 * GST_MSECOND);
    }
    ended = GST_EVENT_TYPE(event) == GST_EVENT_EOS;
    gst_event_unref(event);
  }
  EXPECT_EQ(gaps, (std::vector<GstClockTime>{GST_SECOND, 2 * GST_SECOND, 3 * GST_SECOND}));
  EXPECT_TRUE(ended);
}

// By an element that sends whatever it gets.
TEST_F(MoondreamMetawrite, AFilesinkMakesAFileOfTheLines) {
  MockModel model;
  GError *error = nullptr;
  const ElementPtr pipeline(GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(
      ("videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48,framerate=30/1 ! "
       "moondreamfilter detect=face mode=sync sample-rate=10/1 ! tee name=t ! queue ! fakesink "
       "t. ! queue ! moondreammetawrite output=json ! filesink location=" +
       path())
          .c_str(),
      &error))));
  ASSERT_FALSE(error) << error->message;
  const BusPtr bus(gst_element_get_bus(pipeline.get()));
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  const MessagePtr message = wait_for(bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  ASSERT_TRUE(message);
  EXPECT_EQ(GST_MESSAGE_TYPE(message.get()), GST_MESSAGE_EOS);
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  EXPECT_EQ(lines().size(), 10u);
}

// ---- In pipelines ----------------------------------------------------------------------------

// The record is complete when the application hears of the end.
TEST_F(MoondreamMetawrite, BehindTheFilterEachResultIsALineByTheTimeOfEos) {
  MockModel model;
  GError *error = nullptr;
  const std::string description =
      "videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48,framerate=30/1 ! "
      "moondreamfilter detect=face mode=sync sample-rate=10/1 ! videoconvert ! "
      "video/x-raw,format=RGB ! moondreammetawrite location=" +
      path() + " ! fakesink";
  const ElementPtr pipeline(
      GST_ELEMENT(gst_object_ref_sink(gst_parse_launch(description.c_str(), &error))));
  ASSERT_FALSE(error) << error->message;
  const BusPtr bus(gst_element_get_bus(pipeline.get()));
  gst_element_set_state(pipeline.get(), GST_STATE_PLAYING);
  std::set<guint64> serials;
  for (;;) {
    const MessagePtr message =
        wait_for(bus, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_ELEMENT);
    ASSERT_TRUE(message);
    if (GST_MESSAGE_TYPE(message.get()) != GST_MESSAGE_ELEMENT) {
      EXPECT_EQ(GST_MESSAGE_TYPE(message.get()), GST_MESSAGE_EOS);
      break;
    }
    guint64 serial = 0;
    gst_structure_get_uint64(gst_message_get_structure(message.get()), "serial", &serial);
    serials.insert(serial);
  }
  const auto written = lines();
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  EXPECT_EQ(serials.size(), 10u);
  std::set<guint64> in_file;
  for (const Json &line : written) {
    EXPECT_EQ(line["status"], "fresh");
    EXPECT_EQ(line["objects"].size(), 1u);
    in_file.insert(line["serial"].get<guint64>());
  }
  EXPECT_EQ(in_file, serials);
  EXPECT_EQ(written.size(), serials.size());
}

}  // namespace
}  // namespace moondream
