// moondreamfilter in real pipelines.
#include <random>

#include "filter_harness.h"
#include "pipeline.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

TEST(MoondreamFilterPipeline, AFileGivesAResultForEachPeriod) {
  MockModel model;
  model.always(after(3ms, answers()));
  Pipeline pipeline(
      "videotestsrc num-buffers=90 ! video/x-raw,format=NV12,width=64,height=48,framerate=30/1 ! "
      "moondreamfilter name=filter detect=\"face, license plate\" caption=short max-age=-1 ! "
      "videoconvert ! fakesink");
  pipeline.play();
  EXPECT_EQ(pipeline.results_until_eos(), 6);
  guint64 max_age = 0;
  g_object_get(pipeline.child("filter").get(), "max-age", &max_age, nullptr);
  EXPECT_EQ(max_age, GST_CLOCK_TIME_NONE);
}

TEST(MoondreamFilterPipeline, ALiveSourceIsNeverHeldUp) {
  MockModel model;
  model.always(hangs_until_cancelled());
  Pipeline pipeline(
      "videotestsrc is-live=true num-buffers=15 ! "
      "video/x-raw,format=NV12,width=64,height=48,framerate=30/1 ! "
      "moondreamfilter detect=face ! fakesink sync=true");
  // 0.5 s at the pace of the clock; a frame that waited for the model would wait for ever.
  EXPECT_LT(time_of([&] {
              pipeline.play();
              EXPECT_EQ(pipeline.results_until_eos(), 0);
            }),
            10s);
}

TEST(MoondreamFilterPipeline, ItStreamsAgainAfterItWasStopped) {
  MockModel model;
  Pipeline pipeline(
      "videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48,framerate=30/1 ! "
      "moondreamfilter detect=face ! fakesink");
  for (int i = 0; i < 3; ++i) {
    pipeline.play();
    EXPECT_EQ(pipeline.results_until_eos(), 2);
    gst_element_set_state(pipeline.get(), i % 2 ? GST_STATE_NULL : GST_STATE_READY);
  }
}

// Seeks flush at any moment; a lost wake-up or a result that survives its flush would hang or fail.
TEST(MoondreamFilterPipeline, SeeksAtAnyMomentNeitherHangNorFail) {
  std::mt19937 random(7);
  for (const char *mode : {"sync", "async"}) {
    MockModel model;
    model.always(after(2ms, answers()));
    Pipeline pipeline(std::string("videotestsrc ! video/x-raw,width=32,height=24,framerate=30/1 ! "
                                  "moondreamfilter name=filter sample-rate=0/1 detect=face mode=") +
                      mode + " ! fakesink");
    pipeline.play();
    gst_element_get_state(pipeline.get(), nullptr, nullptr, kPatience);
    for (int i = 0; i < 40; ++i) {
      EXPECT_TRUE(gst_element_seek_simple(pipeline.get(), GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH,
                                          random() % 100 * GST_SECOND));
      g_usleep(random() % 5000);
    }
    // To within a second of its end.
    EXPECT_TRUE(gst_element_seek(pipeline.get(), 1, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH,
                                 GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, GST_SECOND));
    pipeline.results_until_eos();
  }
}

TEST(MoondreamFilterPipeline, StoppingAtAnyMomentNeitherHangsNorFails) {
  std::mt19937 random(11);
  MockModel model;
  model.always(after(2ms, answers()));
  for (int i = 0; i < 40; ++i) {
    Pipeline pipeline(std::string("videotestsrc ! video/x-raw,width=32,height=24,framerate=30/1 ! "
                                  "moondreamfilter sample-rate=0/1 detect=face mode=") +
                      (i % 2 ? "sync" : "async") + " ! fakesink");
    pipeline.play();
    g_usleep(random() % 10000);
  }
}

}  // namespace
}  // namespace moondream
