// Samples of one element on their way through an engine.
#pragma once

#include <gst/gst.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "engine.h"
#include "frame_view.h"
#include "gstmoondreamerror.h"
#include "gstmoondreammeta.h"
#include "prompts.h"

namespace moondream {

// Where what was known is at a frame, as far as its motion was followed.
struct KnownPlaces {
  FrameAnalysis analysis;
  GstClockTime pts = GST_CLOCK_TIME_NONE;
};

// What a sample is taken of. Each time may be GST_CLOCK_TIME_NONE.
struct SampledFrame {
  GstClockTime pts = GST_CLOCK_TIME_NONE;
  GstClockTime running_time = GST_CLOCK_TIME_NONE;
  GstClockTime stream_time = GST_CLOCK_TIME_NONE;
  FrameView view;     // what is looked at
  bool anew = false;  // what was seen before has nothing to do with this frame
  // At the frame before this one; null: nobody followed anything.
  std::shared_ptr<const KnownPlaces> known;
};

// One frame that was, or is to be, looked at.
struct Sample {
  // Constant once the sample is submitted.
  guint64 serial = 0;  // from 1
  SampledFrame frame;
  std::shared_ptr<const PromptList> asked;  // not null
  std::chrono::steady_clock::time_point submitted;

  // Set by the thread that finishes the sample, then `finished`, then constant: to be read only
  // after seeing `finished` set.
  FrameAnalysis analysis;          // status fresh, or failed; objects and points with their ids
  Effort effort;                   // that the result took
  std::optional<Failure> failure;  // cancellation included
  std::chrono::steady_clock::time_point finished_at;

  std::atomic<bool> finished = false;
};

// What an element asks for and what became of it, since it was made.
struct FrameSamplerStats {
  guint64 samples = 0;       // submitted, or failed before that
  guint64 results = 0;       // finished with a result
  guint64 failed = 0;        // finished without
  guint64 skipped_busy = 0;  // refused, or replaced by a newer one, while the model was busy
  guint64 skipped_void = 0;  // cancelled by forget()
  guint64 discarded = 0;     // boxes and points that made no sense
  guint64 reused = 0;        // of the results, those that are the one before again
  // Of the results: parts of pictures, and those whose features had to be computed.
  guint64 crops = 0, crops_encoded = 0;
  // From submission to result, of the samples with a result.
  std::chrono::nanoseconds latency_min{0}, latency_max{0}, latency_sum{0}, latency_p99{0};
};

// Hands frames to a stream of an engine, finds out which objects of the results are the same, and
// keeps the newest result.
//
// Every sample belongs to an epoch. forget() begins a new one: what was in flight is cancelled, and
// however late it comes, it is ignored. Callbacks of the engine own the state that they write, so
// they may come when the sampler is gone.
//
// Thread-safety: safe. No lock is held while the engine or the observer is called.
class FrameSampler {
 public:
  // Called for every sample that finishes in its own epoch, on whatever thread finished it. Must
  // not throw and must own what it uses.
  using Observer = std::function<void(const std::shared_ptr<const Sample> &sample)>;

  explicit FrameSampler(std::shared_ptr<Engine> engine);
  ~FrameSampler();

  const ModelInfo &model() const { return model_; }
  // Of the engine, for all its streams; zero after close().
  EngineStats engine_stats() const;

  // Opens the stream, once, before the first submit(). If it waits on overflow its samples finish
  // in the order of submission, so that a stream that can be repeated gets the same ids again.
  void open(const StreamOptions &options, Observer observer);

  // Releases stream and engine; results and counters stay. What is in flight is cancelled.
  void close();

  // Submits `request`, whose prompts are those of `asked`. Of what its make_image throws the sample
  // keeps all that the bus is to say, FrameError included. Always returns the sample: a failure on
  // the way finishes it, and the observer hears of it before this returns. May block if the stream
  // waits on overflow.
  std::shared_ptr<const Sample> submit(const SampledFrame &frame,
                                       std::shared_ptr<const PromptList> asked, Request request);

  // Cancels what is in flight and drops the newest result.
  void forget();

  // The finished sample of the highest serial in this epoch, failed ones included, cancelled ones
  // not, or null.
  std::shared_ptr<const Sample> newest() const;

  // Of the newest result in this epoch that is not the one before again: what it was taken of.
  // Nothing if there is none.
  std::optional<SampledFrame> last_look() const;

  // Samples with a result and those that failed, since the sampler was made.
  guint64 finished() const;

  // Samples of this epoch that are not finished.
  std::size_t in_flight() const;

  FrameSamplerStats stats() const;

 private:
  struct State;

  static void publish(State &state, Sample &sample) noexcept;
  static void finish(State &state, const std::shared_ptr<Sample> &sample, guint64 epoch,
                     const Outcome &outcome, const std::optional<Failure> &no_picture) noexcept;

  static void log(const Sample &sample);

  const ModelInfo model_;
  const std::shared_ptr<State> state_;  // its members say what protects them
};

}  // namespace moondream
