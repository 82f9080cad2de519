#include "filter_run.h"

#include <algorithm>
#include <utility>

#include "filter_stats.h"
#include "pointers.h"

GST_DEBUG_CATEGORY_EXTERN(gst_moondream_filter_debug);
#define GST_CAT_DEFAULT gst_moondream_filter_debug

namespace moondream {
namespace {

// Async: a second sample would only wait for the first and be older when its turn comes.
constexpr std::size_t kAsyncPending = 1;
// Sync, at least: while one is looked at, the next is decoded, converted and ready.
constexpr std::size_t kSyncPending = 2;

std::size_t pending_limit(const FilterSettings &settings, bool sync) {
  if (settings.max_pending > 0) return settings.max_pending;
  return sync ? std::max<std::size_t>(kSyncPending, settings.workers + 1) : kAsyncPending;
}

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

// Makes pools of upstream larger by so many buffers, as far as their owner allows.
void add_buffers(GstQuery *query, guint held) {
  for (guint i = 0; i < gst_query_get_n_allocation_pools(query); ++i) {
    GstBufferPool *pool;
    guint size, min, max;
    gst_query_parse_nth_allocation_pool(query, i, &pool, &size, &min, &max);
    min += held;
    gst_query_set_nth_allocation_pool(query, i, pool, size, max > 0 ? std::min(min, max) : min,
                                      max);
    if (pool) gst_object_unref(pool);
  }
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
      output_(src, texts, sampler_.model().name) {
  hold_.declare(settings_->get()->latency);
}

// ---- Upstream thread -------------------------------------------------------------------------

// Left to the first frame, when every element upstream knows whether it is live.
void FilterRun::start() {
  const auto settings = settings_->get();
  live_ = upstream_is_live(sink_);
  if (mode_ == FilterMode::kAuto) mode_ = live_ ? FilterMode::kAsync : FilterMode::kSync;
  const bool sync = mode_ == FilterMode::kSync;
  max_pending_ = pending_limit(*settings, sync);
  GST_INFO_OBJECT(element_,
                  "%s mode, at most %" G_GSIZE_FORMAT " samples in flight, upstream is %s",
                  sync ? "sync" : "async", max_pending_.load(), live_ ? "live" : "not live");

  // A sync stream never overflows: a sample waits for its place before it is submitted.
  const StreamOptions options{.max_pending = max_pending_,
                              .overflow = sync ? Overflow::kWait : Overflow::kReplaceOldest,
                              .workers = settings->workers};
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
  if (!intake_.pictures()) return GST_FLOW_NOT_NEGOTIATED;
  if (ended_segment_ == segments_in_) return GST_FLOW_EOS;
  if (!started_) start();
  if (is_sync()) {
    const GstFlowReturn flow = wait_for_downstream();
    if (flow != GST_FLOW_OK) return flow;
  }
  QueuedFrame frame{.buffer = layout_.lay_out(std::move(buffer), *intake_.pictures()),
                    .sample = nullptr,
                    .settings = settings_->get(),
                    .width = intake_.pictures()->width(),
                    .height = intake_.pictures()->height(),
                    .arrived = std::chrono::steady_clock::now(),
                    .held_up = held_up_};
  sample(frame);
  if (reporter_->failed()) return GST_FLOW_ERROR;
  if (is_sync()) return queue_->put({.event = nullptr, .frame = std::move(frame)});
  output_.hold(sampler_.newest());
  warn_about_propagation(frame);
  return output_.frame(std::move(frame));
}

// Notes when the frame is, and takes a sample of it if one is due.
void FilterRun::sample(QueuedFrame &frame) {
  GstBuffer *const buffer = frame.buffer.get();
  const FilterSettings &settings = *frame.settings;
  const FrameIntake::Call call = intake_.call(buffer, settings, is_sync() ? 0 : qos_.throttle());
  frame.running_time = call.running_time;
  if (is_sync()) {
    // Each frame takes its result along, so nothing has to be forgotten here.
    const auto has_place = [this] { return sampler_.in_flight() < max_pending_; };
    // If the stream ends meanwhile, the queue says so when the frame is put there.
    if (!call.due || queue_->wait_until(has_place) != GST_FLOW_OK) return;
  } else {
    if (call.anew) sampler_.forget();
    if (!call.due || intake_.refused()) return;
    if (qos_.is_late(call.running_time)) {
      ++late_;
      return;
    }
  }
  // In sync mode motion is followed where frames leave, some time after this.
  frame.sample = intake_.take(buffer, settings, is_sync() ? nullptr : output_.known());
  GST_LOG_OBJECT(element_, "sample %" G_GUINT64_FORMAT " of %" GST_PTR_FORMAT, frame.sample->serial,
                 buffer);
}

// Upstream may be as far ahead as frames lately had to wait for a result, so that a sink with the
// pace of the clock does not have to wait for the next; and as far as LATENCY says, since such a
// sink takes frames of a live source that much later.
GstFlowReturn FilterRun::wait_for_downstream() {
  const auto begin = std::chrono::steady_clock::now();
  const GstFlowReturn flow =
      queue_->wait_until_taken(live_ ? std::max(hold_.latency(), hold_.recent()) : hold_.recent());
  held_up_ += std::chrono::steady_clock::now() - begin;
  return flow;
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
      if (begins_segment(event.get())) {
        ++segments_in_;
        qos_.reset();
      }
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
  qos_.reset();
  output_.flush();  // the task is paused
  reporter_->reset();
  eos_ = false;
  flow_error_ = false;
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
  GstFlowReturn flow = wait_for_downstream();
  if (flow == GST_FLOW_OK) flow = queue_->put({.event = std::move(event), .frame = {}});
  if (flow == GST_FLOW_OK) return true;
  // A failed sticky event shows at the next frame. Behind EOS there is none.
  if (is_eos && is_fatal(flow)) post_flow_error(flow);
  return is_sticky && !is_eos && flow != GST_FLOW_FLUSHING;
}

bool FilterRun::drain() { return !is_sync() || queue_->wait_until_drained() == GST_FLOW_OK; }

void FilterRun::answer_allocation(GstQuery *query) {
  layout_.propose(query);
  add_buffers(query, static_cast<guint>(pending_limit(*settings_->get(), true)));
}

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
  post_flow_error(reason);
  output_.event(EventPtr(gst_event_new_eos()));
}

void FilterRun::measure_hold(const QueuedFrame &frame) {
  if (frame.sample) ready_ = std::max(ready_, frame.sample->finished_at);
  // That the sample after it came late because downstream takes its time is none of this.
  const auto held_up = frame.next_held_up - frame.held_up;
  if (frame.next) ready_ = std::max(ready_, frame.next->finished_at - held_up);
  const auto hold = std::max<std::chrono::nanoseconds>(ready_ - frame.arrived, {});
  if (hold_.declare(frame.settings->latency) && live_) post_latency();
  const HoldMeter::News news =
      hold_.measure(static_cast<GstClockTime>(hold.count()), frame.sample != nullptr);
  if (news.latency && live_) post_latency();
  if (news.exceeded) {
    GST_ELEMENT_WARNING(element_, RESOURCE, SETTINGS,
                        ("Frames wait longer for their results than the property latency says."),
                        ("a frame waited %" GST_TIME_FORMAT " of %" GST_TIME_FORMAT,
                         GST_TIME_ARGS(static_cast<GstClockTime>(hold.count())),
                         GST_TIME_ARGS(frame.settings->latency)));
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

void FilterRun::post_latency() {
  gst_element_post_message(element_, gst_message_new_latency(GST_OBJECT(element_)));
}

// That the application must hear of because upstream, which is at EOS, does not. Once.
void FilterRun::post_flow_error(GstFlowReturn flow) {
  if (reporter_->failed() || flow_error_.exchange(true)) return;
  GST_ELEMENT_FLOW_ERROR(element_, flow);
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

void FilterRun::observe_qos(GstEvent *event) { qos_.observe(event); }

void FilterRun::add_latency(GstQuery *query) const {
  // In auto mode a live stream will be async.
  if (mode_ != FilterMode::kSync) return;
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
  return to_structure(FilterStats{.frames = frames_,
                                  .late = late_,
                                  .queued = queue_->frames(),
                                  .pending = sampler_.in_flight(),
                                  .max_pending = max_pending_,
                                  .hold = hold_.longest(),
                                  .mode = mode_,
                                  .samples = sampler_.stats(),
                                  .model = sampler_.model(),
                                  .engine = sampler_.engine_stats()});
}

}  // namespace moondream
