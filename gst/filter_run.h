// What a moondreamfilter does between start and stop: frames in, analysed frames out.
#pragma once

#include <gst/gst.h>

#include <atomic>
#include <chrono>
#include <memory>

#include "downstream_layout.h"
#include "filter_settings.h"
#include "frame_intake.h"
#include "frame_output.h"
#include "frame_sampler.h"
#include "hold_meter.h"
#include "output_queue.h"
#include "qos_gate.h"
#include "reporter.h"
#include "text_pads.h"

namespace moondream {

// FrameIntake decides which frames are sampled, a FrameSampler has them looked at, FrameOutput
// decides what each frame says and pushes it. Between the two ends:
//
// Async: frames go through on the upstream thread with the newest result there is.
//
// Sync: frames and serialized events go through an OutputQueue, from which a task of the source
// pad pushes them in order, each sampled frame with its own result. So several samples can be in
// flight, and the upstream thread waits for a place for the next. Where frames wait for nothing but
// downstream, it waits for that, as it does in async mode.
//
// Threads: the upstream thread holds the sink pad's stream lock, the task that of the source pad.
// A method says who may call it. Methods may throw unless they are noexcept.
class FilterRun {
 public:
  // The element outlives it; the pads are the element's. `loop` is the task of the source pad: it
  // is to call output().
  FilterRun(GstElement *element, GstPad *sink, GstPad *src, TextPads &texts, GstTaskFunction loop,
            std::shared_ptr<Engine> engine, std::shared_ptr<const SharedSettings> settings);

  // ---- Upstream thread -----------------------------------------------------------------------

  GstFlowReturn chain(BufferPtr buffer);
  // Serialized events, FLUSH_STOP included.
  bool serialized_event(EventPtr event);
  // Before a serialized query may overtake what waits. False: it must be refused.
  bool drain();
  // Completes downstream's answer to ALLOCATION, or the query if there was none: upstream may lay
  // frames out as it likes and needs the buffers that samples hold.
  void answer_allocation(GstQuery *query);

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

  // A QoS event of downstream, on its way upstream.
  void observe_qos(GstEvent *event);
  // Adds what frames wait here to the answer of upstream.
  void add_latency(GstQuery *query) const;
  // Transfer full.
  GstStructure *stats() const;

 private:
  void warn_about_propagation(const QueuedFrame &frame);
  bool is_sync() const { return started_ && mode_ == FilterMode::kSync; }
  void start();
  void sample(QueuedFrame &frame);
  GstFlowReturn wait_for_downstream();
  bool set_caps(GstEvent *event);
  bool flush_stop(EventPtr event);
  bool enqueue(EventPtr event);
  GstFlowReturn output_frame(QueuedFrame frame);
  void stop_stream(GstFlowReturn reason);
  void post_flow_error(GstFlowReturn flow);
  void measure_hold(const QueuedFrame &frame);
  void post_latency();

  GstElement *const element_;
  GstPad *const sink_;
  GstPad *const src_;
  TextPads &texts_;  // thread-safe
  const GstTaskFunction loop_;
  const std::shared_ptr<const SharedSettings> settings_;
  const std::shared_ptr<Reporter> reporter_;  // thread-safe
  const std::shared_ptr<OutputQueue> queue_;  // thread-safe; not used in async mode
  FrameSampler sampler_;                      // thread-safe
  HoldMeter hold_;                            // thread-safe; not used in async mode
  QosGate qos_;                               // thread-safe; not asked in sync mode
  std::atomic<guint64> frames_ = 0;           // that came in
  std::atomic<guint64> late_ = 0;             // due, but late
  std::atomic<FilterMode> mode_;              // kAuto until the first frame
  std::atomic<std::size_t> max_pending_ = 0;  // 0 until the first frame
  std::atomic<bool> started_ = false;         // mode is resolved and the task, if any, runs
  std::atomic<bool> live_ = false;            // upstream, as of the first frame
  std::atomic<bool> eos_ = false;             // EOS is in the queue or went through
  std::atomic<bool> flow_error_ = false;      // posted
  // The segment, counted as below, that downstream answered EOS in. Sync mode.
  static constexpr guint64 kNoSegment = G_MAXUINT64;
  std::atomic<guint64> ended_segment_ = kNoSegment;

  // Upstream thread only.
  FrameIntake intake_;
  DownstreamLayout layout_;
  guint64 segments_in_ = 0;             // stream-start and segment events that came in
  std::chrono::nanoseconds held_up_{};  // by downstream, so far. Sync mode

  // Upstream thread in async mode and before the first frame, then source pad task only.
  FrameOutput output_;
  guint64 segments_out_ = 0;                               // of segments_in_, those that went out
  bool warned_of_async_ = false, warned_of_room_ = false;  // that frames cannot be interpolated
  // When the last of the results was there that frames so far had to wait for. Sync mode.
  std::chrono::steady_clock::time_point ready_{};
};

}  // namespace moondream
