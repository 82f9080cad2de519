// What goes wrong, and what the application hears of it.
#include <fstream>
#include <new>

#include "filter_harness.h"

namespace moondream {
namespace {

struct Expected {
  ErrorKind kind;
  GQuark (*domain)();
  gint code;
};

const Expected kTable[] = {
    {ErrorKind::kSettings, gst_resource_error_quark, GST_RESOURCE_ERROR_SETTINGS},
    {ErrorKind::kNotFound, gst_resource_error_quark, GST_RESOURCE_ERROR_NOT_FOUND},
    {ErrorKind::kRead, gst_resource_error_quark, GST_RESOURCE_ERROR_READ},
    {ErrorKind::kNoDevice, gst_resource_error_quark, GST_RESOURCE_ERROR_NOT_FOUND},
    {ErrorKind::kNoMemory, gst_resource_error_quark, GST_RESOURCE_ERROR_NO_SPACE_LEFT},
    {ErrorKind::kMismatch, gst_library_error_quark, GST_LIBRARY_ERROR_SETTINGS},
    {ErrorKind::kFailed, gst_library_error_quark, GST_LIBRARY_ERROR_FAILED},
};

class EveryErrorKind : public ::testing::TestWithParam<Expected> {};

TEST_P(EveryErrorKind, OfALoadFailsTheStartAndALaterStartCanSucceed) {
  MockModel model;
  model.on_load([&](const ModelSpec &, std::stop_token) {
    throw Error(GetParam().kind, "tensor 'a' of 100% is missing");
  });
  const ElementPtr filter = make_filter({{"detect", "face"}});
  const BusPtr bus = listen_to(filter.get());
  EXPECT_EQ(gst_element_set_state(filter.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
  const MessagePtr message = wait_for(bus, GST_MESSAGE_ERROR, 0);
  ASSERT_TRUE(message);
  std::string debug;
  const ErrorPtr error = error_of(message.get(), &debug);
  EXPECT_TRUE(g_error_matches(error.get(), GetParam().domain(), GetParam().code));
  EXPECT_STREQ(error->message, "tensor 'a' of 100% is missing");
  EXPECT_NE(debug.find("Engine::acquire()"), std::string::npos) << debug;
  EXPECT_FALSE(wait_for(bus, GST_MESSAGE_ERROR, 0)) << "one failure, one message";

  model.on_load(nullptr);
  EXPECT_EQ(gst_element_set_state(filter.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_SUCCESS);
  gst_element_set_state(filter.get(), GST_STATE_NULL);
}

TEST_P(EveryErrorKind, OfASampleIsPostedOnce) {
  MockModel model;
  model.always(fails(GetParam().kind, "no"));
  FilterHarness filter({{"mode", "sync"}, {"detect", "face"}});
  filter.push(0);
  const MessagePtr message = wait_for(filter.bus(), GST_MESSAGE_ERROR);
  ASSERT_TRUE(message);
  EXPECT_TRUE(g_error_matches(error_of(message.get()).get(), GetParam().domain(), GetParam().code));
}

INSTANTIATE_TEST_SUITE_P(MoondreamFilterErrors, EveryErrorKind, ::testing::ValuesIn(kTable));

// The text of the error that a start with these properties posts; its code must be as said.
std::string start_error(const Properties &properties, GQuark domain, gint code) {
  const ElementPtr filter = make_filter(properties);
  const BusPtr bus = listen_to(filter.get());
  EXPECT_EQ(gst_element_set_state(filter.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
  gst_element_set_state(filter.get(), GST_STATE_NULL);
  const MessagePtr message = wait_for(bus, GST_MESSAGE_ERROR, 0);
  if (!message) return "no error";
  const ErrorPtr error = error_of(message.get());
  EXPECT_TRUE(g_error_matches(error.get(), domain, code)) << error->message;
  return error->message;
}

TEST(MoondreamFilterErrors, WithoutAPromptTheStartFailsAndNamesTheProperties) {
  MockModel model;
  const std::string text =
      start_error({{"detect", " , "}}, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
  for (const char *name : {"detect", "point", "query", "caption"}) {
    EXPECT_NE(text.find(name), std::string::npos) << text;
  }
  EXPECT_EQ(model.loading().count(), 0u);
}

TEST(MoondreamFilterErrors, AModelThatIsNotThereIsNamed) {
  MockModel model;
  const std::string text = start_error({{"detect", "face"}, {"model", "/nowhere/at/all"}},
                                       GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND);
  EXPECT_NE(text.find("/nowhere/at/all"), std::string::npos) << text;
}

TEST(MoondreamFilterErrors, ExceptionsThatAreNoErrorsArePostedToo) {
  MockModel model;
  for (const Behaviour &behaviour :
       {throws(std::runtime_error("something else")), throws(std::bad_alloc()), throws(42)}) {
    model.next(behaviour);
    FilterHarness filter({{"mode", "sync"}, {"detect", "face"}});
    filter.push(0);
    EXPECT_TRUE(wait_for(filter.bus(), GST_MESSAGE_ERROR));
  }
}

TEST(MoondreamFilterErrors, AModelThatAnswersSomethingElseIsAFailure) {
  MockModel model;
  Result none, other;
  other.prompts.push_back(CaptionResult{"not what was asked"});
  for (const Result &result : {none, other}) {
    model.next(answers(result));
    FilterHarness filter({{"mode", "sync"}, {"detect", "face"}});
    filter.push(0);
    const MessagePtr message = wait_for(filter.bus(), GST_MESSAGE_ERROR);
    ASSERT_TRUE(message);
    EXPECT_TRUE(g_error_matches(error_of(message.get()).get(), GST_LIBRARY_ERROR,
                                GST_LIBRARY_ERROR_FAILED));
  }
}

TEST(MoondreamFilterErrors, APromptThatTheModelRefusesFollowsOnError) {
  MockModel model;
  model.always([](const Job &job) -> Outcome {
    const auto &prompt = std::get<DetectPrompt>(job.request->prompts.at(0));
    if (prompt.object.size() > 1000) return Error(ErrorKind::kSettings, "the prompt is too long");
    return mock_result(*job.request);
  });
  const std::string prompt(10000, 'x');
  FilterHarness filter({{"mode", "sync"}, {"detect", prompt.c_str()}, {"on-error", "warn"}});
  filter.push(0);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFailed);
  const MessagePtr warning = wait_for(filter.bus(), GST_MESSAGE_WARNING);
  ASSERT_TRUE(warning);
  EXPECT_TRUE(g_error_matches(error_of(warning.get()).get(), GST_RESOURCE_ERROR,
                              GST_RESOURCE_ERROR_SETTINGS));
  set(filter.element(), "detect", "face");
  filter.push(1);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
}

// A frame of 64x48 that is a little short, in different ways.
BufferPtr short_frame() { return BufferPtr(gst_buffer_new_allocate(nullptr, 100, nullptr)); }

BufferPtr lying_frame(GstVideoFormat format, guint width, guint height, gint stride) {
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, 64 * 48 * 3 / 2, nullptr);
  gst_buffer_memset(buffer, 0, 0, 64 * 48 * 3 / 2);
  gsize offsets[GST_VIDEO_MAX_PLANES] = {0, 64 * 48, 64 * 48 * 5 / 4};
  gint strides[GST_VIDEO_MAX_PLANES] = {stride, stride / 2, stride / 2};
  gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, format, width, height, 3,
                                 offsets, strides);
  return BufferPtr(buffer);
}

TEST(MoondreamFilterErrors, FramesThatAreNotWhatTheirCapsSayAreFormatErrors) {
  for (const char *mode : {"sync", "async"}) {
    for (int i = 0; i < 4; ++i) {
      MockModel model;
      FilterHarness filter({{"mode", mode}, {"detect", "face"}});
      BufferPtr frame = i == 0   ? short_frame()
                        : i == 1 ? lying_frame(GST_VIDEO_FORMAT_I420, 128, 48, 64)
                        : i == 2 ? lying_frame(GST_VIDEO_FORMAT_YV12, 64, 48, 64)
                                 : lying_frame(GST_VIDEO_FORMAT_I420, 64, 48, 640);
      filter.push(std::move(frame));
      const MessagePtr message = wait_for(filter.bus(), GST_MESSAGE_ERROR);
      ASSERT_TRUE(message) << mode << " " << i;
      EXPECT_TRUE(g_error_matches(error_of(message.get()).get(), GST_STREAM_ERROR,
                                  GST_STREAM_ERROR_FORMAT));
      EXPECT_EQ(model.started().count(), 0u);
    }
  }
}

TEST(MoondreamFilterErrors, ABrokenFramePassesMarkedFailedIfThatIsAskedFor) {
  MockModel model;
  FilterHarness filter(
      {{"mode", "sync"}, {"detect", "face"}, {"on-error", "warn"}, {"sample-rate", "0/1"}});
  filter.push(lying_frame(GST_VIDEO_FORMAT_I420, 64, 48, 640));
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFailed);
  filter.push(GST_SECOND);
  EXPECT_EQ(filter.pull_analysis().status, AnalysisStatus::kFresh);
}

TEST(MoondreamFilterErrors, FramesBeforeTheirCapsAreNotNegotiated) {
  MockModel model;
  const ElementPtr element = make_filter({{"detect", "face"}});
  const HarnessPtr harness(gst_harness_new_with_element(element.get(), "sink", "src"));
  GstPad *sink = gst_element_get_static_pad(element.get(), "sink");
  gst_pad_send_event(sink, gst_event_new_stream_start("id"));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_pad_send_event(sink, gst_event_new_segment(&segment));
  EXPECT_EQ(gst_pad_chain(sink, gst_buffer_new()), GST_FLOW_NOT_NEGOTIATED);
  gst_object_unref(sink);
}

}  // namespace
}  // namespace moondream
