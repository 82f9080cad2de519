// What comes into a moondreamfilter: its format, its segment, and which of its frames are sampled.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <memory>
#include <optional>

#include "cadence.h"
#include "filter_settings.h"
#include "frame_sampler.h"
#include "frame_view.h"
#include "picture_maker.h"

namespace moondream {

// Thread-safety: the upstream thread only.
class FrameIntake {
 public:
  // Whether a frame is to be sampled.
  struct Call {
    bool due = false;   // it is, if there is a place for the sample; otherwise the next frame is
    bool anew = false;  // results of the frames before are void from this one on
    GstClockTime running_time = GST_CLOCK_TIME_NONE;
  };

  explicit FrameIntake(FrameSampler &sampler);

  // False: the caps are none of raw video.
  bool set_caps(GstCaps *caps);
  // Of frames with these caps; null before the first.
  const std::shared_ptr<PictureMaker> &pictures() const { return pictures_; }

  // A serialized event other than CAPS; true if results of the frames before it are void.
  bool event(GstEvent *event);
  void flush();

  // To be called with every frame in order. Of frames that come sooner than `throttle` after the
  // last sample, in running time, none is due.
  Call call(GstBuffer *buffer, const FilterSettings &settings, GstClockTime throttle = 0);

  // Submits a frame that is due: its picture is made when the engine wants it, so its memory is
  // held until then. If the engine refuses it the next frame is due, too. `known`
  // is where objects were at the frame before, if anybody followed them.
  std::shared_ptr<const Sample> take(GstBuffer *buffer, const FilterSettings &settings,
                                     std::shared_ptr<const KnownPlaces> known);

  // True while the engine is known to refuse samples: one would be converted in vain.
  bool refused() const;

 private:
  void begin_anew();
  GstClockTime running_time(GstBuffer *buffer) const;
  SampledFrame sampled_frame(GstBuffer *buffer) const;
  bool reuses(GstClockTime pts, const FilterSettings &settings) const;

  FrameSampler &sampler_;
  std::shared_ptr<PictureMaker> pictures_;  // shared with the samples in flight
  Orientation orientation_;                 // as the stream's tags say
  GstSegment segment_;
  Cadence cadence_;
  std::shared_ptr<const PromptList> asked_;        // at the last frame
  GstClockTime sampled_at_ = GST_CLOCK_TIME_NONE;  // running time of the last sample
  bool owed_ = false;                              // a sample is due that could not be taken
  bool anew_ = true;                   // the next sample is the first since a new beginning
  std::optional<guint64> refused_at_;  // finished samples when the engine refused one
};

}  // namespace moondream
