// What comes into a moondreamfilter: its format, its segment, and which of its frames are sampled.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <memory>
#include <optional>

#include "cadence.h"
#include "filter_settings.h"
#include "frame_sampler.h"
#include "gstmoondreamframe.h"

namespace moondream {

// Thread-safety: the upstream thread only.
class FrameIntake {
 public:
  // Whether a frame is to be sampled.
  struct Call {
    bool due = false;   // it is, if there is a place for the sample; otherwise the next frame is
    bool anew = false;  // results of the frames before are void from this one on
  };

  explicit FrameIntake(FrameSampler &sampler);

  // False: the caps are none of raw video.
  bool set_caps(GstCaps *caps);
  // Absent before the first caps.
  const std::optional<GstVideoInfo> &info() const { return info_; }

  // A serialized event other than CAPS; true if results of the frames before it are void.
  bool event(GstEvent *event);
  void flush();

  // To be called with every frame in order.
  Call call(GstBuffer *buffer, const FilterSettings &settings);

  // Submits a frame that is due. If the engine refuses it the next frame is due, too. `known` is
  // where objects were at the frame before, if anybody followed them.
  std::shared_ptr<const Sample> take(GstBuffer *buffer, const FilterSettings &settings,
                                     std::shared_ptr<const KnownPlaces> known);

  // True while the engine is known to refuse samples: one would be converted in vain.
  bool refused() const;

 private:
  void begin_anew();
  SampledFrame sampled_frame(GstBuffer *buffer) const;

  FrameSampler &sampler_;
  std::optional<GstVideoInfo> info_;         // of the caps
  std::optional<FrameConverter> converter_;  // for info_, made at the first sample
  GstSegment segment_;
  Cadence cadence_;
  std::shared_ptr<const PromptList> asked_;  // at the last frame
  bool owed_ = false;                        // a sample is due that could not be taken
  bool anew_ = true;                         // the next sample is the first since a new beginning
  std::optional<guint64> refused_at_;        // finished samples when the engine refused one
};

}  // namespace moondream
