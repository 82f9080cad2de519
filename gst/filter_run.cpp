#include "filter_run.h"

#include <algorithm>
#include <utility>

#include "pointers.h"

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

bool begins_segment(GstEvent *event) {
  return GST_EVENT_TYPE(event) == GST_EVENT_STREAM_START ||
         GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT;
}

// What the application must hear of when upstream no longer listens.
bool is_fatal(GstFlowReturn flow) { return flow == GST_FLOW_NOT_LINKED || flow < GST_FLOW_EOS; }

}  // namespace

FilterRun::FilterRun(GstElement *element, GstPad *sink, GstPad *src, TextPads &texts,
                     GstTaskFunction loop, std::shared_ptr<Engine> engine,
                     std::shared_ptr<const SharedSettings> settings)
    : element_(element),
      sink_(sink),
      src_(src),
      texts_(texts),
      loop_(loop),
      settings_(settings),
      reporter_(std::make_shared<Reporter>(element, std::move(settings))),
      queue_(std::make_shared<OutputQueue>()),
      sampler_(std::move(engine)),
      mode_(settings_->get()->mode),
      intake_(sampler_),
      output_(src, texts, sampler_.model().name) {}

// ---- Upstream thread -------------------------------------------------------------------------

// Left to the first frame, when every element upstream knows whether it is live.
void FilterRun::start() {
  const auto settings = settings_->get();
  live_ = upstream_is_live(sink_);
  if (mode_ == FilterMode::kAuto) mode_ = live_ ? FilterMode::kAsync : FilterMode::kSync;
  const bool sync = mode_ == FilterMode::kSync;
  max_pending_ = sync ? kSyncPending : kAsyncPending;
  if (settings->max_pending > 0) max_pending_ = settings->max_pending;
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
  segments_out_ = segments_in_;  // the events so far went past the queue
  started_ = true;
  if (sync) gst_pad_start_task(src_, loop_, src_, nullptr);
}

GstFlowReturn FilterRun::chain(BufferPtr buffer) {
  ++frames_;
  if (!intake_.info()) return GST_FLOW_NOT_NEGOTIATED;
  if (ended_segment_ == segments_in_) return GST_FLOW_EOS;
  if (!started_) start();
  QueuedFrame frame{.buffer = std::move(buffer),
                    .sample = nullptr,
                    .settings = settings_->get(),
                    .width = GST_VIDEO_INFO_WIDTH(&*intake_.info()),
                    .height = GST_VIDEO_INFO_HEIGHT(&*intake_.info()),
                    .arrived = std::chrono::steady_clock::now()};
  frame.sample = sample_of(frame.buffer.get(), *frame.settings);
  if (reporter_->failed()) return GST_FLOW_ERROR;
  if (is_sync()) return queue_->put({.event = nullptr, .frame = std::move(frame)});
  output_.hold(sampler_.newest());
  warn_about_propagation(frame);
  return output_.frame(std::move(frame));
}

// Null: none is taken of this frame.
std::shared_ptr<const Sample> FilterRun::sample_of(GstBuffer *buffer,
                                                   const FilterSettings &settings) {
  const FrameIntake::Call call = intake_.call(buffer, settings);
  if (is_sync()) {
    // Each frame takes its result along, so nothing has to be forgotten here.
    const auto has_place = [this] { return sampler_.in_flight() < max_pending_; };
    // If the stream ends meanwhile, the queue says so when the frame is put there.
    if (!call.due || queue_->wait_until(has_place) != GST_FLOW_OK) return nullptr;
  } else {
    if (call.anew) sampler_.forget();
    if (!call.due || intake_.refused()) return nullptr;
  }
  // In sync mode motion is followed where frames leave, some time after this.
  auto sample = intake_.take(buffer, settings, is_sync() ? nullptr : output_.known());
  GST_LOG_OBJECT(element_, "sample %" G_GUINT64_FORMAT " of %" GST_PTR_FORMAT, sample->serial,
                 buffer);
  return sample;
}

bool FilterRun::serialized_event(EventPtr event) {
  switch (GST_EVENT_TYPE(event.get())) {
    case GST_EVENT_CAPS:
      if (!set_caps(event.get())) return false;
      break;
    case GST_EVENT_FLUSH_STOP:
      return flush_stop(std::move(event));
    case GST_EVENT_EOS:
      eos_ = true;
      // Nobody waits for these any more.
      if (!is_sync()) sampler_.forget();
      break;
    default:
      if (GST_EVENT_TYPE(event.get()) == GST_EVENT_STREAM_START) eos_ = false;
      if (begins_segment(event.get())) ++segments_in_;
      if (intake_.event(event.get()) && !is_sync()) sampler_.forget();
      break;
  }
  return is_sync() ? enqueue(std::move(event)) : output_.event(std::move(event));
}

bool FilterRun::set_caps(GstEvent *event) {
  GstCaps *caps;
  gst_event_parse_caps(event, &caps);
  if (intake_.set_caps(caps)) return true;
  GST_ELEMENT_ERROR(element_, STREAM, FORMAT, ("The video format is not understood."),
                    ("gst_video_info_from_caps() failed: %" GST_PTR_FORMAT, caps));
  return false;
}

bool FilterRun::flush_stop(EventPtr event) {
  const bool forwarded = gst_pad_push_event(src_, gst_event_ref(event.get()));
  texts_.flush_stop(event.get());
  sampler_.forget();  // what the upstream thread submitted after flush_start()
  intake_.flush();
  output_.flush();  // the task is paused
  reporter_->reset();
  eos_ = false;
  segments_out_ = segments_in_;  // the others were flushed
  ended_segment_ = kNoSegment;
  queue_->start();
  if (is_sync()) gst_pad_start_task(src_, loop_, src_, nullptr);
  return forwarded;
}

bool FilterRun::enqueue(EventPtr event) {
  const bool is_eos = GST_EVENT_TYPE(event.get()) == GST_EVENT_EOS;
  const bool is_sticky =
      gst_event_type_get_flags(GST_EVENT_TYPE(event.get())) & GST_EVENT_TYPE_STICKY;
  const GstFlowReturn flow = queue_->put({.event = std::move(event), .frame = {}});
  if (flow == GST_FLOW_OK) return true;
  // A failed sticky event shows at the next frame. Behind EOS there is none.
  if (is_eos && is_fatal(flow) && !reporter_->failed()) GST_ELEMENT_FLOW_ERROR(element_, flow);
  return is_sticky && !is_eos && flow != GST_FLOW_FLUSHING;
}

bool FilterRun::drain() { return !is_sync() || queue_->wait_until_drained() == GST_FLOW_OK; }

// ---- Source pad task -------------------------------------------------------------------------

bool FilterRun::output() {
  QueueItem item;
  if (!queue_->take(item)) return false;
  GstFlowReturn flow = GST_FLOW_OK;
  if (item.event) {
    if (begins_segment(item.event.get())) ++segments_out_;
    output_.event(std::move(item.event));
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

GstFlowReturn FilterRun::output_frame(QueuedFrame frame) {
  if (frame.sample) {
    reporter_->report(*frame.sample);
    if (reporter_->failed()) return GST_FLOW_ERROR;
    output_.hold(frame.sample);
  }
  measure_hold(frame);
  warn_about_propagation(frame);
  return output_.frame(std::move(frame));
}

// The next chain() hands `reason` upstream, unless upstream is through.
void FilterRun::stop_stream(GstFlowReturn reason) {
  GST_DEBUG_OBJECT(element_, "stopping: %s", gst_flow_get_name(reason));
  queue_->stop(reason);
  if (!eos_ || !is_fatal(reason)) return;
  if (!reporter_->failed()) GST_ELEMENT_FLOW_ERROR(element_, reason);
  output_.event(EventPtr(gst_event_new_eos()));
}

void FilterRun::measure_hold(const QueuedFrame &frame) {
  for (const auto &sample : {frame.sample, frame.next}) {
    if (sample) ready_ = std::max(ready_, sample->finished_at);
  }
  const auto hold = std::max(ready_ - frame.arrived, std::chrono::steady_clock::duration::zero());
  const HoldMeter::News news =
      hold_.measure(std::chrono::duration_cast<std::chrono::nanoseconds>(hold).count());
  if (news.latency && live_) {
    gst_element_post_message(element_, gst_message_new_latency(GST_OBJECT(element_)));
  }
}

// Once for each reason for which frames that should be interpolated are not.
void FilterRun::warn_about_propagation(const QueuedFrame &frame) {
  if (frame.settings->propagate != Propagate::kInterpolate) return;
  if (!is_sync() && !std::exchange(warned_of_async_, true)) {
    GST_ELEMENT_WARNING(element_, RESOURCE, SETTINGS,
                        ("Results are held, not interpolated: in async mode no frame waits for the "
                         "result after it."),
                        ("propagate=interpolate needs mode=sync"));
  }
  if (frame.crowded && !std::exchange(warned_of_room_, true)) {
    GST_ELEMENT_WARNING(element_, RESOURCE, SETTINGS,
                        ("Some results are held, not interpolated: the frames between two samples "
                         "are more than may wait. A higher sample-rate needs fewer."),
                        ("OutputQueue::kMaxBytes is %" G_GSIZE_FORMAT, OutputQueue::kMaxBytes));
  }
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

void FilterRun::add_latency(GstQuery *query) const {
  if (!is_sync()) return;
  gboolean live;
  GstClockTime min, max;
  gst_query_parse_latency(query, &live, &min, &max);
  if (!live) return;
  const GstClockTime hold = hold_.latency();
  min += hold;
  // It can keep frames for as long.
  if (GST_CLOCK_TIME_IS_VALID(max)) max += hold;
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
