#include "frame_intake.h"

#include <utility>

namespace moondream {
FrameIntake::FrameIntake(FrameSampler &sampler) : sampler_(sampler) {
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
}

bool FrameIntake::set_caps(GstCaps *caps) {
  GstVideoInfo info;
  if (!gst_video_info_from_caps(&info, caps)) return false;
  // Nothing is known of another picture: whoever relies on results need not wait for the next tick.
  owed_ = owed_ || pictures_;
  pictures_ = std::make_shared<PictureMaker>(info);
  return true;
}

bool FrameIntake::event(GstEvent *event) {
  if (GST_EVENT_TYPE(event) == GST_EVENT_STREAM_START) orientation_ = {};
  if (GST_EVENT_TYPE(event) == GST_EVENT_TAG) {
    GstTagList *tags;
    gst_event_parse_tag(event, &tags);
    orientation_ = orientation_of(tags).value_or(orientation_);
  }
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
  sampled_at_ = GST_CLOCK_TIME_NONE;
  owed_ = false;
  refused_at_.reset();
}

FrameIntake::Call FrameIntake::call(GstBuffer *buffer, const FilterSettings &settings,
                                    GstClockTime throttle) {
  const auto tick = cadence_.tick(GST_BUFFER_PTS(buffer), settings.sample_rate, segment_.rate < 0);
  // A new question is not left waiting for the next tick, and none makes old results void.
  const bool new_question = settings.prompts != std::exchange(asked_, settings.prompts);
  const bool no_question = settings.prompts->empty();
  const bool anew = tick == Cadence::Tick::kRestart || (new_question && no_question);
  if (anew) {
    anew_ = true;
    sampled_at_ = GST_CLOCK_TIME_NONE;
    owed_ = false;
    refused_at_.reset();
  }
  owed_ = owed_ || new_question || tick != Cadence::Tick::kNone;
  const GstClockTime now = running_time(buffer);
  const bool throttled = !anew && throttle > 0 && GST_CLOCK_TIME_IS_VALID(now) &&
                         GST_CLOCK_TIME_IS_VALID(sampled_at_) && now < sampled_at_ + throttle;
  return {.due = owed_ && !no_question && !throttled, .anew = anew, .running_time = now};
}

std::shared_ptr<const Sample> FrameIntake::take(GstBuffer *buffer, const FilterSettings &settings,
                                                std::shared_ptr<const KnownPlaces> known) {
  const guint64 finished = sampler_.finished();
  SampledFrame frame = sampled_frame(buffer);
  frame.known = std::move(known);
  sampled_at_ = frame.running_time;
  // The frame itself goes on, writable and back to its pool; this only shares its memory.
  const std::shared_ptr<GstBuffer> shared(gst_buffer_copy(buffer), Release());
  Request request{.image = nullptr,
                  .make_image = [pictures = pictures_, view = frame.view,
                                 shared] { return pictures->picture(shared.get(), view); },
                  .prompts = settings.prompts->prompts,
                  .settings = settings.generation,
                  .grid = settings.grid.value_or(Grid{}),
                  .change_threshold = settings.change_threshold,
                  .reuse_result = reuses(frame.pts, settings)};
  auto sample = sampler_.submit(frame, settings.prompts, std::move(request));
  owed_ = sample->finished.load(std::memory_order_acquire) && sample->failure &&
          sample->failure->cancelled;
  refused_at_ = owed_ ? std::optional(finished) : std::nullopt;
  anew_ = anew_ && owed_;
  return sample;
}

// It refuses while it is busy with this stream's samples, so until one of them finishes. (One that
// still waits behind those of other streams is replaced instead.)
bool FrameIntake::refused() const { return refused_at_ && *refused_at_ == sampler_.finished(); }

// Whether a result may be that of the last sample again if nothing changed.
bool FrameIntake::reuses(GstClockTime pts, const FilterSettings &settings) const {
  const GstClockTime limit = settings.max_interval;
  if (limit == 0 || !GST_CLOCK_TIME_IS_VALID(limit)) return true;
  const std::optional<SampledFrame> look = sampler_.last_look();
  if (!look) return true;
  const GstClockTimeDiff since = elapsed(look->pts, pts, segment_.rate < 0);
  // Where nobody knows how long ago that was, it was too long.
  return since != GST_CLOCK_STIME_NONE && since < static_cast<GstClockTimeDiff>(limit);
}

GstClockTime FrameIntake::running_time(GstBuffer *buffer) const {
  if (segment_.format != GST_FORMAT_TIME) return GST_CLOCK_TIME_NONE;
  return gst_segment_to_running_time(&segment_, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
}

SampledFrame FrameIntake::sampled_frame(GstBuffer *buffer) const {
  SampledFrame frame{.pts = GST_BUFFER_PTS(buffer),
                     .running_time = running_time(buffer),
                     .view = pictures_->view(buffer, orientation_),
                     .anew = anew_};
  if (segment_.format == GST_FORMAT_TIME) {
    frame.stream_time = gst_segment_to_stream_time(&segment_, GST_FORMAT_TIME, frame.pts);
  }
  return frame;
}

}  // namespace moondream
