// What a moondreamredact does between start and stop: frames in, redacted frames out.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "line_writer.h"
#include "pointers.h"
#include "redact_audit.h"
#include "redact_findings.h"
#include "redact_plan.h"
#include "redact_planes.h"
#include "redact_settings.h"
#include "stored_frame.h"

namespace moondream::redact {

// Every decision, counted. Thread-safety: safe.
struct Counters {
  std::atomic<guint64> frames = 0;    // that came in
  std::atomic<guint64> passed = 0;    // left as they came
  std::atomic<guint64> redacted = 0;  // left with regions redacted
  std::atomic<guint64> covered = 0;   // left covered as a whole
  std::atomic<guint64> dropped = 0;   // did not leave, by on-missing
  std::atomic<guint64> flushed = 0;   // were held when the stream was flushed or stopped
  std::atomic<guint64> regions = 0;   // that were redacted
  std::array<std::atomic<guint64>, kMissingKinds> missing = {};  // frames, by Missing
};

// Frames that wait for hold-before, and events between them, leave on the upstream thread when
// later frames come. Thread-safety: upstream thread only, unless a method says otherwise. Methods
// may throw: what is thrown ends the stream, and the frame that it was thrown for does not leave.
class RedactRun {
 public:
  // `settings` gives the current ones. `writer` is of the audit, or null. The element outlives it.
  RedactRun(GstElement *element, GstPad *src, std::function<Settings()> settings,
            std::shared_ptr<LineWriter> writer, std::shared_ptr<Counters> counters);
  ~RedactRun();

  GstFlowReturn chain(BufferPtr buffer);
  // Serialized events, FLUSH_STOP included.
  bool serialized_event(EventPtr event);
  // Before a serialized query may overtake what waits. Frames that leave by it are cut short.
  GstFlowReturn drain();

  // How long frames wait here. Constant. Any thread.
  GstClockTime hold() const { return hold_; }
  // Frames that may wait here at once, at the frame rate of the caps; 0 if it is not known.
  guint held_frames() const;
  const std::shared_ptr<LineWriter> &writer() const { return writer_; }

 private:
  // A frame or an event that waits.
  struct Held {
    EventPtr event;
    BufferPtr buffer;
    Findings findings;
    GstClockTimeDiff time = 0;  // of a frame, as it grows from frame to frame
    gsize bytes = 0;
  };

  // A result that came, and when the frame was that shows what it says.
  struct Result {
    Findings findings;
    GstClockTimeDiff time;
  };

  GstClockTimeDiff time_of(GstClockTime pts) const;
  bool set_caps(GstEvent *event);
  void check_picture(Held &held);
  void remember(const Held &held);
  bool keep_in_order(EventPtr event);
  bool is_due(const Held &held) const;
  GstFlowReturn release_due();
  GstFlowReturn release_all(Missing early);
  GstFlowReturn release_front(Missing early);
  GstFlowReturn finish(Held held);
  Plan plan_of(const Held &held, const Settings &settings) const;
  void add_ways(Plan &plan, const Held &held) const;
  void warn_of_unplaced();
  GstFlowReturn drop(const Held &held);
  void redact(GstBuffer *buffer, const std::vector<PlannedRegion> &regions, bool cover,
              const Settings &settings);
  void audit(const Held &held, Action action, const std::vector<PlannedRegion> &regions,
             const Settings &settings);
  void clear();

  GstElement *const element_;
  GstPad *const src_;
  const std::function<Settings()> settings_;
  const std::shared_ptr<LineWriter> writer_;
  const std::shared_ptr<Counters> counters_;
  const GstClockTime hold_;

  std::optional<StoredFrame> stored_;  // what the caps say
  std::optional<PlaneWriter> planes_;  // for stored_
  GstSegment segment_;
  std::deque<Held> held_;
  gsize held_bytes_ = 0;
  // Of frames that have left: the one in force, and those up to `hold_` before the next frame.
  std::deque<Result> results_;
  std::optional<GstClockTimeDiff> now_;  // time of the newest frame or gap
  // Results of frames before are about another picture: set by new caps, until a frame comes.
  bool new_picture_ = false;
  std::optional<GstClockTimeDiff> picture_since_;
  bool dropped_ = false;  // the frame before the next one out
  bool audit_failing_ = false;
  bool unplaced_ = false;  // the application was told
};

}  // namespace moondream::redact
