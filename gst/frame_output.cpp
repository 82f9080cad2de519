#include "frame_output.h"

#include <utility>

#include "cadence.h"
#include "gstmoondreammeta.h"

namespace moondream {

FrameOutput::FrameOutput(GstPad *src, TextPads &texts, std::string model)
    : src_(src), texts_(texts), model_(std::move(model)) {
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
}

void FrameOutput::hold(std::shared_ptr<const Sample> sample) { held_ = std::move(sample); }

// The one place that decides what a frame says.
FrameAnalysis FrameOutput::analysis_of(const QueuedFrame &frame) const {
  FrameAnalysis pending;
  pending.model = model_;
  if (!held_ || frame.settings->prompts->empty()) return pending;
  if (held_ == frame.sample) return held_->analysis;
  const GstClockTime max_age = frame.settings->max_age;
  const GstClockTimeDiff age =
      elapsed(held_->frame.pts, GST_BUFFER_PTS(frame.buffer.get()), segment_.rate < 0);
  if (age == GST_CLOCK_STIME_NONE) {
    // Nobody can say how old it is.
    if (GST_CLOCK_TIME_IS_VALID(max_age)) return pending;
  } else if (age < 0 || static_cast<GstClockTime>(age) > max_age) {
    return pending;
  }
  FrameAnalysis held = held_->analysis;
  if (held.status == AnalysisStatus::kFresh) held.status = AnalysisStatus::kHeld;
  held.age = age == GST_CLOCK_STIME_NONE ? GST_CLOCK_TIME_NONE : static_cast<GstClockTime>(age);
  return held;
}

// The one place where a result leaves with a frame.
GstFlowReturn FrameOutput::frame(QueuedFrame frame) {
  const FrameAnalysis analysis = analysis_of(frame);
  // Copies at most the metadata; pixels only where their memory forbids to share it.
  BufferPtr buffer(gst_buffer_make_writable(frame.buffer.release()));
  attach_analysis(buffer.get(), analysis, frame.width, frame.height);
  texts_.frame(buffer.get(), *frame.settings, analysis);
  return gst_pad_push(src_, buffer.release());
}

bool FrameOutput::event(EventPtr event) {
  if (begins_stream(event.get(), segment_)) held_.reset();
  texts_.event(event.get());
  return gst_pad_push_event(src_, event.release());
}

void FrameOutput::flush() {
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
  held_.reset();
}

}  // namespace moondream
