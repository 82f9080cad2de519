// What moondreamfilter does in either mode: buffers, metas, properties, life cycle.
#include <cmath>
#include <set>

#include "filter_harness.h"

namespace moondream {
namespace {

const Properties kDetect = {{"mode", "sync"}, {"detect", "face"}};

TEST(MoondreamFilter, PixelsTimestampsAndFlagsPassUntouched) {
  MockModel model;
  FilterHarness filter(kDetect);
  BufferPtr in = filter.frame(3 * GST_SECOND, 77);
  GST_BUFFER_DTS(in.get()) = 2 * GST_SECOND;
  GST_BUFFER_DURATION(in.get()) = 5;
  GST_BUFFER_OFFSET(in.get()) = 6;
  GST_BUFFER_OFFSET_END(in.get()) = 7;
  GST_BUFFER_FLAG_SET(in.get(), GST_BUFFER_FLAG_DISCONT | GST_BUFFER_FLAG_MARKER);
  const GstMemory *memory = gst_buffer_peek_memory(in.get(), 0);
  const gsize size = gst_buffer_get_size(in.get());
  ASSERT_EQ(filter.push(std::move(in)), GST_FLOW_OK);
  const BufferPtr out = filter.pull();
  EXPECT_EQ(gst_buffer_n_memory(out.get()), 1u);
  EXPECT_EQ(gst_buffer_peek_memory(out.get(), 0), memory);
  EXPECT_EQ(gst_buffer_get_size(out.get()), size);
  const std::vector<guint8> expected(size, 77);
  EXPECT_EQ(gst_buffer_memcmp(out.get(), 0, expected.data(), size), 0);
  EXPECT_EQ(GST_BUFFER_PTS(out.get()), 3 * GST_SECOND);
  EXPECT_EQ(GST_BUFFER_DTS(out.get()), 2 * GST_SECOND);
  EXPECT_EQ(GST_BUFFER_DURATION(out.get()), 5u);
  EXPECT_EQ(GST_BUFFER_OFFSET(out.get()), 6u);
  EXPECT_EQ(GST_BUFFER_OFFSET_END(out.get()), 7u);
  EXPECT_TRUE(GST_BUFFER_FLAG_IS_SET(out.get(), GST_BUFFER_FLAG_DISCONT));
  EXPECT_TRUE(GST_BUFFER_FLAG_IS_SET(out.get(), GST_BUFFER_FLAG_MARKER));
}

TEST(MoondreamFilter, ABufferThatOthersHoldSharesItsPixelsAndStaysWithoutMeta) {
  MockModel model;
  FilterHarness filter(kDetect);
  const BufferPtr held = filter.frame(0);
  ASSERT_EQ(filter.push(BufferPtr(gst_buffer_ref(held.get()))), GST_FLOW_OK);
  const BufferPtr out = filter.pull();
  EXPECT_NE(out.get(), held.get());
  EXPECT_EQ(gst_buffer_peek_memory(out.get(), 0), gst_buffer_peek_memory(held.get(), 0));
  EXPECT_FALSE(read_analysis(held.get()));
  EXPECT_TRUE(read_analysis(out.get()));
}

TEST(MoondreamFilter, TakesRawVideoInSystemMemoryAndNothingElse) {
  const ElementPtr filter = make_filter({});
  GstPad *sink = gst_element_get_static_pad(filter.get(), "sink");
  for (const char *accepted : {"NV12", "I420", "RGB", "GRAY8", "P010_10LE", "v210", "ARGB64"}) {
    const std::string text =
        std::string("video/x-raw,width=1,height=1,framerate=0/1,format=") + accepted;
    GstCaps *caps = gst_caps_from_string(text.c_str());
    EXPECT_TRUE(gst_pad_query_accept_caps(sink, caps)) << text;
    gst_caps_unref(caps);
  }
  for (const char *rejected :
       {"video/x-h264", "video/x-raw(memory:DMABuf),width=1,height=1,framerate=0/1,format=NV12",
        "audio/x-raw", "video/x-raw,width=1,height=1,framerate=0/1,format=ENCODED"}) {
    GstCaps *caps = gst_caps_from_string(rejected);
    EXPECT_FALSE(gst_pad_query_accept_caps(sink, caps)) << rejected;
    gst_caps_unref(caps);
  }
  gst_object_unref(sink);
}

TEST(MoondreamFilter, DownstreamDecidesTheFormat) {
  MockModel model;
  FilterHarness filter(kDetect);
  gst_harness_set_sink_caps_str(filter.get(), "video/x-raw,format=NV12");
  GstCaps *caps = gst_pad_peer_query_caps(filter.get()->srcpad, nullptr);
  for (guint i = 0; i < gst_caps_get_size(caps); ++i) {
    EXPECT_STREQ(gst_structure_get_string(gst_caps_get_structure(caps, i), "format"), "NV12");
  }
  EXPECT_FALSE(gst_caps_is_empty(caps));
  gst_caps_unref(caps);
}

TEST(MoondreamFilter, BoxesAreRegionsOfInterestAndInTheSentinel) {
  MockModel model;
  FilterHarness filter({{"mode", "sync"},
                        {"detect", " face ,, license plate,face"},
                        {"point", "door"},
                        {"query", "Who?"},
                        {"caption", "long"}});
  filter.push(0);
  const BufferPtr out = filter.pull();
  const FrameAnalysis analysis = FilterHarness::analysis_of(out);
  ASSERT_EQ(analysis.objects.size(), 2u);
  EXPECT_EQ(analysis.objects[0].label, "face");
  EXPECT_EQ(analysis.objects[1].label, "license plate");
  EXPECT_EQ(analysis.objects[1].label_id, 1);
  EXPECT_EQ(analysis.objects[1].score, 0.9);
  EXPECT_EQ(analysis.objects[1].box.x_min, 0.25);
  EXPECT_EQ(analysis.objects[1].box.y_max, 0.75);
  ASSERT_EQ(analysis.points.size(), 1u);
  EXPECT_EQ(analysis.points[0].label, "door");
  EXPECT_EQ(analysis.points[0].point.x, 0.5);
  EXPECT_EQ(analysis.points[0].point.y, 0.25);
  EXPECT_EQ(analysis.caption, "a mock caption");
  ASSERT_EQ(analysis.answers.size(), 1u);
  EXPECT_EQ(analysis.answers[0].question, "Who?");
  EXPECT_EQ(analysis.answers[0].answer, "mock answer: Who?");

  // Of 64x48: a quarter to three quarters.
  gpointer state = nullptr;
  std::set<guint> ids;
  std::set<std::string> labels;
  while (auto *roi =
             reinterpret_cast<GstVideoRegionOfInterestMeta *>(gst_buffer_iterate_meta_filtered(
                 out.get(), &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    EXPECT_EQ(roi->x, 16u);
    EXPECT_EQ(roi->y, 12u);
    EXPECT_EQ(roi->w, 32u);
    EXPECT_EQ(roi->h, 24u);
    const GstStructure *object_id = gst_video_region_of_interest_meta_get_param(roi, "object_id");
    ASSERT_TRUE(object_id);
    gint id;
    ASSERT_TRUE(gst_structure_get_int(object_id, "id", &id));
    ids.insert(static_cast<guint>(id));
    labels.insert(g_quark_to_string(roi->roi_type));
    const GstStructure *detection = gst_video_region_of_interest_meta_get_param(roi, "detection");
    ASSERT_TRUE(detection);
    gdouble x_min, confidence;
    gint label_id;
    EXPECT_TRUE(gst_structure_get(detection, "x_min", G_TYPE_DOUBLE, &x_min, "confidence",
                                  G_TYPE_DOUBLE, &confidence, "label_id", G_TYPE_INT, &label_id,
                                  nullptr));
    EXPECT_EQ(x_min, 0.25);
    EXPECT_EQ(confidence, 0.9);
  }
  EXPECT_EQ(ids, (std::set<guint>{analysis.objects[0].id, analysis.objects[1].id}));
  EXPECT_EQ(ids, (std::set<guint>{1, 2}));
  EXPECT_EQ(labels, (std::set<std::string>{"face", "license plate"}));
}

TEST(MoondreamFilter, BoxesThatAreNoneAreDroppedAndOthersClamped) {
  MockModel model;
  model.always(answers_broken_boxes());
  FilterHarness filter({{"mode", "sync"}, {"detect", "face"}, {"point", "face"}});
  filter.push(0);
  const FrameAnalysis analysis = filter.pull_analysis();
  ASSERT_FALSE(analysis.objects.empty());
  for (const AnalysisObject &object : analysis.objects) {
    // As read_analysis() demands: finite, ordered, in [0, 1].
    EXPECT_EQ(object.box.x_min, 0);
    EXPECT_EQ(object.box.x_max, 1);
  }
  EXPECT_GT(filter.stat("discarded"), 0u);
}

TEST(MoondreamFilter, TextThatIsNotUtf8IsMadeSo) {
  MockModel model;
  model.always(answers_garbage_text());
  FilterHarness filter({{"mode", "sync"}, {"caption", "short"}, {"query", "What?"}});
  filter.push(0);
  const FrameAnalysis analysis = filter.pull_analysis();
  ASSERT_TRUE(analysis.caption);
  EXPECT_TRUE(g_utf8_validate(analysis.caption->c_str(), -1, nullptr));
  EXPECT_NE(analysis.caption->find("<b>&amp;"), std::string::npos) << "text behind a NUL is kept";
  ASSERT_EQ(analysis.answers.size(), 1u);
  EXPECT_TRUE(g_utf8_validate(analysis.answers[0].answer.c_str(), -1, nullptr));
}

TEST(MoondreamFilter, TextOfTheModelNeverBecomesAQuark) {
  MockModel model;
  Result result;
  result.prompts.push_back(CaptionResult{"a caption that nobody ever interned"});
  model.always(answers(result));
  FilterHarness filter({{"mode", "sync"}, {"caption", "short"}});
  filter.push(0);
  EXPECT_EQ(filter.pull_analysis().caption, "a caption that nobody ever interned");
  EXPECT_EQ(g_quark_try_string("a caption that nobody ever interned"), 0u);
}

TEST(MoondreamFilter, AResultIsAMessageOnTheBus) {
  MockModel model;
  FilterHarness filter(kDetect);
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  segment.start = 10 * GST_SECOND;
  segment.time = 100 * GST_SECOND;
  segment.base = 1000 * GST_SECOND;
  filter.push_event(gst_event_new_segment(&segment));
  filter.push(12 * GST_SECOND);
  filter.pull();
  const MessagePtr message = filter.wait_for_result();
  ASSERT_TRUE(message);
  const GstStructure *structure = gst_message_get_structure(message.get());
  EXPECT_TRUE(gst_structure_has_name(structure, "moondream-result"));
  guint64 pts, running_time, stream_time;
  ASSERT_TRUE(gst_structure_get(structure, "pts", G_TYPE_UINT64, &pts, "running-time",
                                G_TYPE_UINT64, &running_time, "stream-time", G_TYPE_UINT64,
                                &stream_time, nullptr));
  EXPECT_EQ(pts, 12 * GST_SECOND);
  EXPECT_EQ(running_time, 1002 * GST_SECOND);
  EXPECT_EQ(stream_time, 102 * GST_SECOND);
  gint width, height;
  ASSERT_TRUE(gst_structure_get(structure, "width", G_TYPE_INT, &width, "height", G_TYPE_INT,
                                &height, nullptr));
  EXPECT_EQ(width, 64);  // kSmallCaps
  EXPECT_EQ(height, 48);
  const std::optional<FrameAnalysis> analysis = from_structure(structure);
  ASSERT_TRUE(analysis);
  EXPECT_EQ(analysis->status, AnalysisStatus::kFresh);
  EXPECT_EQ(analysis->objects.size(), 1u);

  set(filter.element(), "post-messages", "false");
  filter.push(13 * GST_SECOND);
  filter.pull();
  EXPECT_FALSE(wait_for(filter.bus(), GST_MESSAGE_ELEMENT, 0));
}

TEST(MoondreamFilter, SamplesComeByTimestampsWhateverTheFrameRateSays) {
  MockModel model;
  FilterHarness filter(kDetect, "video/x-raw,format=I420,width=16,height=16,framerate=0/1");
  // 10 s of a variable rate, with pauses over several periods: a sample for each period of 0.5 s
  // that has a frame.
  std::set<GstClockTime> periods;
  GstClockTime pts = 0;
  guint step = 1;
  while (pts < 10 * GST_SECOND) {
    filter.push(pts);
    filter.pull();
    periods.insert(pts / (500 * GST_MSECOND));
    step = step * 1103515245 + 12345;
    pts += (1 + (step >> 16) % 1200) * GST_MSECOND;
  }
  EXPECT_EQ(filter.stat("samples"), periods.size());
}

TEST(MoondreamFilter, NewCapsAreInForceFromTheirFrameOn) {
  MockModel model;
  std::vector<std::pair<int, int>> sizes;
  model.always([&sizes](const Job &job) -> Outcome {
    sizes.emplace_back(job.request->image->width, job.request->image->height);
    return mock_result(*job.request);
  });
  FilterHarness filter({{"mode", "sync"}, {"detect", "face"}, {"sample-rate", "0/1"}});
  filter.push(0);
  filter.pull();
  filter.set_caps("video/x-raw,format=NV12,width=33,height=7,framerate=30/1");
  filter.push(GST_SECOND);
  const BufferPtr out = filter.pull();
  ASSERT_TRUE(model.ended().wait(2));
  EXPECT_EQ(sizes, (std::vector<std::pair<int, int>>{{64, 48}, {33, 7}}));
  auto *roi = gst_buffer_get_video_region_of_interest_meta(out.get());
  ASSERT_TRUE(roi);
  EXPECT_EQ(roi->w, 17u);  // from 8.25 to 24.75, to the nearest edges
}

TEST(MoondreamFilter, OddSizesAreSeenWhole) {
  for (const auto &[width, height] : {std::pair{1, 1}, {3, 5}, {5, 3}, {8192, 16}, {16, 8192}}) {
    for (const char *format : {"I420", "NV12", "YUY2", "RGB", "v210", "NV12_64Z32"}) {
      MockModel model;
      int seen_width = 0, seen_height = 0;
      model.always([&](const Job &job) -> Outcome {
        seen_width = job.request->image->width;
        seen_height = job.request->image->height;
        return mock_result(*job.request);
      });
      const std::string caps = std::string("video/x-raw,framerate=30/1,format=") + format +
                               ",width=" + std::to_string(width) +
                               ",height=" + std::to_string(height);
      FilterHarness filter(kDetect, caps.c_str());
      filter.push(0);
      EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh) << caps;
      ASSERT_TRUE(model.ended().wait());
      EXPECT_EQ(seen_width, width) << caps;
      EXPECT_EQ(seen_height, height) << caps;
    }
  }
}

TEST(MoondreamFilter, PromptsChangeWhilePlaying) {
  MockModel model;
  FilterHarness filter(kDetect);
  filter.push(0);
  EXPECT_EQ(filter.pull_analysis().objects[0].label, "face");
  // A new question is asked at the next frame, whether a tick falls on it or not.
  set(filter.element(), "detect", "star");
  filter.push(1);
  const FrameAnalysis star = filter.pull_analysis();
  EXPECT_EQ(star.status, AnalysisStatus::kFresh);
  EXPECT_EQ(star.objects[0].label, "star");
  // Nothing asked: nothing known, nothing sampled.
  set(filter.element(), "detect", "");
  for (int i = 1; i < 5; ++i) {
    filter.push(i * GST_SECOND);
    EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kPending);
  }
  EXPECT_EQ(filter.stat("samples"), 2u);
  set(filter.element(), "caption", "short");
  filter.push(4 * GST_SECOND + 1);
  EXPECT_EQ(filter.pull_analysis().caption, "a mock caption");
}

TEST(MoondreamFilter, GenerationSettingsReachTheModel) {
  MockModel model;
  FilterHarness filter({{"mode", "sync"},
                        {"query", "What?"},
                        {"max-objects", "7"},
                        {"stop-at-duplicates", "true"},
                        {"max-tokens", "11"},
                        {"temperature", "0.5"},
                        {"top-p", "0.25"},
                        {"seed", "99"}});
  filter.push(0);
  filter.pull();
  ASSERT_EQ(model.runs().size(), 1u);
  const GenerationSettings settings = model.runs()[0].settings;
  EXPECT_EQ(settings.max_objects, 7);
  EXPECT_TRUE(settings.stop_at_duplicates);
  EXPECT_EQ(settings.max_tokens, 11);
  EXPECT_EQ(settings.temperature, 0.5);
  EXPECT_EQ(settings.top_p, 0.25);
  EXPECT_EQ(settings.seed, 99u);
}

TEST(MoondreamFilter, ModelSettingsReachTheLoader) {
  MockModel model;
  ModelSpec seen;
  model.on_load([&](const ModelSpec &spec, std::stop_token) { seen = spec; });
  const ElementPtr filter = make_filter({{"detect", "face"},
                                         {"model", "/"},
                                         {"tokenizer", "/t"},
                                         {"variant", "/v.pt"},
                                         {"model-release", "2025-04-14"},
                                         {"device", "cuda:3"},
                                         {"precision", "bfloat16"}});
  ASSERT_EQ(gst_element_set_state(filter.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_SUCCESS);
  EXPECT_EQ(seen, (ModelSpec{.model = "/",
                             .variant = "/v.pt",
                             .tokenizer = "/t",
                             .device = "cuda:3",
                             .precision = Precision::kBFloat16,
                             .release = "2025-04-14"}));
  gst_element_set_state(filter.get(), GST_STATE_NULL);
}

TEST(MoondreamFilter, ElementsShareOneModelAndTheLastFreesIt) {
  MockModel model;
  {
    FilterHarness one(kDetect), other(kDetect);
    one.push(0);
    other.push(0);
    EXPECT_EQ(one.pull_analysis().status, AnalysisStatus::kFresh);
    EXPECT_EQ(other.pull_analysis().status, AnalysisStatus::kFresh);
    EXPECT_EQ(model.loading().count(), 1u);
    gst_element_set_state(one.element(), GST_STATE_NULL);
    EXPECT_EQ(model.freed().count(), 0u);
  }
  EXPECT_TRUE(model.freed().wait());
}

TEST(MoondreamFilter, EveryCycleOfStatesLoadsAndFreesTheModel) {
  MockModel model;
  const ElementPtr filter = make_filter(kDetect);
  for (std::size_t i = 1; i <= 5; ++i) {
    EXPECT_EQ(gst_element_set_state(filter.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_SUCCESS);
    EXPECT_EQ(model.loading().count(), i);
    EXPECT_EQ(gst_element_set_state(filter.get(), GST_STATE_READY), GST_STATE_CHANGE_SUCCESS);
    EXPECT_TRUE(model.freed().wait(i));
  }
  gst_element_set_state(filter.get(), GST_STATE_NULL);
}

// The sample holds the buffer with its metas; a use after free in them would show when it is read.
TEST(MoondreamFilter, ASampleOutlivesThePipeline) {
  MockModel model;
  BufferPtr kept;
  {
    FilterHarness filter(kDetect);
    filter.push(0);
    kept = filter.pull();
  }
  EXPECT_EQ(FilterHarness::analysis_of(kept).objects.size(), 1u);
  EXPECT_TRUE(gst_buffer_get_video_region_of_interest_meta(kept.get()));
}

TEST(MoondreamFilter, CountersCanBeReadBeforeAndAfterTheStream) {
  MockModel model;
  FilterHarness filter(kDetect);
  filter.push(0);
  filter.pull();
  gst_element_set_state(filter.element(), GST_STATE_NULL);
  EXPECT_EQ(filter.stat("frames"), 1u);
  EXPECT_EQ(filter.stat("results"), 1u);
  const ElementPtr idle = make_filter({});
  GstStructure *stats = nullptr;
  g_object_get(idle.get(), "stats", &stats, nullptr);
  ASSERT_TRUE(stats);
  gst_structure_free(stats);
}

}  // namespace
}  // namespace moondream
