// What leaves a moondreamfilter: what each frame says, in words too, and the frame itself.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <string>

#include "frame_sampler.h"
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

  // Pushes the frame with what it has to say. The text pads hear of it first.
  GstFlowReturn frame(QueuedFrame frame);

  // Pushes a serialized event, likewise.
  bool event(EventPtr event);

  // Forgets results and segment.
  void flush();

 private:
  FrameAnalysis analysis_of(const QueuedFrame &frame) const;

  GstPad *const src_;
  TextPads &texts_;
  const std::string model_;
  GstSegment segment_;                  // at the source pad
  std::shared_ptr<const Sample> held_;  // what hold() said
};

}  // namespace moondream
