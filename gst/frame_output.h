// What leaves a moondreamfilter: what each frame says, in words too, and the frame itself.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <optional>
#include <string>

#include "flow_propagation.h"
#include "frame_sampler.h"
#include "grey_picture.h"
#include "output_queue.h"
#include "pointers.h"
#include "text_pads.h"

namespace moondream {

// Frames and events reach it in the order in which they leave, with the newest result of each
// moment: hold(), then frame().
// Thread-safety: the thread that pushes from the source pad: that of upstream in async mode, the
// task in sync mode. flush() while neither runs.
class FrameOutput {
 public:
  // `src` and `texts` outlive it. model: name for frames about which nothing is known.
  FrameOutput(GstPad *src, TextPads &texts, std::string model);

  // From now on frames say what this finished sample knows, or, if null, nothing.
  void hold(std::shared_ptr<const Sample> sample);

  // Pushes the frame with what it has to say. The text pads hear of it first. Throws FrameError if
  // its motion is to be followed, it is not what the caps say, and on-error is error.
  GstFlowReturn frame(QueuedFrame frame);

  // Where motion led everything on the last frame, or null if that was not followed.
  std::shared_ptr<const KnownPlaces> known() const { return known_; }

  // Pushes a serialized event, likewise.
  bool event(EventPtr event);

  // Forgets results and segment.
  void flush();

 private:
  void follow(const QueuedFrame &frame);
  void begin_anew();
  FrameAnalysis analysis_of(const QueuedFrame &frame);
  std::optional<FrameAnalysis> between(const QueuedFrame &frame) const;

  GstPad *const src_;
  TextPads &texts_;
  const std::string model_;
  GstSegment segment_;                  // at the source pad
  std::shared_ptr<const Sample> held_;  // what hold() said
  std::optional<GstVideoInfo> info_;    // of the caps at the source pad
  // While results are propagated by flow:
  std::optional<GreyPicture> grey_;  // for info_
  FlowPropagation flow_;
  bool flowing_ = false;  // the last frame was followed
  std::shared_ptr<const KnownPlaces> known_;
};

}  // namespace moondream
