// What a moondreamfilter does between start and stop: frames in, analysed frames out.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "cadence.h"
#include "filter_settings.h"
#include "frame_sampler.h"
#include "gstmoondreamframe.h"
#include "output_queue.h"
#include "reporter.h"

namespace moondream {

// Async: frames go through on the upstream thread with the newest result there is.
//
// Sync: frames and serialized events go through an OutputQueue, from which a task of the source
// pad pushes them in order, each sampled frame with its own result. So several samples can be in
// flight, and the upstream thread waits for a place for the next.
//
// Threads: the upstream thread holds the sink pad's stream lock, the task that of the source pad.
// A method says who may call it. Methods may throw unless they are noexcept.
class FilterRun {
 public:
  // The element outlives it; the pads are the element's. `loop` is the task of the source pad: it
  // is to call output().
  FilterRun(GstElement *element, GstPad *sink, GstPad *src, GstTaskFunction loop,
            std::shared_ptr<Engine> engine, std::shared_ptr<const SharedSettings> settings);

  // ---- Upstream thread -----------------------------------------------------------------------

  GstFlowReturn chain(BufferPtr buffer);
  // Serialized events, FLUSH_STOP included.
  bool serialized_event(EventPtr event);
  // Before a serialized query may overtake what waits. False: it must be refused.
  bool drain();

  // ---- Source pad task -----------------------------------------------------------------------

  // Pushes one item. False: the task has to pause.
  bool output();

  // ---- Any thread ----------------------------------------------------------------------------

  // After FLUSH_START went downstream: ends all waiting and cancels what is in flight.
  void flush_start() noexcept;
  // Before the pads are deactivated: ends all waiting, for good.
  void close() noexcept;
  // Once they are: releases the engine. Counters stay.
  void release() noexcept;

  // Adds what frames wait here to the answer of upstream.
  void add_latency(GstQuery *query);
  // Transfer full.
  GstStructure *stats() const;

 private:
  void resolve_mode();
  void forget_results();
  void begin_anew();
  SampledFrame sampled_frame(GstBuffer *buffer) const;
  std::shared_ptr<const Sample> take_sample(GstBuffer *buffer, const FilterSettings &settings);
  std::shared_ptr<const Sample> submit(GstBuffer *buffer, const FilterSettings &settings);
  FrameAnalysis shown(const Sample *newest, const Sample *own, GstClockTime pts,
                      GstClockTime max_age, bool reverse) const;
  GstFlowReturn finish_frame(QueuedFrame frame, const Sample *newest, bool reverse);
  void output_event(EventPtr event);
  GstFlowReturn output_frame(QueuedFrame frame);
  void stop_stream(GstFlowReturn reason);
  void measure_hold(GstClockTime hold);

  GstElement *const element_;
  GstPad *const sink_;
  GstPad *const src_;
  const GstTaskFunction loop_;
  const std::shared_ptr<const SharedSettings> settings_;
  const std::shared_ptr<Reporter> reporter_;  // thread-safe
  const std::shared_ptr<OutputQueue> queue_;  // thread-safe; not used in async mode
  FrameSampler sampler_;                      // thread-safe
  std::atomic<guint64> frames_ = 0;           // that came in
  std::atomic<FilterMode> mode_;              // kAuto until the first frame
  std::atomic<bool> started_ = false;         // mode is resolved and the task, if any, runs
  std::atomic<bool> live_ = false;            // upstream, as of the first frame
  std::atomic<bool> eos_ = false;             // EOS is in the queue or went through
  // The segment, counted as below, that downstream answered EOS in. Sync mode.
  static constexpr guint64 kNoSegment = G_MAXUINT64;
  std::atomic<guint64> ended_segment_ = kNoSegment;

  // Upstream thread only.
  std::size_t max_pending_ = 1;
  std::optional<GstVideoInfo> info_;         // of the caps
  std::optional<FrameConverter> converter_;  // for info_, made at the first sample
  GstSegment segment_;                       // at the sink pad
  guint64 segments_in_ = 0;                  // stream-start and segment events that came in
  Cadence cadence_;
  std::shared_ptr<const PromptList> asked_;  // at the last frame
  bool owed_ = false;                        // a sample is due that could not be taken
  std::optional<guint64> refused_at_;        // finished samples when the engine refused one

  // Source pad task only.
  GstSegment out_segment_;              // at the source pad
  guint64 segments_out_ = 0;            // of segments_in_, those that went out
  std::shared_ptr<const Sample> held_;  // last sample that went out

  mutable std::mutex hold_lock_;  // protects the rest
  GstClockTime hold_ = 0;         // longest time that a frame was kept back
  GstClockTime announced_ = 0;    // the part of it that a LATENCY message told
};

}  // namespace moondream
