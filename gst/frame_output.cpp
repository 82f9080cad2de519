#include "frame_output.h"

#include <utility>

#include "cadence.h"
#include "gstmoondreamerror.h"
#include "gstmoondreammeta.h"
#include "interpolation.h"

namespace moondream {

FrameOutput::FrameOutput(GstPad *src, TextPads &texts, std::string model)
    : src_(src), texts_(texts), model_(std::move(model)) {
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
}

void FrameOutput::hold(std::shared_ptr<const Sample> sample) { held_ = std::move(sample); }

// A new beginning: what is known is of another stream.
void FrameOutput::begin_anew() {
  held_.reset();
  known_.reset();
  flow_.clear();
}

void FrameOutput::follow(const QueuedFrame &frame) {
  known_.reset();
  const bool flowing = frame.settings->propagate == Propagate::kFlow && info_;
  // What happened in between is not known.
  if (flowing != flowing_) flow_.clear();
  flowing_ = flowing;
  if (!flowing) return;
  const Sample *own = frame.sample.get();
  const bool refused = own && own->finished.load(std::memory_order_acquire) && own->failure;
  try {
    if (!grey_) grey_.emplace(*info_);
    flow_.frame(grey_->of(frame.buffer.get()), refused ? nullptr : own);
  } catch (const FrameError &) {
    if (frame.settings->on_error == OnError::kError) throw;
    // As with one that is sampled, the frame goes on; results cannot be moved past it.
    flow_.clear();
    flowing_ = false;
  }
}

// The result before moved on towards the one after, if both are there.
std::optional<FrameAnalysis> FrameOutput::between(const QueuedFrame &frame) const {
  const Sample *next = frame.next.get();
  if (!next || next->failure || held_->failure) return std::nullopt;
  const bool reverse = segment_.rate < 0;
  const GstClockTimeDiff whole = elapsed(held_->frame.pts, next->frame.pts, reverse);
  const GstClockTimeDiff part =
      elapsed(held_->frame.pts, GST_BUFFER_PTS(frame.buffer.get()), reverse);
  if (whole == GST_CLOCK_STIME_NONE || part == GST_CLOCK_STIME_NONE) return std::nullopt;
  if (part < 0 || whole <= 0 || part > whole) return std::nullopt;
  return interpolated(held_->analysis, next->analysis,
                      static_cast<double>(part) / static_cast<double>(whole));
}

// The one place that decides what a frame says.
FrameAnalysis FrameOutput::analysis_of(const QueuedFrame &frame) {
  FrameAnalysis pending;
  pending.model = model_;
  const FilterSettings &settings = *frame.settings;
  if (!held_ || settings.prompts->empty()) return pending;
  if (flowing_ && flow_.is_cut_off(*held_)) return pending;
  const bool own = held_ == frame.sample;
  if (!own && settings.propagate == Propagate::kNone) return pending;
  const GstClockTime max_age = settings.max_age;
  const GstClockTime pts = GST_BUFFER_PTS(frame.buffer.get());
  const GstClockTimeDiff age = own ? 0 : elapsed(held_->frame.pts, pts, segment_.rate < 0);
  if (age == GST_CLOCK_STIME_NONE) {
    // Nobody can say how old it is.
    if (GST_CLOCK_TIME_IS_VALID(max_age)) return pending;
  } else if (age < 0 || static_cast<GstClockTime>(age) > max_age) {
    return pending;
  }
  const GstClockTime known_age =
      age == GST_CLOCK_STIME_NONE ? GST_CLOCK_TIME_NONE : static_cast<GstClockTime>(age);

  std::optional<FrameAnalysis> moved;
  if (flowing_ && !held_->failure) moved = flow_.moved(*held_, known_age);
  if (moved) known_ = std::make_shared<const KnownPlaces>(KnownPlaces{*moved, pts});
  if (own) return held_->analysis;
  if (!moved) moved = between(frame);
  FrameAnalysis shown = moved ? std::move(*moved) : held_->analysis;
  if (shown.status == AnalysisStatus::kFresh) shown.status = AnalysisStatus::kHeld;
  shown.age = known_age;
  return shown;
}

// The one place where a result leaves with a frame.
GstFlowReturn FrameOutput::frame(QueuedFrame frame) {
  follow(frame);
  const FrameAnalysis analysis = analysis_of(frame);
  // Copies at most the metadata; pixels only where their memory forbids to share it.
  BufferPtr buffer(gst_buffer_make_writable(frame.buffer.release()));
  attach_analysis(buffer.get(), analysis, frame.width, frame.height);
  texts_.frame(buffer.get(), *frame.settings, analysis);
  return gst_pad_push(src_, buffer.release());
}

bool FrameOutput::event(EventPtr event) {
  if (begins_stream(event.get(), segment_)) begin_anew();
  if (GST_EVENT_TYPE(event.get()) == GST_EVENT_CAPS) {
    GstCaps *caps;
    gst_event_parse_caps(event.get(), &caps);
    GstVideoInfo info;
    // Motion is not followed from one field to the next, which shows other rows.
    const bool frames = gst_video_info_from_caps(&info, caps) &&
                        GST_VIDEO_INFO_INTERLACE_MODE(&info) != GST_VIDEO_INTERLACE_MODE_ALTERNATE;
    info_ = frames ? std::optional(info) : std::nullopt;
    grey_.reset();
  }
  texts_.event(event.get());
  return gst_pad_push_event(src_, event.release());
}

void FrameOutput::flush() {
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
  begin_anew();
}

}  // namespace moondream
