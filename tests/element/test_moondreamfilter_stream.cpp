// What frames, events and queries of a stream do to moondreamfilter, and what it does to them.
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "filter_harness.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

const Properties kSync = {{"mode", "sync"}, {"detect", "face"}, {"sample-rate", "0/1"}};
const Properties kAsync = {{"mode", "async"}, {"detect", "face"}, {"sample-rate", "0/1"}};

Properties with(Properties properties, const Properties &more) {
  properties.insert(properties.end(), more.begin(), more.end());
  return properties;
}

void push_segment(FilterHarness &filter, gdouble rate = 1, GstClockTime start = 0) {
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.rate = rate;
  segment.start = segment.time = start;
  if (rate < 0) segment.stop = 100 * GST_SECOND;
  filter.push_event(gst_event_new_segment(&segment));
}

// ---- Pictures --------------------------------------------------------------------------------

// The size of the last picture that a model saw. Thread-safety: safe.
class SeenSize {
 public:
  Behaviour behaviour() {
    return [this](const Job &job) -> Outcome {
      const std::lock_guard lock(lock_);
      size_ = {job.image->width, job.image->height};
      return mock_result(*job.request);
    };
  }
  std::pair<int, int> get() {
    const std::lock_guard lock(lock_);
    return size_;
  }

 private:
  std::mutex lock_;
  std::pair<int, int> size_;  // lock_
};

using Size = std::pair<int, int>;

TEST(MoondreamFilterStream, TheModelSeesSquarePixels) {
  MockModel model;
  SeenSize seen;
  model.always(seen.behaviour());
  FilterHarness filter(kSync,
                       "video/x-raw,format=I420,width=64,height=48,framerate=30/1,"
                       "pixel-aspect-ratio=3/2");
  filter.push(0);
  const BufferPtr out = filter.pull();
  EXPECT_EQ(seen.get(), Size(96, 48));
  // In the frame the same fractions are the same places.
  EXPECT_EQ(FilterHarness::analysis_of(out).objects.at(0).box, (Box{0.25, 0.25, 0.75, 0.75}));
  EXPECT_EQ(gst_buffer_get_video_region_of_interest_meta(out.get())->w, 32u) << "of 64";
}

TEST(MoondreamFilterStream, OnlyWhatACropMetaLeavesIsSeenAndMeant) {
  MockModel model;
  SeenSize seen;
  model.always(seen.behaviour());
  FilterHarness filter(kSync);
  BufferPtr in = filter.frame(0);
  GstVideoCropMeta *crop = gst_buffer_add_video_crop_meta(in.get());
  crop->x = 16, crop->y = 12, crop->width = 32, crop->height = 24;
  filter.push(std::move(in));
  // The middle half, of which the middle half is found.
  EXPECT_EQ(filter.pull_analysis().objects.at(0).box, (Box{0.375, 0.375, 0.625, 0.625}));
  EXPECT_EQ(seen.get(), Size(32, 24));
}

TEST(MoondreamFilterStream, ACropMetaBeyondTheFrameEndsWithItAndAnEmptyOneIsIgnored) {
  MockModel model;
  SeenSize seen;
  model.always(seen.behaviour());
  FilterHarness filter(kSync);
  BufferPtr beyond = filter.frame(0), empty = filter.frame(1);
  GstVideoCropMeta *crop = gst_buffer_add_video_crop_meta(beyond.get());
  crop->x = 60, crop->y = 40, crop->width = G_MAXUINT, crop->height = G_MAXUINT;
  filter.push(std::move(beyond));
  filter.pull();
  EXPECT_EQ(seen.get(), Size(4, 8));
  crop = gst_buffer_add_video_crop_meta(empty.get());
  crop->x = G_MAXUINT, crop->y = 0, crop->width = G_MAXUINT, crop->height = 48;
  filter.push(std::move(empty));
  filter.pull();
  EXPECT_EQ(seen.get(), Size(64, 48));
}

TEST(MoondreamFilterStream, APictureThatATagTurnsIsSeenUprightAndMeantAsItIsStored) {
  MockModel model;
  SeenSize seen;
  Result top_left;
  top_left.prompts.push_back(DetectResult{{{{0, 0, 0.5, 0.25}, 1}}});
  model.always([&](const Job &job) -> Outcome {
    seen.behaviour()(job);
    return top_left;
  });
  FilterHarness filter(kSync);
  const auto turn = [&](const char *orientation) {
    filter.push_event(
        gst_event_new_tag(gst_tag_list_new(GST_TAG_IMAGE_ORIENTATION, orientation, nullptr)));
  };
  turn("rotate-90");
  filter.push(0);
  // Turned clockwise, the stored left edge is on top and its lower end is left.
  EXPECT_EQ(filter.pull_analysis().objects.at(0).box, (Box{0, 0.5, 0.25, 1}));
  EXPECT_EQ(seen.get(), Size(48, 64));
  filter.push_event(gst_event_new_tag(gst_tag_list_new(GST_TAG_TITLE, "other", nullptr)));
  turn("nonsense");
  filter.push(1);
  EXPECT_EQ(filter.pull_analysis().objects.at(0).box, (Box{0, 0.5, 0.25, 1}));
  filter.push_event(gst_event_new_stream_start("another"));
  push_segment(filter);
  filter.push(2);
  EXPECT_EQ(filter.pull_analysis().objects.at(0).box, (Box{0, 0, 0.5, 0.25}));
}

TEST(MoondreamFilterStream, AFieldOfAlternateInterlacingIsSeenAtFullHeight) {
  for (const guint meta_height : {0u, 24u, 48u}) {
    MockModel model;
    SeenSize seen;
    model.always(seen.behaviour());
    FilterHarness filter(kSync,
                         "video/x-raw(format:Interlaced),format=NV12,width=64,height=48,"
                         "framerate=25/1,interlace-mode=alternate");
    const gsize size = 64 * 24 * 3 / 2;
    GstBuffer *field = gst_buffer_new_allocate(nullptr, size, nullptr);
    gst_buffer_memset(field, 0, 100, size);
    GST_BUFFER_PTS(field) = 0;
    GST_BUFFER_FLAG_SET(field, GST_VIDEO_BUFFER_FLAG_INTERLACED | GST_VIDEO_BUFFER_FLAG_TOP_FIELD);
    if (meta_height > 0) {
      gsize offsets[GST_VIDEO_MAX_PLANES] = {0, 64 * 24};
      gint strides[GST_VIDEO_MAX_PLANES] = {64, 64};
      gst_buffer_add_video_meta_full(field, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_NV12, 64,
                                     meta_height, 2, offsets, strides);
    }
    filter.push(BufferPtr(field));
    const BufferPtr out = filter.pull();
    EXPECT_EQ(FilterHarness::analysis_of(out).status, AnalysisStatus::kFresh) << meta_height;
    EXPECT_EQ(seen.get(), Size(64, 48));
    EXPECT_EQ(gst_buffer_get_video_region_of_interest_meta(out.get())->h, 12u) << "of 24 rows";
  }
}

TEST(MoondreamFilterStream, InterleavedFieldsAreOnePicture) {
  for (const char *mode : {"interleaved", "mixed"}) {
    MockModel model;
    SeenSize seen;
    model.always(seen.behaviour());
    const std::string caps =
        std::string("video/x-raw,format=I420,width=64,height=48,framerate=25/1,interlace-mode=") +
        mode;
    FilterHarness filter(kSync, caps.c_str());
    BufferPtr in = filter.frame(0);
    GST_BUFFER_FLAG_SET(in.get(), GST_VIDEO_BUFFER_FLAG_INTERLACED);
    filter.push(std::move(in));
    EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
    EXPECT_EQ(seen.get(), Size(64, 48));
  }
}

TEST(MoondreamFilterStream, SamplesInFlightKeepTheCapsOfTheirFrames) {
  MockModel model;
  Gate go;
  std::mutex lock;
  std::vector<Size> sizes;
  model.always([&](const Job &job) -> Outcome {
    EXPECT_TRUE(go.wait());
    const std::lock_guard guard(lock);
    sizes.emplace_back(job.image->width, job.image->height);
    return mock_result(*job.request);
  });
  FilterHarness filter(with(kSync, {{"max-pending", "4"}}));
  filter.push(0);
  filter.set_caps("video/x-raw,format=NV12,width=33,height=7,framerate=30/1");
  filter.push(GST_SECOND);
  filter.set_caps("video/x-raw,format=RGB,width=5,height=50,framerate=0/1");
  filter.push(2 * GST_SECOND);
  go.open();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
  const std::lock_guard guard(lock);
  EXPECT_EQ(sizes, (std::vector<Size>{{64, 48}, {33, 7}, {5, 50}}));
}

// ---- Memory ----------------------------------------------------------------------------------

TEST(MoondreamFilterStream, TheMemoryOfAFrameGoesThroughWhetherItIsSampledOrNot) {
  for (const Properties &properties : {kSync, kAsync}) {
    MockModel model;
    model.always(properties == kAsync ? hangs_until_cancelled() : answers());
    FilterHarness filter(with(properties, {{"sample-rate", "1/1"}}));
    for (int i = 0; i < 3; ++i) {
      BufferPtr in = filter.frame(i * 400 * GST_MSECOND);
      const GstMemory *memory = gst_buffer_peek_memory(in.get(), 0);
      filter.push(std::move(in));
      const BufferPtr out = filter.pull();
      EXPECT_EQ(gst_buffer_n_memory(out.get()), 1u);
      EXPECT_EQ(gst_buffer_peek_memory(out.get(), 0), memory) << i;
    }
  }
}

// The frame's memory goes downstream; what the model holds of it does not keep it from its pool.
TEST(MoondreamFilterStream, ABufferOfAPoolComesBackWithItsMemory) {
  MockModel model;
  GstBufferPool *pool = gst_buffer_pool_new();
  GstStructure *config = gst_buffer_pool_get_config(pool);
  GstCaps *caps = gst_caps_from_string(kSmallCaps);
  gst_buffer_pool_config_set_params(config, caps, 64 * 48 * 3 / 2, 1, 1);
  gst_caps_unref(caps);
  ASSERT_TRUE(gst_buffer_pool_set_config(pool, config));
  ASSERT_TRUE(gst_buffer_pool_set_active(pool, TRUE));
  {
    FilterHarness filter(kAsync);
    GstBuffer *in = nullptr;
    ASSERT_EQ(gst_buffer_pool_acquire_buffer(pool, &in, nullptr), GST_FLOW_OK);
    GST_BUFFER_PTS(in) = 0;
    const GstMemory *memory = gst_buffer_peek_memory(in, 0);
    filter.push(BufferPtr(in));
    BufferPtr out = filter.pull();
    EXPECT_EQ(gst_buffer_peek_memory(out.get(), 0), memory);
    ASSERT_TRUE(filter.wait_for_result());
    // The picture is made, so nobody but `out` holds the memory.
    out.reset();
    GstBufferPoolAcquireParams now{};
    now.flags = GST_BUFFER_POOL_ACQUIRE_FLAG_DONTWAIT;
    ASSERT_EQ(gst_buffer_pool_acquire_buffer(pool, &in, &now), GST_FLOW_OK);
    EXPECT_EQ(gst_buffer_peek_memory(in, 0), memory) << "not another one";
    gst_buffer_unref(in);
  }
  gst_buffer_pool_set_active(pool, FALSE);
  gst_object_unref(pool);
}

// It would otherwise change under the eyes of the model.
TEST(MoondreamFilterStream, AFrameThatDownstreamWritesToIsSeenAsItWas) {
  MockModel model;
  Gate go;
  std::atomic<int> seen = -1;
  // Keeps the thread that prepares busy until downstream has written.
  model.on_prepare([&](const Request &request, const Image &image) {
    if (request.settings.seed == 1) {
      EXPECT_TRUE(go.wait());
    } else {
      seen = image.pixels[0];
    }
    return nullptr;
  });
  const char *caps = "video/x-raw,format=RGB,width=4,height=4,framerate=30/1";
  FilterHarness blocking(with(kAsync, {{"seed", "1"}}), caps), filter(kAsync, caps);
  blocking.pass(0);
  ASSERT_TRUE(model.preparing().wait());
  filter.push(0, 77);
  BufferPtr out = filter.pull();
  GstMapInfo map;
  ASSERT_TRUE(gst_buffer_map(out.get(), &map, GST_MAP_READWRITE));
  EXPECT_EQ(map.data[0], 77);
  memset(map.data, 200, map.size);
  gst_buffer_unmap(out.get(), &map);
  go.open();
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_EQ(seen, 77);
}

class Allocation {
 public:
  Allocation(FilterHarness &filter, const char *caps_text) {
    GstCaps *caps = gst_caps_from_string(caps_text);
    query_.reset(gst_query_new_allocation(caps, TRUE));
    gst_caps_unref(caps);
    answered_ = gst_pad_peer_query(filter.get()->srcpad, query_.get());
  }
  bool answered() const { return answered_; }
  bool has_video_meta() const {
    return gst_query_find_allocation_meta(query_.get(), GST_VIDEO_META_API_TYPE, nullptr);
  }
  GstQuery *get() const { return query_.get(); }

 private:
  QueryPtr query_;
  bool answered_ = false;
};

TEST(MoondreamFilterStream, VideoMetaIsProposedWhetherDownstreamReadsItOrAnswersAtAll) {
  for (const bool answers : {true, false}) {
    MockModel model;
    FilterHarness filter(kSync);
    if (!answers) {
      gst_pad_set_query_function(
          filter.get()->sinkpad,
          [](GstPad *, GstObject *, GstQuery *) -> gboolean { return FALSE; });
    }
    const Allocation allocation(filter, kSmallCaps);
    EXPECT_TRUE(allocation.answered());
    EXPECT_TRUE(allocation.has_video_meta());
  }
  MockModel model;
  FilterHarness filter(kSync);
  gst_harness_add_propose_allocation_meta(filter.get(), GST_VIDEO_META_API_TYPE, nullptr);
  EXPECT_EQ(gst_query_get_n_allocation_metas(Allocation(filter, kSmallCaps).get()), 1u);
}

// kSmallCaps, I420 64x48, with 16 bytes between rows and between planes. GStreamer takes neither as
// constant.
gint kWideStrides[GST_VIDEO_MAX_PLANES] = {80, 48, 48};
gsize kWideOffsets[GST_VIDEO_MAX_PLANES] = {16, 16 + 80 * 48, 16 + 80 * 48 + 48 * 24};

// Of the picture at row `y`, byte `x` of a plane.
guint8 painted(int plane, int y, int x) {
  return static_cast<guint8>(1 + (plane * 67 + y * 31 + x * 7) % 250);
}

BufferPtr wide_frame(GstClockTime pts) {
  const gsize size = kWideOffsets[2] + 48 * 24;
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, size, nullptr);
  GST_BUFFER_PTS(buffer) = pts;
  GST_BUFFER_OFFSET(buffer) = 7;
  GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_MARKER);
  gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_I420, 64, 48,
                                 3, kWideOffsets, kWideStrides);
  gst_buffer_add_video_region_of_interest_meta(buffer, "upstream", 1, 2, 3, 4);
  GstMapInfo map;
  gst_buffer_map(buffer, &map, GST_MAP_WRITE);
  memset(map.data, 0, map.size);
  for (int plane = 0; plane < 3; ++plane) {
    for (int y = 0; y < (plane == 0 ? 48 : 24); ++y) {
      for (int x = 0; x < (plane == 0 ? 64 : 32); ++x) {
        map.data[kWideOffsets[plane] + static_cast<gsize>(y * kWideStrides[plane] + x)] =
            painted(plane, y, x);
      }
    }
  }
  gst_buffer_unmap(buffer, &map);
  return BufferPtr(buffer);
}

TEST(MoondreamFilterStream, ADownstreamThatDoesNotReadVideoMetaGetsTheUsualLayout) {
  for (const Properties &properties : {kSync, kAsync}) {
    MockModel model;
    FilterHarness filter(properties);
    ASSERT_TRUE(Allocation(filter, kSmallCaps).has_video_meta());
    for (const GstClockTime pts : {0 * GST_MSECOND, 40 * GST_MSECOND}) {
      filter.push(wide_frame(pts));
      const BufferPtr out = filter.pull();
      ASSERT_EQ(gst_buffer_get_size(out.get()), gsize{64 * 48 * 3 / 2});
      EXPECT_EQ(gst_buffer_get_video_meta(out.get()), nullptr);
      EXPECT_EQ(GST_BUFFER_PTS(out.get()), pts);
      EXPECT_EQ(GST_BUFFER_OFFSET(out.get()), 7u);
      EXPECT_TRUE(GST_BUFFER_FLAG_IS_SET(out.get(), GST_BUFFER_FLAG_MARKER));
      const auto *region = gst_buffer_get_video_region_of_interest_meta(out.get());
      ASSERT_TRUE(region);
      EXPECT_STREQ(g_quark_to_string(region->roi_type), "upstream");
      GstMapInfo map;
      ASSERT_TRUE(gst_buffer_map(out.get(), &map, GST_MAP_READ));
      gsize at = 0;
      int wrong = 0;
      for (int plane = 0; plane < 3; ++plane) {
        for (int y = 0; y < (plane == 0 ? 48 : 24); ++y) {
          for (int x = 0; x < (plane == 0 ? 64 : 32); ++x) {
            wrong += map.data[at++] != painted(plane, y, x);
          }
        }
      }
      EXPECT_EQ(wrong, 0);
      gst_buffer_unmap(out.get(), &map);
    }
  }
}

// Nothing is copied that need not be: where downstream reads the meta, where the frame is laid out
// as usual, and where nobody was asked, as with a producer that knows whom it feeds.
TEST(MoondreamFilterStream, FramesThatDownstreamCanReadAreNotLaidOutAnew) {
  enum Case { kReadsMeta, kUsualLayout, kNeverAsked };
  for (const Case situation : {kReadsMeta, kUsualLayout, kNeverAsked}) {
    MockModel model;
    FilterHarness filter(kSync);
    if (situation == kReadsMeta) {
      gst_harness_add_propose_allocation_meta(filter.get(), GST_VIDEO_META_API_TYPE, nullptr);
    }
    if (situation != kNeverAsked) {
      ASSERT_TRUE(Allocation(filter, kSmallCaps).answered());
    }
    BufferPtr in = situation == kUsualLayout ? filter.frame(0) : wide_frame(0);
    if (situation == kUsualLayout) {
      gst_buffer_add_video_meta(in.get(), GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_I420, 64, 48);
    }
    const GstMemory *memory = gst_buffer_peek_memory(in.get(), 0);
    filter.push(std::move(in));
    const BufferPtr out = filter.pull();
    EXPECT_EQ(gst_buffer_peek_memory(out.get(), 0), memory) << situation;
    EXPECT_TRUE(gst_buffer_get_video_meta(out.get())) << situation;
  }
}

TEST(MoondreamFilterStream, AFrameThatCannotBeLaidOutAnewIsAnError) {
  MockModel model;
  FilterHarness filter(kSync);
  ASSERT_TRUE(Allocation(filter, kSmallCaps).answered());
  BufferPtr in = wide_frame(0);
  gst_buffer_set_size(in.get(), 4000);
  EXPECT_EQ(filter.push(std::move(in)), GST_FLOW_ERROR);
  const MessagePtr message = wait_for(filter.bus(), GST_MESSAGE_ERROR);
  ASSERT_TRUE(message);
  EXPECT_TRUE(
      g_error_matches(error_of(message.get()).get(), GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT));
}

TEST(MoondreamFilterStream, PoolsAreMadeLargerByWhatSamplesHoldAsFarAsTheyMay) {
  MockModel model;
  FilterHarness filter(with(kSync, {{"max-pending", "5"}}));
  gst_pad_add_probe(
      filter.get()->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM,
      [](GstPad *, GstPadProbeInfo *info, gpointer) {
        GstQuery *query = GST_PAD_PROBE_INFO_QUERY(info);
        if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION) return GST_PAD_PROBE_OK;
        gst_query_add_allocation_pool(query, nullptr, 4608, 2, 0);
        gst_query_add_allocation_pool(query, nullptr, 4608, 2, 4);
        return GST_PAD_PROBE_HANDLED;
      },
      nullptr, nullptr);
  const Allocation allocation(filter, kSmallCaps);
  guint size, min, max;
  gst_query_parse_nth_allocation_pool(allocation.get(), 0, nullptr, &size, &min, &max);
  EXPECT_EQ(size, 4608u);
  EXPECT_EQ(min, 7u);
  EXPECT_EQ(max, 0u);
  gst_query_parse_nth_allocation_pool(allocation.get(), 1, nullptr, nullptr, &min, &max);
  EXPECT_EQ(min, 4u);
  EXPECT_EQ(max, 4u);
}

// ---- A conversion that hangs -----------------------------------------------------------------

// Frames whose memory cannot be mapped until the gate opens, and then not either.
struct Hung {
  Gate entered, go;
};
Hung *hung = nullptr;

gboolean map_hung(GstVideoMeta *, guint, GstMapInfo *, gpointer *, gint *, GstMapFlags) {
  hung->entered.open();
  EXPECT_TRUE(hung->go.wait());
  return FALSE;
}

BufferPtr hung_frame(GstClockTime pts) {
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, 64 * 48 * 3 / 2, nullptr);
  GST_BUFFER_PTS(buffer) = pts;
  GstVideoMeta *meta =
      gst_buffer_add_video_meta(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_I420, 64, 48);
  meta->map = map_hung;
  return BufferPtr(buffer);
}

class HungConversion : public testing::Test {
 protected:
  HungConversion() { hung = &hung_; }
  ~HungConversion() override {
    hung_.go.open();
    // What the engine still does reads it.
    EXPECT_TRUE(model_.freed().wait(model_.loading().count()));
    hung = nullptr;
  }

  MockModel model_;
  Hung hung_;
};

TEST_F(HungConversion, HoldsUpNoFrameOfAsyncMode) {
  FilterHarness filter(kAsync);
  filter.push(hung_frame(0));
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kPending);
  ASSERT_TRUE(hung_.entered.wait());
  for (int i = 1; i < 100; ++i) {
    // A later sample may be taken meanwhile, on another thread of the engine.
    EXPECT_NE(filter.pass(i * GST_SECOND / 30).status, AnalysisStatus::kFailed);
  }
}

TEST_F(HungConversion, DoesNotHoldUpAFlush) {
  for (const Properties &properties : {kAsync, kSync}) {
    FilterHarness filter(properties);
    const std::size_t before = hung_.entered.count();
    filter.push(hung_frame(0));
    ASSERT_TRUE(hung_.entered.wait(before + 1));
    EXPECT_LT(time_of([&] { filter.push_event(gst_event_new_flush_start()); }), kFlush);
    EXPECT_LT(time_of([&] { filter.push_event(gst_event_new_flush_stop(TRUE)); }), kFlush);
    EXPECT_LT(time_of([&] { gst_element_set_state(filter.element(), GST_STATE_NULL); }), kStop);
  }
}

TEST_F(HungConversion, DoesNotHoldUpAStopOfSyncMode) {
  FilterHarness filter(kSync);
  GstFlowReturn last = GST_FLOW_OK;
  std::thread upstream([&] {
    for (int i = 0; last == GST_FLOW_OK; ++i) last = filter.push(hung_frame(i * GST_SECOND));
  });
  EXPECT_TRUE(hung_.entered.wait());
  EXPECT_LT(time_of([&] {
              gst_element_set_state(filter.element(), GST_STATE_NULL);
              upstream.join();
            }),
            kStop);
  EXPECT_EQ(last, GST_FLOW_FLUSHING);
}

// ---- QoS -------------------------------------------------------------------------------------

void push_qos(FilterHarness &filter, GstQOSType type, GstClockTimeDiff jitter, GstClockTime time) {
  gst_harness_push_upstream_event(filter.get(), gst_event_new_qos(type, 1, jitter, time));
}

TEST(MoondreamFilterStream, FramesThatAreLateAlreadyAreNotSampledInAsyncMode) {
  MockModel model;
  FilterHarness filter(kAsync);
  filter.pass(0);
  ASSERT_TRUE(filter.wait_for_result());
  push_qos(filter, GST_QOS_TYPE_UNDERFLOW, 50 * GST_MSECOND, 100 * GST_MSECOND);
  EXPECT_EQ(gst_harness_upstream_events_received(filter.get()) > 0, true);
  filter.pass(100 * GST_MSECOND);
  filter.pass(150 * GST_MSECOND);
  EXPECT_EQ(filter.stat("samples"), 1u);
  EXPECT_EQ(filter.stat("late"), 2u);
  filter.pass(151 * GST_MSECOND);
  ASSERT_TRUE(filter.wait_for_result());
  EXPECT_EQ(filter.stat("samples"), 2u);
}

TEST(MoondreamFilterStream, WhatWasLateBeforeASeekIsNotNow) {
  MockModel model;
  FilterHarness filter(kAsync);
  push_qos(filter, GST_QOS_TYPE_UNDERFLOW, 0, 10 * GST_SECOND);
  push_segment(filter, 1, GST_SECOND);
  filter.pass(GST_SECOND);
  EXPECT_EQ(filter.stat("samples"), 1u);
}

TEST(MoondreamFilterStream, QosEventsGoOnUpstream) {
  MockModel model;
  FilterHarness filter(kAsync);
  filter.pass(0);
  push_qos(filter, GST_QOS_TYPE_OVERFLOW, -7, GST_SECOND);
  for (;;) {
    const EventPtr event(gst_harness_try_pull_upstream_event(filter.get()));
    ASSERT_TRUE(event) << "no QoS event came";
    if (GST_EVENT_TYPE(event.get()) != GST_EVENT_QOS) continue;
    GstClockTimeDiff jitter;
    gst_event_parse_qos(event.get(), nullptr, nullptr, &jitter, nullptr);
    EXPECT_EQ(jitter, -7);
    return;
  }
}

TEST(MoondreamFilterStream, AThrottleLowersTheCadence) {
  MockModel model;
  FilterHarness filter(kAsync);
  filter.pass(0);
  ASSERT_TRUE(filter.wait_for_result());
  push_qos(filter, GST_QOS_TYPE_THROTTLE, 300 * GST_MSECOND, 0);
  for (int i = 1; i <= 9; ++i) {
    filter.pass(i * 100 * GST_MSECOND);
    if (i % 3 == 0) {
      ASSERT_TRUE(filter.wait_for_result()) << i;
    }
  }
  EXPECT_EQ(filter.stat("samples"), 4u);
  push_qos(filter, GST_QOS_TYPE_OVERFLOW, -1, 1);
  filter.pass(GST_SECOND);
  EXPECT_EQ(filter.stat("samples"), 5u);
}

TEST(MoondreamFilterStream, InSyncModeEveryFrameGetsItsResultWhateverQosSays) {
  MockModel model;
  FilterHarness filter(kSync);
  push_qos(filter, GST_QOS_TYPE_UNDERFLOW, 0, 100 * GST_SECOND);
  push_qos(filter, GST_QOS_TYPE_THROTTLE, 100 * GST_SECOND, 0);
  for (int i = 0; i < 3; ++i) {
    filter.push(i * GST_SECOND);
    EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
  }
}

// ---- Time ------------------------------------------------------------------------------------

TEST(MoondreamFilterStream, TheRateOfASegmentDoesNotChangeTheCadenceOfStreamTime) {
  for (const double rate : {0.5, 1.0, 2.0, 8.0}) {
    MockModel model;
    FilterHarness filter({{"mode", "sync"}, {"detect", "face"}});
    push_segment(filter, rate);
    for (int i = 0; i < 60; ++i) filter.push(i * GST_SECOND / 30);
    for (int i = 0; i < 60; ++i) {
      EXPECT_EQ(filter.pull_analysis().age, i * GST_SECOND / 30 - i / 15 * GST_SECOND / 2) << i;
    }
    EXPECT_EQ(filter.stat("samples"), 4u);
  }
}

TEST(MoondreamFilterStream, AGapInTimeTakesNoSamplesAndEndsWithOne) {
  MockModel model;
  FilterHarness filter({{"mode", "sync"}, {"detect", "face"}});
  filter.push(0);
  filter.push_event(gst_event_new_gap(GST_SECOND / 30, 10 * GST_SECOND));
  BufferPtr behind = filter.frame(10 * GST_SECOND + 1);
  GST_BUFFER_FLAG_SET(behind.get(), GST_BUFFER_FLAG_DISCONT);
  filter.push(std::move(behind));
  EXPECT_EQ(filter.pull_analysis().sample_pts, 0u);
  const BufferPtr out = filter.pull();
  EXPECT_EQ(FilterHarness::analysis_of(out).status, AnalysisStatus::kFresh);
  EXPECT_TRUE(GST_BUFFER_FLAG_IS_SET(out.get(), GST_BUFFER_FLAG_DISCONT));
  EXPECT_EQ(filter.stat("samples"), 2u);
}

// A break in a stream whose timestamps go on changes nothing that results are about.
TEST(MoondreamFilterStream, ADiscontinuityAloneVoidsNoResult) {
  MockModel model;
  FilterHarness filter({{"mode", "sync"}, {"detect", "face"}});
  filter.push(0);
  BufferPtr next = filter.frame(100 * GST_MSECOND);
  GST_BUFFER_FLAG_SET(next.get(), GST_BUFFER_FLAG_DISCONT);
  filter.push(std::move(next));
  filter.pull();
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kHeld);
}

TEST(MoondreamFilterStream, ASeekSamplesItsFirstFrameWhereverItGoes) {
  for (const char *mode : {"sync", "async"}) {
    for (const auto &[rate, start] : {std::pair{1.0, 50}, {1.0, 2}, {-1.0, 60}}) {
      MockModel model;
      FilterHarness filter({{"mode", mode}, {"detect", "face"}});
      filter.push(10 * GST_SECOND);
      filter.pull();
      ASSERT_TRUE(filter.wait_for_result());
      filter.push_event(gst_event_new_flush_start());
      filter.push_event(gst_event_new_flush_stop(TRUE));
      push_segment(filter, rate);
      filter.push(start * GST_SECOND);
      const FrameAnalysis analysis = filter.pull_analysis();
      EXPECT_NE(analysis.status, AnalysisStatus::kHeld) << "of before the seek";
      ASSERT_TRUE(filter.wait_for_result());
      EXPECT_EQ(filter.stat("samples"), 2u);
    }
  }
}

TEST(MoondreamFilterStream, EosOfSyncModeComesBehindTheResultsInFlight) {
  MockModel model;
  Gate go;
  model.always(hangs_until(go));
  FilterHarness filter(kSync);
  filter.push(0);
  filter.push(GST_SECOND);
  EXPECT_TRUE(filter.push_event(gst_event_new_eos()));
  EXPECT_EQ(gst_harness_buffers_received(filter.get()), 0u);
  go.open();
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
}

}  // namespace
}  // namespace moondream
