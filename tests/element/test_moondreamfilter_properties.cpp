// What the properties of moondreamfilter do, and when.
#include <mutex>
#include <thread>

#include "filter_harness.h"
#include "filter_settings.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

const Properties kSync = {{"mode", "sync"}, {"detect", "face"}, {"sample-rate", "0/1"}};

Properties with(Properties properties, const Properties &more) {
  properties.insert(properties.end(), more.begin(), more.end());
  return properties;
}

// What of each request the mock does not note. Thread-safety: safe.
class Asked {
 public:
  struct Look {
    Grid grid;
    double change_threshold;
    bool reuse_result;
  };

  Behaviour behaviour(bool reused = false) {
    return [this, reused](const Job &job) -> Outcome {
      const Request &request = *job.request;
      {
        const std::lock_guard lock(lock_);
        looks_.push_back({request.grid, request.change_threshold, request.reuse_result});
      }
      Result result = mock_result(request);
      result.effort = {.crops = 5, .crops_encoded = 2, .reused = reused && request.reuse_result};
      return result;
    };
  }
  Look last() {
    const std::lock_guard lock(lock_);
    return looks_.at(looks_.size() - 1);
  }

 private:
  std::mutex lock_;
  std::vector<Look> looks_;  // lock_
};

std::string text_of(GstElement *element, const char *property) {
  gchar *text = nullptr;
  g_object_get(element, property, &text, nullptr);
  const TextPtr owned(text);
  return text ? text : "";
}

TEST(ParseGrid, TakesColumnsAndRowsAndNothingElse) {
  EXPECT_EQ(parse_grid("1x1"), (Grid{1, 1}));
  EXPECT_EQ(parse_grid("4x2"), (Grid{4, 2}));
  for (const char *text : {"", "x", "2", "2x", "x2", "0x1", "1x0", "-1x1", "5x1", "1x5", "2x2 ",
                           " 2x2", "2X2", "2x2x2", "99999999999999x1", "1.5x2", "+1x1"}) {
    EXPECT_FALSE(parse_grid(text)) << text;
  }
}

TEST(MoondreamFilterProperties, LooksCanChangeWhilePlaying) {
  MockModel model;
  Asked asked;
  model.always(asked.behaviour());
  FilterHarness filter(kSync);
  filter.push(0);
  filter.pull();
  EXPECT_EQ(asked.last().grid, Grid{});
  EXPECT_EQ(asked.last().change_threshold, 0);
  EXPECT_TRUE(asked.last().reuse_result);
  set(filter.element(), "grid", "3x2");
  set(filter.element(), "change-threshold", "0.125");
  filter.push(1);
  filter.pull();
  EXPECT_EQ(asked.last().grid, (Grid{3, 2}));
  EXPECT_EQ(asked.last().change_threshold, 0.125);
}

TEST(MoondreamFilterProperties, ABadGridFailsTheStart) {
  MockModel model;
  const ElementPtr filter = make_filter({{"detect", "face"}, {"grid", "two by two"}});
  EXPECT_EQ(text_of(filter.get(), "grid"), "two by two");
  const BusPtr bus = listen_to(filter.get());
  EXPECT_EQ(gst_element_set_state(filter.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
  const MessagePtr message = wait_for(bus, GST_MESSAGE_ERROR, 0);
  ASSERT_TRUE(message);
  const ErrorPtr error = error_of(message.get());
  EXPECT_TRUE(g_error_matches(error.get(), GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS));
  EXPECT_NE(std::string(error->message).find("two by two"), std::string::npos);
  EXPECT_EQ(model.loading().count(), 0u);
  set(filter.get(), "grid", "2x2");
  EXPECT_EQ(gst_element_set_state(filter.get(), GST_STATE_PAUSED), GST_STATE_CHANGE_SUCCESS);
  gst_element_set_state(filter.get(), GST_STATE_NULL);
}

TEST(MoondreamFilterProperties, WhilePlayingABadGridIsRefusedWithAWarning) {
  MockModel model;
  Asked asked;
  model.always(asked.behaviour());
  FilterHarness filter(with(kSync, {{"grid", "2x1"}}));
  set(filter.element(), "grid", "9x9");
  const MessagePtr message = wait_for(filter.bus(), GST_MESSAGE_WARNING, 0);
  ASSERT_TRUE(message);
  EXPECT_TRUE(g_error_matches(error_of(message.get()).get(), GST_RESOURCE_ERROR,
                              GST_RESOURCE_ERROR_SETTINGS));
  EXPECT_EQ(text_of(filter.element(), "grid"), "2x1");
  filter.push(0);
  filter.pull();
  EXPECT_EQ(asked.last().grid, (Grid{2, 1}));
  // Once it is stopped, the next start will tell.
  gst_element_set_state(filter.element(), GST_STATE_NULL);
  set(filter.element(), "grid", "9x9");
  EXPECT_EQ(text_of(filter.element(), "grid"), "9x9");
}

TEST(MoondreamFilterProperties, AfterMaxIntervalASampleLooksAnew) {
  MockModel model;
  Asked asked;
  model.always(asked.behaviour(true));
  FilterHarness filter(with(kSync, {{"max-interval", "1000000000"}}));
  const auto reuses = [&](GstClockTime pts) {
    filter.push(pts);
    filter.pull();
    return asked.last().reuse_result;
  };
  // The mock says of each result that it is the last one again, if it may be.
  EXPECT_TRUE(reuses(0)) << "nothing is known that was too long ago";
  model.next(asked.behaviour(false));
  EXPECT_TRUE(reuses(100 * GST_MSECOND));
  EXPECT_TRUE(reuses(1000 * GST_MSECOND));
  EXPECT_FALSE(reuses(1100 * GST_MSECOND)) << "a second after the last look";
  EXPECT_TRUE(reuses(1200 * GST_MSECOND));
  EXPECT_EQ(filter.stat("reused"), 3u);
  EXPECT_EQ(filter.stat("results"), 5u);
  EXPECT_EQ(filter.stat("crops"), 25u);
  EXPECT_EQ(filter.stat("crops-encoded"), 10u);
  for (const char *never : {"0", "-1"}) {
    set(filter.element(), "max-interval", never);
    EXPECT_TRUE(reuses(100 * GST_SECOND));
  }
}

TEST(MoondreamFilterProperties, ReasoningIsAskedForAndCarried) {
  MockModel model;
  Result result;
  result.prompts.push_back(QueryResult{
      "Two.", Reasoning{"One here, one there.", {{4, 8, {{0.25, 0.5}, {2, -1}}}, {14, 19, {}}}}});
  model.always(answers(result));
  FilterHarness filter({{"mode", "sync"}, {"query", "How many?"}, {"sample-rate", "0/1"}});
  const auto reasons = [&] {
    return std::get<QueryPrompt>(model.runs().back().prompts.at(0)).reasoning;
  };
  filter.push(0);
  filter.pull();
  EXPECT_FALSE(reasons());
  set(filter.element(), "reasoning", "true");
  filter.push(1);
  const FrameAnalysis analysis = filter.pull_analysis();
  EXPECT_TRUE(reasons());
  ASSERT_EQ(analysis.answers.size(), 1u);
  const std::optional<Reasoning> &reasoning = analysis.answers[0].reasoning;
  ASSERT_TRUE(reasoning);
  EXPECT_EQ(reasoning->text, "One here, one there.");
  ASSERT_EQ(reasoning->grounding.size(), 2u);
  EXPECT_EQ(reasoning->grounding[0].start_idx, 4u);
  EXPECT_EQ(reasoning->grounding[0].end_idx, 8u);
  // Clamped to the frame, as every point.
  EXPECT_EQ(reasoning->grounding[0].points, (std::vector<Point>{{0.25, 0.5}, {1, 0}}));
  EXPECT_TRUE(reasoning->grounding[1].points.empty());
}

TEST(MoondreamFilterProperties, GazeAloneIsAQuestion) {
  MockModel model;
  FilterHarness filter({{"mode", "sync"}, {"gaze", "true"}});
  filter.push(0);
  const FrameAnalysis analysis = filter.pull_analysis();
  ASSERT_EQ(analysis.gaze.size(), 1u);
  EXPECT_EQ(analysis.gaze[0].from, (Point{0.5, 0.4}));
  EXPECT_EQ(analysis.gaze[0].to, (Point{0.5, 0.5}));
}

TEST(MoondreamFilterProperties, ADeclaredLatencyIsTheAnswerFromTheBeginning) {
  MockModel model;
  FilterHarness filter(with(kSync, {{"latency", "300000000"}}));
  gst_harness_set_live(filter.get(), TRUE);
  gst_harness_set_upstream_latency(filter.get(), 7 * GST_MSECOND);
  EXPECT_EQ(gst_harness_query_latency(filter.get()), 307 * GST_MSECOND);
  filter.push(0);
  filter.pull();
  EXPECT_EQ(gst_harness_query_latency(filter.get()), 307 * GST_MSECOND);
  EXPECT_FALSE(wait_for(filter.bus(), GST_MESSAGE_LATENCY, 0));
  set(filter.element(), "latency", "400000000");
  filter.push(GST_SECOND);
  filter.pull();
  EXPECT_TRUE(wait_for(filter.bus(), GST_MESSAGE_LATENCY)) << "a pipeline that plays is told";
  EXPECT_EQ(gst_harness_query_latency(filter.get()), 407 * GST_MSECOND);
}

TEST(MoondreamFilterProperties, AsyncModeNeverAddsTheDeclaredLatency) {
  MockModel model;
  FilterHarness filter({{"mode", "async"}, {"detect", "face"}, {"latency", "300000000"}});
  gst_harness_set_live(filter.get(), TRUE);
  gst_harness_set_upstream_latency(filter.get(), 7 * GST_MSECOND);
  filter.pass(0);
  EXPECT_EQ(gst_harness_query_latency(filter.get()), 7 * GST_MSECOND);
}

TEST(MoondreamFilterProperties, AWaitBeyondTheDeclaredLatencyIsAWarningOnce) {
  MockModel model;
  Gate first, second;
  FilterHarness filter(with(kSync, {{"latency", "20000000"}}));
  model.next(hangs_until(first));
  filter.push(0);
  std::this_thread::sleep_for(30ms);
  first.open();
  filter.pull();
  const MessagePtr warning = wait_for(filter.bus(), GST_MESSAGE_WARNING);
  ASSERT_TRUE(warning);
  std::string debug;
  EXPECT_TRUE(g_error_matches(error_of(warning.get(), &debug).get(), GST_RESOURCE_ERROR,
                              GST_RESOURCE_ERROR_SETTINGS));
  EXPECT_NE(debug.find("0:00:00.020000000"), std::string::npos) << debug;
  // One that waits as long is no news, one that waits by more than a quarter longer is.
  model.next(hangs_until(second));
  filter.push(1);
  std::this_thread::sleep_for(2 * std::chrono::nanoseconds(filter.stat("hold-max")));
  second.open();
  filter.pull();
  EXPECT_TRUE(wait_for(filter.bus(), GST_MESSAGE_WARNING));
}

TEST(MoondreamFilterProperties, WorkersAreThoseOfTheModelAndPlacesFollowThem) {
  MockModel model;
  Gate go;
  model.always(hangs_until(go));
  FilterHarness filter(with(kSync, {{"workers", "3"}}));
  for (int i = 0; i < 4; ++i) filter.push(i);
  ASSERT_TRUE(model.started().wait(3)) << "three at a time";
  EXPECT_EQ(filter.stat("workers"), 3u);
  EXPECT_EQ(filter.stat("max-pending"), 4u);
  go.open();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(filter.pull_analysis().serial, static_cast<guint64>(i + 1));
}

TEST(MoondreamFilterProperties, StatsTellWhatIsInUse) {
  MockModel model;
  FilterHarness filter(kSync);
  filter.push(0);
  filter.pull();
  EXPECT_EQ(filter.stat("max-pending"), 2u);
  EXPECT_EQ(filter.stat("pending"), 0u);
  EXPECT_EQ(filter.stat("queued-frames"), 0u);
  EXPECT_EQ(filter.stat("streams"), 1u);
  EXPECT_GE(filter.stat("workers"), 1u);
  EXPECT_EQ(filter.stat("weight-bytes"), 1234u) << "of the mock";
  EXPECT_EQ(filter.stat("stream-bytes"), kMockMemoryBytes);
  EXPECT_EQ(filter.stat("latency-p99"), filter.stat("latency-max")) << "of a single sample";
  Gate go;
  model.always(hangs_until(go));
  for (int i = 1; i <= 2; ++i) filter.push(i);
  ASSERT_TRUE(model.started().wait(2));
  EXPECT_EQ(filter.stat("pending"), 2u);
  EXPECT_EQ(filter.stat("queued-frames"), 2u);
  filter.push_event(gst_event_new_flush_start());
  EXPECT_EQ(filter.stat("skipped-void"), 2u);
  EXPECT_EQ(filter.stat("skipped"), 2u);
  EXPECT_EQ(filter.stat("skipped-busy"), 0u);
  EXPECT_EQ(filter.stat("queued-frames"), 0u);
  go.open();
}

// Collects what a debug category says. Thread-safety: safe.
struct DebugLines {
  std::mutex lock;
  std::string text;  // lock
};

void collect(GstDebugCategory *category, GstDebugLevel, const gchar *, const gchar *, gint,
             GObject *, GstDebugMessage *message, gpointer data) {
  if (std::string(gst_debug_category_get_name(category)) != "moondream") return;
  auto *lines = static_cast<DebugLines *>(data);
  const std::lock_guard lock(lines->lock);
  lines->text += gst_debug_message_get(message) + std::string("\n");
}

TEST(MoondreamFilterProperties, TheCategoryMoondreamTellsOfModelsAndResults) {
  MockModel model;
  Asked asked;
  model.next(asked.behaviour());
  model.next(fails(ErrorKind::kFailed, "too beautiful"));
  DebugLines lines;
  gst_debug_add_log_function(collect, &lines, nullptr);
  {
    // It exists once it is used.
    FilterHarness first(kSync);
    gst_debug_set_threshold_for_name("moondream", GST_LEVEL_LOG);
    FilterHarness filter(with(kSync, {{"on-error", "warn"}}));
    for (int i = 0; i < 2; ++i) {
      filter.push(i);
      filter.pull();
    }
  }
  gst_debug_remove_log_function(collect);
  gst_debug_unset_threshold_for_name("moondream");
  const std::lock_guard lock(lines.lock);
  for (const char *expected : {"device mock", "precision float32", "1234 bytes of weights",
                               "5 crops, 2 of them encoded", "too beautiful"}) {
    EXPECT_NE(lines.text.find(expected), std::string::npos) << expected << " in\n" << lines.text;
  }
}

}  // namespace
}  // namespace moondream
