// The text pads of a moondreamfilter, all together.
#pragma once

#include <gst/gst.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "filter_settings.h"
#include "gstmoondreammeta.h"
#include "gstmoondreamtextpad.h"
#include "pointers.h"

namespace moondream {

// Tells every pad what happens on the source pad of the video, before it does: a consumer of both
// may make the video wait for the text. A pad that comes late hears of the stream and segment that
// are in force.
// Thread-safety: safe. No lock is held while pads push.
class TextPads {
 public:
  // The element outlives it.
  explicit TextPads(GstElement *element) : element_(element) {}

  // The name of a pad to add: `wished`, or, if that is null, one that no pad has yet.
  std::string name(const gchar *wished);
  // Adds a new pad, which it takes, to the element, active if that runs. False: its name is taken.
  bool add(GstMoondreamTextPad *pad);
  // Ends the pad's stream and removes it from the element.
  void release(GstMoondreamTextPad *pad);

  // In the order in which they were added. Transfer full; null if there are not so many.
  GstMoondreamTextPad *at(guint position) const;
  guint count() const;

  // ---- The thread that pushes video, before it pushes this -------------------------------------

  void event(GstEvent *event);
  void frame(GstBuffer *buffer, const FilterSettings &settings, const FrameAnalysis &analysis);

  // ---- Any thread ------------------------------------------------------------------------------

  // Once the same event went out on the source pad of the video.
  void flush_start(GstEvent *event);
  void flush_stop(GstEvent *event);
  // Before the element's pads are activated, and after they were deactivated.
  void start();
  void stop();

 private:
  using PadPtr = std::shared_ptr<GstMoondreamTextPad>;  // a reference to the object

  std::vector<PadPtr> copy() const;

  GstElement *const element_;
  std::atomic<bool> running_ = false;
  std::atomic<bool> warned_ = false;  // that cues were dropped, since start()

  mutable std::mutex lock_;  // protects all below; the queues of the pads lock in it
  std::vector<PadPtr> pads_;
  guint next_ = 0;  // number of the next pad without a name
  // Of the video's source pad:
  EventPtr stream_start_, segment_, eos_;        // in force
  GstClockTime duration_ = GST_CLOCK_TIME_NONE;  // of a frame, as the caps say
};

}  // namespace moondream
