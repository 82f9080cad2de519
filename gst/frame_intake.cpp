#include "frame_intake.h"

#include <utility>

namespace moondream {
namespace {

guint64 finished_samples(const FrameSampler &sampler) {
  const FrameSamplerStats stats = sampler.stats();
  return stats.results + stats.failed;
}

}  // namespace

FrameIntake::FrameIntake(FrameSampler &sampler) : sampler_(sampler) {
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
}

bool FrameIntake::set_caps(GstCaps *caps) {
  GstVideoInfo info;
  if (!gst_video_info_from_caps(&info, caps)) return false;
  info_ = info;
  converter_.reset();
  return true;
}

bool FrameIntake::event(GstEvent *event) {
  const bool begins = begins_stream(event, segment_);
  if (begins) begin_anew();
  return begins;
}

void FrameIntake::flush() {
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
  begin_anew();
}

// For frames whose timestamps have nothing to do with those before.
void FrameIntake::begin_anew() {
  cadence_.restart();
  anew_ = true;
  owed_ = false;
  refused_at_.reset();
}

FrameIntake::Call FrameIntake::call(GstBuffer *buffer, const FilterSettings &settings) {
  const auto tick = cadence_.tick(GST_BUFFER_PTS(buffer), settings.sample_rate, segment_.rate < 0);
  // A new question is not left waiting for the next tick, and none makes old results void.
  const bool new_question = settings.prompts != std::exchange(asked_, settings.prompts);
  const bool no_question = settings.prompts->empty();
  const bool anew = tick == Cadence::Tick::kRestart || (new_question && no_question);
  if (anew) {
    anew_ = true;
    owed_ = false;
    refused_at_.reset();
  }
  owed_ = owed_ || new_question || tick != Cadence::Tick::kNone;
  return {.due = owed_ && !no_question, .anew = anew};
}

std::shared_ptr<const Sample> FrameIntake::take(GstBuffer *buffer, const FilterSettings &settings,
                                                std::shared_ptr<const KnownPlaces> known) {
  const guint64 finished = finished_samples(sampler_);
  SampledFrame frame = sampled_frame(buffer);
  frame.known = std::move(known);
  auto sample = sampler_.submit(frame, settings.prompts, settings.generation, [this, buffer] {
    if (!converter_) converter_.emplace(*info_);
    return converter_->convert(buffer);
  });
  owed_ = sample->finished.load(std::memory_order_acquire) && sample->failure &&
          sample->failure->cancelled;
  refused_at_ = owed_ ? std::optional(finished) : std::nullopt;
  anew_ = anew_ && owed_;
  return sample;
}

// It refuses while it is busy with this stream's samples, so until one of them finishes. (One that
// still waits behind those of other streams is replaced instead.)
bool FrameIntake::refused() const {
  return refused_at_ && *refused_at_ == finished_samples(sampler_);
}

SampledFrame FrameIntake::sampled_frame(GstBuffer *buffer) const {
  const GstClockTime pts = GST_BUFFER_PTS(buffer);
  SampledFrame frame{.pts = pts,
                     .width = GST_VIDEO_INFO_WIDTH(&*info_),
                     .height = GST_VIDEO_INFO_HEIGHT(&*info_),
                     .anew = anew_};
  if (segment_.format == GST_FORMAT_TIME && GST_CLOCK_TIME_IS_VALID(pts)) {
    frame.running_time = gst_segment_to_running_time(&segment_, GST_FORMAT_TIME, pts);
    frame.stream_time = gst_segment_to_stream_time(&segment_, GST_FORMAT_TIME, pts);
  }
  return frame;
}

}  // namespace moondream
