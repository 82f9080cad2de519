#include "filter_run.h"

#include <algorithm>
#include <utility>

#include "gstmoondreamerror.h"
#include "gstmoondreammeta.h"

GST_DEBUG_CATEGORY_EXTERN(gst_moondream_filter_debug);
#define GST_CAT_DEFAULT gst_moondream_filter_debug

namespace moondream {
namespace {

// Async: a second sample would only wait for the first and be older when its turn comes.
constexpr std::size_t kAsyncPending = 1;
// Sync: while one is looked at, the next is decoded, converted and ready.
constexpr std::size_t kSyncPending = 2;

bool upstream_is_live(GstPad *sink) {
  const QueryPtr query(gst_query_new_latency());
  gboolean live = FALSE;
  if (gst_pad_peer_query(sink, query.get())) {
    gst_query_parse_latency(query.get(), &live, nullptr, nullptr);
  }
  return live;
}

bool is_reverse(const GstSegment &segment) { return segment.rate < 0; }

// True for events behind which the same timestamps mean other frames.
bool begins_stream(GstEvent *event, GstSegment &segment) {
  if (GST_EVENT_TYPE(event) == GST_EVENT_STREAM_START) return true;
  if (GST_EVENT_TYPE(event) != GST_EVENT_SEGMENT) return false;
  GstSegment next;
  gst_event_copy_segment(event, &next);
  const bool other = !gst_segment_is_equal(&segment, &next);
  segment = next;
  return other;
}

bool begins_segment(GstEvent *event) {
  return GST_EVENT_TYPE(event) == GST_EVENT_STREAM_START ||
         GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT;
}

// What the application must hear of when upstream no longer listens.
bool is_fatal(GstFlowReturn flow) { return flow == GST_FLOW_NOT_LINKED || flow < GST_FLOW_EOS; }

}  // namespace

FilterRun::FilterRun(GstElement *element, GstPad *sink, GstPad *src, GstTaskFunction loop,
                     std::shared_ptr<Engine> engine, std::shared_ptr<const SharedSettings> settings)
    : element_(element),
      sink_(sink),
      src_(src),
      loop_(loop),
      settings_(settings),
      reporter_(std::make_shared<Reporter>(element, std::move(settings))),
      queue_(std::make_shared<OutputQueue>()),
      sampler_(std::move(engine)),
      mode_(settings_->copy().mode) {
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
  gst_segment_init(&out_segment_, GST_FORMAT_UNDEFINED);
}

// ---- Upstream thread -------------------------------------------------------------------------

// Left to the first frame, when every element upstream knows whether it is live.
void FilterRun::resolve_mode() {
  const FilterSettings settings = settings_->copy();
  live_ = upstream_is_live(sink_);
  if (mode_ == FilterMode::kAuto) mode_ = live_ ? FilterMode::kAsync : FilterMode::kSync;
  const bool sync = mode_ == FilterMode::kSync;
  max_pending_ = sync ? kSyncPending : kAsyncPending;
  if (settings.max_pending > 0) max_pending_ = settings.max_pending;
  GST_INFO_OBJECT(element_,
                  "%s mode, at most %" G_GSIZE_FORMAT " samples in flight, upstream is %s",
                  sync ? "sync" : "async", max_pending_, live_ ? "live" : "not live");

  // A sync stream never overflows: a sample waits for its place before it is submitted.
  const StreamOptions options{.max_pending = max_pending_,
                              .overflow = sync ? Overflow::kWait : Overflow::kReplaceOldest};
  if (sync) {
    sampler_.open(options, [queue = queue_](const auto &) { queue->wake(); });
  } else {
    sampler_.open(options,
                  [reporter = reporter_](const auto &sample) { reporter->report(*sample); });
  }
  // The events so far went past the queue.
  out_segment_ = segment_;
  segments_out_ = segments_in_;
  started_ = true;
  if (sync) gst_pad_start_task(src_, loop_, src_, nullptr);
}

GstFlowReturn FilterRun::chain(BufferPtr buffer) {
  ++frames_;
  if (!info_) return GST_FLOW_NOT_NEGOTIATED;
  if (ended_segment_ == segments_in_) return GST_FLOW_EOS;
  if (!started_) resolve_mode();
  const bool sync = mode_ == FilterMode::kSync;
  const FilterSettings settings = settings_->copy();
  const auto arrived = std::chrono::steady_clock::now();
  std::shared_ptr<const Sample> sample = take_sample(buffer.get(), settings);
  if (reporter_->failed()) return GST_FLOW_ERROR;

  QueuedFrame frame{.buffer = std::move(buffer),
                    .sample = std::move(sample),
                    .width = GST_VIDEO_INFO_WIDTH(&*info_),
                    .height = GST_VIDEO_INFO_HEIGHT(&*info_),
                    .asked = !settings.prompts->empty(),
                    .max_age = settings.max_age,
                    .arrived = arrived};
  if (sync) return queue_->put({.event = nullptr, .frame = std::move(frame)});
  return finish_frame(std::move(frame), sampler_.newest().get(), is_reverse(segment_));
}

// In sync mode each frame takes its result along, and the source pad task forgets the held one.
void FilterRun::forget_results() {
  owed_ = false;
  refused_at_.reset();
  if (mode_ != FilterMode::kSync) sampler_.forget();
}

// For frames whose timestamps have nothing to do with those before.
void FilterRun::begin_anew() {
  cadence_.restart();
  forget_results();
}

std::shared_ptr<const Sample> FilterRun::take_sample(GstBuffer *buffer,
                                                     const FilterSettings &settings) {
  const auto tick =
      cadence_.tick(GST_BUFFER_PTS(buffer), settings.sample_rate, is_reverse(segment_));
  // A new question is not left waiting for the next tick, and none makes old results void.
  const bool new_question = settings.prompts != std::exchange(asked_, settings.prompts);
  const bool no_question = settings.prompts->empty();
  if (tick == Cadence::Tick::kRestart || (new_question && no_question)) forget_results();
  owed_ = owed_ || new_question || tick != Cadence::Tick::kNone;
  if (!owed_ || no_question) return nullptr;

  if (mode_ == FilterMode::kSync) {
    const GstFlowReturn flow =
        queue_->wait_until([this] { return sampler_.in_flight() < max_pending_; });
    if (flow != GST_FLOW_OK) return nullptr;  // as put() will say
    owed_ = false;
    return submit(buffer, settings);
  }

  // While the engine is busy with this stream's samples it refuses others: converting frames for
  // it would be in vain until one of them finishes. A sample that still waits behind those of
  // other streams is replaced instead.
  const FrameSamplerStats stats = sampler_.stats();
  const guint64 finished = stats.results + stats.failed;
  if (refused_at_ == finished) return nullptr;
  auto sample = submit(buffer, settings);
  const bool refused = sample->finished.load(std::memory_order_acquire) && sample->failure &&
                       sample->failure->cancelled;
  owed_ = refused;
  refused_at_ = refused ? std::optional(finished) : std::nullopt;
  return sample;
}

SampledFrame FilterRun::sampled_frame(GstBuffer *buffer) const {
  const GstClockTime pts = GST_BUFFER_PTS(buffer);
  SampledFrame frame{
      .pts = pts, .width = GST_VIDEO_INFO_WIDTH(&*info_), .height = GST_VIDEO_INFO_HEIGHT(&*info_)};
  if (segment_.format == GST_FORMAT_TIME && GST_CLOCK_TIME_IS_VALID(pts)) {
    frame.running_time = gst_segment_to_running_time(&segment_, GST_FORMAT_TIME, pts);
    frame.stream_time = gst_segment_to_stream_time(&segment_, GST_FORMAT_TIME, pts);
  }
  return frame;
}

std::shared_ptr<const Sample> FilterRun::submit(GstBuffer *buffer, const FilterSettings &settings) {
  auto sample = sampler_.submit(sampled_frame(buffer), *settings.prompts, settings.generation,
                                [this, buffer] {
                                  if (!converter_) converter_.emplace(*info_);
                                  return converter_->convert(buffer);
                                });
  GST_LOG_OBJECT(element_, "sample %" G_GUINT64_FORMAT " of %" GST_PTR_FORMAT, sample->serial,
                 buffer);
  return sample;
}

bool FilterRun::serialized_event(EventPtr event) {
  const bool sync = started_ && mode_ == FilterMode::kSync;
  switch (GST_EVENT_TYPE(event.get())) {
    case GST_EVENT_CAPS: {
      GstCaps *caps;
      gst_event_parse_caps(event.get(), &caps);
      GstVideoInfo info;
      if (!gst_video_info_from_caps(&info, caps)) {
        GST_ELEMENT_ERROR(element_, STREAM, FORMAT, ("The video format is not understood."),
                          ("gst_video_info_from_caps() failed: %" GST_PTR_FORMAT, caps));
        return false;
      }
      info_ = info;
      converter_.reset();
      break;
    }
    case GST_EVENT_FLUSH_STOP: {
      const gboolean forwarded = gst_pad_push_event(src_, event.release());
      gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
      gst_segment_init(&out_segment_, GST_FORMAT_UNDEFINED);  // the task is paused
      held_.reset();
      sampler_.forget();  // what the upstream thread submitted after flush_start()
      begin_anew();
      reporter_->reset();
      eos_ = false;
      segments_out_ = segments_in_;  // the others were flushed
      ended_segment_ = kNoSegment;
      queue_->start();
      if (sync) gst_pad_start_task(src_, loop_, src_, nullptr);
      return forwarded;
    }
    case GST_EVENT_EOS:
      eos_ = true;
      // Nobody waits for these any more.
      if (!sync) sampler_.forget();
      break;
    default:
      if (GST_EVENT_TYPE(event.get()) == GST_EVENT_STREAM_START) eos_ = false;
      if (begins_segment(event.get())) ++segments_in_;
      if (begins_stream(event.get(), segment_)) begin_anew();
      break;
  }
  if (!sync) return gst_pad_push_event(src_, event.release());

  const bool is_eos = GST_EVENT_TYPE(event.get()) == GST_EVENT_EOS;
  const bool is_sticky =
      gst_event_type_get_flags(GST_EVENT_TYPE(event.get())) & GST_EVENT_TYPE_STICKY;
  const GstFlowReturn flow = queue_->put({.event = std::move(event), .frame = {}});
  if (flow == GST_FLOW_OK) return true;
  // A failed sticky event shows at the next frame. Behind EOS there is none.
  if (is_eos && is_fatal(flow) && !reporter_->failed()) GST_ELEMENT_FLOW_ERROR(element_, flow);
  return is_sticky && !is_eos && flow != GST_FLOW_FLUSHING;
}

bool FilterRun::drain() {
  if (!started_ || mode_ != FilterMode::kSync) return true;
  return queue_->wait_until_drained() == GST_FLOW_OK;
}

// ---- Source pad task -------------------------------------------------------------------------

bool FilterRun::output() {
  QueueItem item;
  if (!queue_->take(item)) return false;
  GstFlowReturn flow = GST_FLOW_OK;
  if (item.event) {
    output_event(std::move(item.event));
  } else if (ended_segment_ != segments_out_) {
    flow = output_frame(std::move(item.frame));
  }
  // Downstream wants no more frames of this segment, but the events behind them, EOS above all.
  if (flow == GST_FLOW_EOS) {
    ended_segment_ = segments_out_;
    flow = GST_FLOW_OK;
  }
  if (flow != GST_FLOW_OK) stop_stream(flow);
  queue_->done();
  return flow == GST_FLOW_OK;
}

void FilterRun::output_event(EventPtr event) {
  if (begins_segment(event.get())) ++segments_out_;
  if (begins_stream(event.get(), out_segment_)) held_.reset();
  gst_pad_push_event(src_, event.release());
}

GstFlowReturn FilterRun::output_frame(QueuedFrame frame) {
  if (frame.sample) {
    reporter_->report(*frame.sample);
    if (reporter_->failed()) return GST_FLOW_ERROR;
    held_ = frame.sample;
  }
  if (!frame.asked) held_.reset();
  const auto hold = std::chrono::steady_clock::now() - frame.arrived;
  measure_hold(std::chrono::duration_cast<std::chrono::nanoseconds>(hold).count());
  return finish_frame(std::move(frame), held_.get(), is_reverse(out_segment_));
}

// The next chain() hands `reason` upstream, unless upstream is through.
void FilterRun::stop_stream(GstFlowReturn reason) {
  GST_DEBUG_OBJECT(element_, "stopping: %s", gst_flow_get_name(reason));
  queue_->stop(reason);
  if (!eos_ || !is_fatal(reason)) return;
  if (!reporter_->failed()) GST_ELEMENT_FLOW_ERROR(element_, reason);
  gst_pad_push_event(src_, gst_event_new_eos());
}

void FilterRun::measure_hold(GstClockTime hold) {
  bool announce = false;
  {
    const std::lock_guard guard(hold_lock_);
    hold_ = std::max(hold_, hold);
    // Not at every little growth: pipelines answer by asking every element.
    announce = live_ && hold_ > announced_ + std::max<GstClockTime>(announced_ / 4, GST_MSECOND);
    if (announce) announced_ = hold_;
  }
  if (announce) {
    gst_element_post_message(element_, gst_message_new_latency(GST_OBJECT(element_)));
  }
}

// ---- Either ----------------------------------------------------------------------------------

// What a frame at `pts` may say. `newest` is the last finished sample, `own` that of the frame.
FrameAnalysis FilterRun::shown(const Sample *newest, const Sample *own, GstClockTime pts,
                               GstClockTime max_age, bool reverse) const {
  FrameAnalysis pending;
  pending.model = sampler_.model().name;
  if (!newest) return pending;
  if (newest == own) return newest->analysis;
  const GstClockTimeDiff age = elapsed(newest->frame.pts, pts, reverse);
  if (age == GST_CLOCK_STIME_NONE) {
    // Nobody can say how old it is.
    if (GST_CLOCK_TIME_IS_VALID(max_age)) return pending;
  } else if (age < 0 || static_cast<GstClockTime>(age) > max_age) {
    return pending;
  }
  FrameAnalysis held = newest->analysis;
  if (held.status == AnalysisStatus::kFresh) held.status = AnalysisStatus::kHeld;
  held.age = age == GST_CLOCK_STIME_NONE ? GST_CLOCK_TIME_NONE : static_cast<GstClockTime>(age);
  return held;
}

GstFlowReturn FilterRun::finish_frame(QueuedFrame frame, const Sample *newest, bool reverse) {
  // Copies at most the metadata; pixels only where their memory forbids to share it.
  BufferPtr buffer(gst_buffer_make_writable(frame.buffer.release()));
  const FrameAnalysis analysis = shown(frame.asked ? newest : nullptr, frame.sample.get(),
                                       GST_BUFFER_PTS(buffer.get()), frame.max_age, reverse);
  attach_analysis(buffer.get(), analysis, frame.width, frame.height);
  return gst_pad_push(src_, buffer.release());
}

// ---- Any thread ------------------------------------------------------------------------------

void FilterRun::flush_start() noexcept {
  queue_->stop(GST_FLOW_FLUSHING);
  sampler_.forget();
}

void FilterRun::close() noexcept {
  queue_->close();
  sampler_.forget();
}

void FilterRun::release() noexcept { sampler_.close(); }

void FilterRun::add_latency(GstQuery *query) {
  if (!started_ || mode_ != FilterMode::kSync) return;
  gboolean live;
  GstClockTime min, max;
  gst_query_parse_latency(query, &live, &min, &max);
  if (!live) return;
  {
    const std::lock_guard guard(hold_lock_);
    min += hold_;
    // It can keep frames for as long.
    if (GST_CLOCK_TIME_IS_VALID(max)) max += hold_;
  }
  gst_query_set_latency(query, live, min, max);
}

GstStructure *FilterRun::stats() const {
  const FrameSamplerStats stats = sampler_.stats();
  const ModelInfo &model = sampler_.model();
  const auto mean = stats.results == 0 ? 0 : stats.latency_sum.count() / gint64(stats.results);
  const FilterMode mode = mode_;
  return gst_structure_new(
      "moondream-stats", "frames", G_TYPE_UINT64, frames_.load(), "samples", G_TYPE_UINT64,
      stats.samples, "results", G_TYPE_UINT64, stats.results, "skipped", G_TYPE_UINT64,
      stats.skipped, "failed", G_TYPE_UINT64, stats.failed, "discarded", G_TYPE_UINT64,
      stats.discarded, "latency-min", G_TYPE_UINT64, guint64(stats.latency_min.count()),
      "latency-mean", G_TYPE_UINT64, guint64(mean), "latency-max", G_TYPE_UINT64,
      guint64(stats.latency_max.count()), "model", G_TYPE_STRING, model.name.c_str(), "device",
      G_TYPE_STRING, model.device.c_str(), "precision", G_TYPE_STRING, model.precision.c_str(),
      "mode", G_TYPE_STRING,
      mode == FilterMode::kAuto ? "auto" : (mode == FilterMode::kSync ? "sync" : "async"), nullptr);
}

}  // namespace moondream
