// moondreamfilter and moondreamredact together: what leaves when little is known, and when things
// move.
#include <algorithm>
#include <functional>
#include <iterator>

#include "filter_harness.h"
#include "known_clip.h"
#include "pipeline.h"

namespace moondream {
namespace {

// A launch line in a harness and a bus that hears its elements.
class Chain {
 public:
  Chain(const std::string &line, const char *caps)
      : harness_(gst_harness_new_parse(line.c_str())), bus_(listen_to(harness_->element)) {
    set_caps(caps);
  }

  void set_caps(const char *caps) { gst_harness_set_src_caps_str(harness_.get(), caps); }
  GstHarness *get() { return harness_.get(); }
  const BusPtr &bus() { return bus_; }
  GstFlowReturn push(BufferPtr buffer) {
    return gst_harness_push(harness_.get(), buffer.release());
  }
  void push_event(GstEvent *event) { gst_harness_push_event(harness_.get(), event); }
  void push_segment(const GstSegment &segment) { push_event(gst_event_new_segment(&segment)); }
  BufferPtr pull() { return BufferPtr(gst_harness_pull(harness_.get())); }
  BufferPtr try_pull() { return BufferPtr(gst_harness_try_pull(harness_.get())); }
  ElementPtr child(const char *name) {
    return ElementPtr(gst_bin_get_by_name(GST_BIN(harness_->element), name));
  }

  // Waits until so many more samples are finished.
  void wait_for_results(int count) {
    while (count > 0) {
      const MessagePtr message = wait_for(bus_, GST_MESSAGE_ELEMENT);
      ASSERT_TRUE(message) << "no result came";
      if (gst_message_has_name(message.get(), "moondream-result")) --count;
    }
  }

 private:
  HarnessPtr harness_;
  BusPtr bus_;
};

std::vector<guint8> bytes_of(const BufferPtr &buffer) {
  std::vector<guint8> bytes(gst_buffer_get_size(buffer.get()));
  gst_buffer_extract(buffer.get(), 0, bytes.data(), bytes.size());
  return bytes;
}

// ---- What is not known -----------------------------------------------------------------------

constexpr const char *kGrey = "video/x-raw,format=GRAY8,width=64,height=48,framerate=10/1";
constexpr const char *kLargerGrey = "video/x-raw,format=GRAY8,width=80,height=60,framerate=10/1";
constexpr GstClockTime kFrame = 100 * GST_MSECOND;
constexpr guint8 kPicture = 128;

BufferPtr grey_frame(int number, gsize size = 64 * 48) {
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, size, nullptr);
  gst_buffer_memset(buffer, 0, kPicture, size);
  GST_BUFFER_PTS(buffer) = static_cast<GstClockTime>(number) * kFrame;
  GST_BUFFER_DURATION(buffer) = kFrame;
  return BufferPtr(buffer);
}

// What became of a frame: '.' passed as it was, 'R' redacted in parts, 'C' covered, 'D' dropped,
// '!' refused.
char pass(Chain &chain, BufferPtr frame) {
  if (chain.push(std::move(frame)) != GST_FLOW_OK) return '!';
  const BufferPtr out = chain.try_pull();
  if (!out) return 'D';
  const auto bytes = bytes_of(out);
  const auto left = std::count(bytes.begin(), bytes.end(), kPicture);
  return left == 0 ? 'C' : left == static_cast<std::ptrdiff_t>(bytes.size()) ? '.' : 'R';
}

// A stream in async mode, whose model answers as often as it is let.
struct Situation {
  const char *name;
  const char *reason;  // in stats
  // Leads to a frame of which too little is known, which is returned.
  std::function<BufferPtr(Chain &, MockModel &)> lead;
  const char *filter = "";  // properties
  // What becomes of the frame if it is to pass: what little is known is redacted.
  char passed = '.';
};

// Frames 0 to 2, of which the last is redacted by the result of the first.
void look_once(Chain &chain, MockModel &model) {
  Gate go;
  model.next(hangs_until(go));
  // Every policy lets frames pass of which enough is known; the first is none of them.
  const ElementPtr redact = chain.child("redact");
  gint policy;
  g_object_get(redact.get(), "on-missing", &policy, nullptr);
  set(redact.get(), "on-missing", "pass");
  EXPECT_EQ(pass(chain, grey_frame(0)), '.');
  go.open();
  chain.wait_for_results(1);
  g_object_set(redact.get(), "on-missing", policy, nullptr);
  EXPECT_EQ(pass(chain, grey_frame(1)), 'R');
  EXPECT_EQ(pass(chain, grey_frame(2)), 'R');
}

const Situation kSituations[] = {
    {"the start", "pending", [](Chain &, MockModel &) { return grey_frame(0); }},
    {"a flushing seek", "pending",
     [](Chain &chain, MockModel &model) {
       look_once(chain, model);
       chain.push_event(gst_event_new_flush_start());
       chain.push_event(gst_event_new_flush_stop(TRUE));
       GstSegment segment;
       gst_segment_init(&segment, GST_FORMAT_TIME);
       segment.start = segment.time = segment.position = 3 * kFrame;
       chain.push_segment(segment);
       return grey_frame(3);
     }},
    {"a flush", "pending",
     [](Chain &chain, MockModel &model) {
       look_once(chain, model);
       chain.push_event(gst_event_new_flush_start());
       chain.push_event(gst_event_new_flush_stop(FALSE));
       GstSegment segment;
       gst_segment_init(&segment, GST_FORMAT_TIME);
       chain.push_segment(segment);
       return grey_frame(3);
     }},
    {"a new segment", "pending",
     [](Chain &chain, MockModel &model) {
       look_once(chain, model);
       GstSegment segment;
       gst_segment_init(&segment, GST_FORMAT_TIME);
       segment.start = 3 * kFrame;
       chain.push_segment(segment);
       return grey_frame(3);
     }},
    {"new caps", "pending",
     [](Chain &chain, MockModel &model) {
       look_once(chain, model);
       chain.set_caps(kLargerGrey);
       return grey_frame(3, 80 * 60);
     },
     "", 'R'},
    {"a failed sample", "failed",
     [](Chain &chain, MockModel &model) {
       look_once(chain, model);
       Gate go;
       model.next(hangs_until(go, fails(ErrorKind::kFailed, "no")));
       EXPECT_EQ(pass(chain, grey_frame(5)), 'R');  // is sampled
       go.open();
       chain.wait_for_results(1);
       return grey_frame(6);
     },
     "on-error=warn"},
    {"an old result", "too-old",
     [](Chain &chain, MockModel &model) {
       look_once(chain, model);
       EXPECT_EQ(pass(chain, grey_frame(10)), 'R');
       return grey_frame(11);
     },
     "", 'R'},
    // The filter's own limit.
    {"an older result", "pending",
     [](Chain &chain, MockModel &model) {
       look_once(chain, model);
       return grey_frame(30);
     }},
};

class Missing : public testing::TestWithParam<std::pair<const char *, char>> {};

TEST_P(Missing, IsWhatThePolicySaysInEverySituation) {
  const auto [policy, expected] = GetParam();
  for (const Situation &situation : kSituations) {
    MockModel model;
    model.always(hangs_until_cancelled());
    Chain chain(std::string("moondreamfilter detect=thing mode=async ") + situation.filter +
                    " ! moondreamredact name=redact margin=0 margin-growth=0 max-age=1000000000 "
                    "on-missing=" +
                    policy,
                kGrey);
    BufferPtr frame = situation.lead(chain, model);
    const ElementPtr redact = chain.child("redact");
    const guint64 before = stat_of(redact.get(), situation.reason);
    EXPECT_EQ(pass(chain, std::move(frame)), expected == '.' ? situation.passed : expected)
        << "after " << situation.name;
    EXPECT_EQ(stat_of(redact.get(), situation.reason), before + 1) << situation.name;
    if (expected != '!') continue;
    const MessagePtr message = wait_for(chain.bus(), GST_MESSAGE_ERROR);
    ASSERT_TRUE(message) << situation.name;
    EXPECT_TRUE(
        g_error_matches(error_of(message.get()).get(), GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED));
  }
}

INSTANTIATE_TEST_SUITE_P(MoondreamRedactFilter, Missing,
                         testing::Values(std::pair{"cover", 'C'}, std::pair{"drop", 'D'},
                                         std::pair{"error", '!'}, std::pair{"pass", '.'}),
                         [](const auto &test) { return std::string(test.param.first); });

// In sync mode there is no frame of which nothing is known, behind new caps either.
TEST(MoondreamRedactFilter, InSyncModeNewCapsAreLookedAtAtOnce) {
  MockModel model;
  Chain chain(
      "moondreamfilter detect=thing mode=sync ! "
      "moondreamredact margin=0 margin-growth=0 on-missing=error",
      kGrey);
  const auto redacted = [&](BufferPtr frame) {
    EXPECT_EQ(chain.push(std::move(frame)), GST_FLOW_OK);
    const BufferPtr out = chain.pull();
    const auto bytes = bytes_of(out);
    return static_cast<int>(
        bytes.size() - static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), kPicture)));
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(redacted(grey_frame(i)), 32 * 24);
  chain.set_caps(kLargerGrey);
  for (int i = 3; i < 5; ++i) EXPECT_EQ(redacted(grey_frame(i, 80 * 60)), 40 * 30);
  // Another pace is no other picture.
  chain.set_caps("video/x-raw,format=GRAY8,width=80,height=60,framerate=20/1");
  EXPECT_EQ(redacted(grey_frame(6, 80 * 60)), 40 * 30);
  EXPECT_EQ(model.ended().count(), 3u) << "frame 6 has a tick, 0 and 3 are the first of their caps";
}

// Each buffer of alternate fields has half the rows. Metas say either height.
TEST(MoondreamRedactFilter, FieldsAreRedactedCoveredAndDrawnOnToo) {
  constexpr int kRows = 24;
  const std::pair<const char *, std::function<bool(std::ptrdiff_t)>> consumers[] = {
      {"moondreamredact margin=0 margin-growth=0",
       [](std::ptrdiff_t changed) { return changed == 32 * kRows / 2; }},
      {"moondreammoderate labels=thing action=cover",
       [](std::ptrdiff_t changed) { return changed == 64 * kRows; }},
      {"moondreamoverlay",
       [](std::ptrdiff_t changed) { return changed > 0 && changed < 64 * kRows; }}};
  for (const auto &[consumer, is_right] : consumers) {
    for (const guint meta_height : {0u, 24u, 48u}) {
      MockModel model;
      Chain chain(std::string("moondreamfilter detect=thing mode=sync ! ") + consumer,
                  "video/x-raw(format:Interlaced),format=GRAY8,width=64,height=48,"
                  "framerate=25/1,interlace-mode=alternate");
      BufferPtr field = grey_frame(0, 64 * kRows);
      GST_BUFFER_FLAG_SET(field.get(),
                          GST_VIDEO_BUFFER_FLAG_INTERLACED | GST_VIDEO_BUFFER_FLAG_TOP_FIELD);
      if (meta_height > 0)
        gst_buffer_add_video_meta(field.get(), GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_GRAY8,
                                  64, meta_height);
      ASSERT_EQ(chain.push(std::move(field)), GST_FLOW_OK) << consumer;
      const auto bytes = bytes_of(chain.pull());
      ASSERT_EQ(bytes.size(), 64u * kRows);
      const auto changed =
          std::count_if(bytes.begin(), bytes.end(), [](guint8 byte) { return byte != kPicture; });
      EXPECT_TRUE(is_right(changed)) << consumer << ": " << changed << " at " << meta_height;
    }
  }
}

TEST(MoondreamRedactFilter, ALiveStreamIsRedactedAndLater) {
  MockModel model;
  Pipeline pipeline(
      "videotestsrc is-live=true num-buffers=8 ! "
      "video/x-raw,format=I420,width=64,height=48,framerate=50/1 ! "
      "moondreamfilter detect=thing ! "
      "moondreamredact name=redact hold-before=40000000 ! fakesink sync=false");
  pipeline.play();
  pipeline.results_until_eos();
  const ElementPtr redact = pipeline.child("redact");
  EXPECT_EQ(stat_of(redact.get(), "frames"), 8u);
  EXPECT_EQ(stat_of(redact.get(), "redacted") + stat_of(redact.get(), "covered"), 8u);
  const QueryPtr query(gst_query_new_latency());
  GstPad *pad = gst_element_get_static_pad(redact.get(), "src");
  const bool answered = gst_pad_query(pad, query.get());
  gst_object_unref(pad);
  ASSERT_TRUE(answered);
  gboolean live;
  GstClockTime min;
  gst_query_parse_latency(query.get(), &live, &min, nullptr);
  EXPECT_TRUE(live);
  // A frame of the source, and the hold.
  EXPECT_EQ(min, 60 * GST_MSECOND);
}

// ---- What moves ------------------------------------------------------------------------------

constexpr const char *kClipCaps = "video/x-raw,format=GRAY8,width=320,height=180,framerate=30/1";
constexpr int kFrames = 46, kPeriod = 15;  // two samples a second
constexpr guint8 kInk = 0;                 // no texture has it

// A clip and its frames, which take longer to draw than to redact.
struct DrawnClip {
  KnownClip clip;
  std::vector<std::vector<std::uint8_t>> frames;

  explicit DrawnClip(KnownClip drawn) : clip(std::move(drawn)) {
    for (int i = 0; i < kFrames; ++i) frames.push_back(clip.draw(i));
  }
};

BufferPtr clip_frame(const DrawnClip &drawn, int number) {
  const std::vector<std::uint8_t> &pixels = drawn.frames[static_cast<std::size_t>(number)];
  GstBuffer *buffer = gst_buffer_new_memdup(pixels.data(), pixels.size());
  GST_BUFFER_PTS(buffer) = gst_util_uint64_scale(static_cast<guint64>(number), GST_SECOND, 30);
  GST_BUFFER_DURATION(buffer) = GST_SECOND / 30;
  return BufferPtr(buffer);
}

// Things that go straight on, turn round and cross. `t` grows by 1 in each period.
struct Course {
  const char *name;
  std::function<std::vector<Patch>(double t)> things;
};

// From one side of [low, high] to the other within a period.
double bounce(double t, double low, double high) {
  const double phase = std::fmod(t, 2);
  return std::lerp(low, high, phase < 1 ? phase : 2 - phase);
}

const Course kCourses[] = {
    {"slowly",
     [](double t) {
       return std::vector<Patch>{
           {.x = 20 + 30 * t, .y = 40 + 10 * t, .width = 60, .height = 50, .seed = 2}};
     }},
    // Twelve times its side in a period: no tracker can know that it is the same.
    {"fast",
     [](double t) {
       return std::vector<Patch>{{.x = bounce(t, 10, 260),
                                  .y = bounce(t, 20, 140),
                                  .width = 20,
                                  .height = 20,
                                  .seed = 2}};
     }},
    {"crosswise",
     [](double t) {
       return std::vector<Patch>{
           {.x = bounce(t, 20, 110), .y = bounce(t, 20, 110), .width = 50, .height = 50, .seed = 2},
           {.x = bounce(t + 1, 20, 110),
            .y = bounce(t, 20, 110),
            .width = 50,
            .height = 50,
            .seed = 3}};
     }},
    {"in a crowd",
     [](double t) {
       std::vector<Patch> things;
       for (int i = 0; i < 5; ++i)
         things.push_back({.x = bounce(t + 0.37 * i, 40, 160),
                           .y = bounce(t * (i % 2 ? 1 : 0.5) + 0.3 * i, 10, 110),
                           .width = 40,
                           .height = 40,
                           .seed = static_cast<unsigned>(i + 2)});
       return things;
     }},
};

KnownClip clip_of(const Course &course) {
  return {[course](int number) {
    MovingScene scene;
    // Between two samples everything goes straight.
    const int sample = number / kPeriod;
    const double part = static_cast<double>(number % kPeriod) / kPeriod;
    const auto from = course.things(sample), to = course.things(sample + 1);
    for (std::size_t i = 0; i < from.size(); ++i) {
      Patch patch = from[i];
      patch.x = std::lerp(from[i].x, to[i].x, part);
      patch.y = std::lerp(from[i].y, to[i].y, part);
      scene.patches.push_back(patch);
    }
    return scene;
  }};
}

// Pixels of a box that are not redacted, parts of a pixel included.
int left_of(const std::vector<guint8> &frame, const Box &box) {
  int left = 0;
  const int x_max = static_cast<int>(std::ceil(box.x_max * 320 - 1e-9));
  const int y_max = static_cast<int>(std::ceil(box.y_max * 180 - 1e-9));
  for (int y = static_cast<int>(box.y_min * 180 + 1e-9); y < y_max; ++y)
    for (int x = static_cast<int>(box.x_min * 320 + 1e-9); x < x_max; ++x)
      left += frame[static_cast<std::size_t>(y * 320 + x)] != kInk;
  return left;
}

// The frames of a clip, in the order in which they go in, and the one that comes out for each.
void expect_gone(Chain &chain, const DrawnClip &drawn, bool reverse, const std::string &what) {
  for (int i = 0; i < kFrames; ++i) {
    const int number = reverse ? kFrames - 1 - i : i;
    ASSERT_EQ(chain.push(clip_frame(drawn, number)), GST_FLOW_OK) << what;
  }
  chain.push_event(gst_event_new_eos());
  int whole = 0;
  for (int i = 0; i < kFrames; ++i) {
    const int number = reverse ? kFrames - 1 - i : i;
    const BufferPtr out = chain.pull();
    ASSERT_TRUE(out) << what;
    const auto pixels = bytes_of(out);
    for (const ScoredBox &thing : drawn.clip.truth(number))
      ASSERT_EQ(left_of(pixels, thing.box), 0) << what << ", frame " << number;
    whole += std::all_of(pixels.begin(), pixels.end(), [](guint8 byte) { return byte == kInk; });
  }
  // What covers everything proves nothing.
  EXPECT_EQ(whole, 0) << what;
}

const DrawnClip &drawn_clip(std::size_t course) {
  static const std::vector<DrawnClip> clips = [] {
    std::vector<DrawnClip> all;
    for (const Course &each : kCourses) all.emplace_back(clip_of(each));
    return all;
  }();
  return clips[course];
}

class Propagation : public testing::TestWithParam<const char *> {};

// The promise: in sync mode, with hold-before of a period, nothing that two samples found is seen
// on a frame from the one to the other, however it moved in between and whatever the filter says
// about these frames. Without margins: it is the way that is known.
TEST_P(Propagation, LetsNothingBeSeenThatTwoSamplesFound) {
  for (std::size_t i = 0; i < std::size(kCourses); ++i) {
    const DrawnClip &drawn = drawn_clip(i);
    for (const bool reverse : {false, true}) {
      MockModel model;
      model.always(drawn.clip.model());
      Chain chain(std::string("moondreamfilter detect=thing mode=sync sample-rate=2/1 propagate=") +
                      GetParam() +
                      " ! moondreamredact margin=0 margin-growth=0 hold-before=500000000",
                  kClipCaps);
      if (reverse) {
        GstSegment segment;
        gst_segment_init(&segment, GST_FORMAT_TIME);
        segment.rate = -1;
        segment.stop = kFrames * GST_SECOND / 30;
        chain.push_segment(segment);
      }
      expect_gone(chain, drawn, reverse,
                  std::string(kCourses[i].name) + (reverse ? ", reverse" : ""));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(MoondreamRedactFilter, Propagation,
                         testing::Values("hold", "flow", "interpolate"),
                         [](const auto &test) { return std::string(test.param); });

// With twice the time, one that a sample missed, too.
TEST(MoondreamRedactFilter, ASampleThatMissesAnObjectUncoversNoneOfItsWay) {
  const DrawnClip &drawn = drawn_clip(0);
  MockModel model;
  model.always([clip = drawn.clip](const Job &job) -> Outcome {
    Result result;
    const int number = KnownClip::number(*job.image);
    const bool misses = number == 2 * kPeriod;
    result.prompts.push_back(DetectResult{misses ? std::vector<ScoredBox>{} : clip.truth(number)});
    return result;
  });
  Chain chain(
      "moondreamfilter detect=thing mode=sync sample-rate=2/1 ! "
      "moondreamredact margin=0 margin-growth=0 hold-before=1000000000",
      kClipCaps);
  expect_gone(chain, drawn, false, "missed");
}

}  // namespace
}  // namespace moondream
