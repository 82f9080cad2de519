#include "frame_sampler.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "association.h"
#include "inference_log.h"
#include "latency_histogram.h"

namespace moondream {

struct FrameSampler::State {
  std::string model;  // constant

  mutable std::mutex lock;         // protects all below, taken last and never while calling out
  std::shared_ptr<Engine> engine;  // null after close()
  std::shared_ptr<Stream> stream;  // null before open() and after close()
  std::shared_ptr<const Observer> observer;
  guint64 epoch = 0;
  guint64 serial = 0;  // of the last sample
  std::size_t in_flight = 0;
  std::shared_ptr<const Sample> newest;
  Association association;
  // Samples of this epoch finish in the order in which they are here, the outcome of some being
  // known before; not used if they finish in any order.
  struct Waiting {
    std::shared_ptr<Sample> sample;
    bool has_outcome = false;
  };
  bool in_order = false;
  std::deque<Waiting> waiting;
  std::shared_ptr<const Sample> looked;  // the newest that is not reused
  FrameSamplerStats stats;               // without latency_p99, which latencies tells
  LatencyHistogram latencies;
};

FrameSampler::FrameSampler(std::shared_ptr<Engine> engine)
    : model_(engine->info()), state_(std::make_shared<State>()) {
  state_->model = model_.name;
  state_->engine = std::move(engine);
}

FrameSampler::~FrameSampler() { close(); }

void FrameSampler::open(const StreamOptions &options, Observer observer) {
  std::shared_ptr<Engine> engine;
  {
    const std::lock_guard guard(state_->lock);
    engine = state_->engine;
    state_->observer = std::make_shared<const Observer>(std::move(observer));
    state_->in_order = options.overflow == Overflow::kWait;
  }
  if (!engine) return;
  std::shared_ptr<Stream> stream = engine->open_stream(options);
  const std::lock_guard guard(state_->lock);
  state_->stream = std::move(stream);
}

void FrameSampler::close() {
  forget();
  std::shared_ptr<Stream> stream;
  std::shared_ptr<Engine> engine;
  std::shared_ptr<const Observer> observer;
  const std::lock_guard guard(state_->lock);
  // Freed after the lock, in this order's reverse.
  engine.swap(state_->engine);
  stream.swap(state_->stream);
  observer.swap(state_->observer);
}

std::shared_ptr<const Sample> FrameSampler::submit(const SampledFrame &frame,
                                                   std::shared_ptr<const PromptList> asked,
                                                   Request request) {
  auto sample = std::make_shared<Sample>();
  sample->frame = frame;
  sample->asked = std::move(asked);
  std::shared_ptr<Stream> stream;
  guint64 epoch;
  {
    const std::lock_guard guard(state_->lock);
    if (state_->in_order) state_->waiting.push_back({sample});
    sample->serial = ++state_->serial;
    stream = state_->stream;
    epoch = state_->epoch;
    ++state_->in_flight;
    ++state_->stats.samples;
  }
  try {
    if (!stream) throw Error(ErrorKind::kCancelled, "The element has stopped.");
    // Why there is no picture. Written by the thread that makes it and, if that fails the request,
    // read behind that.
    auto no_picture = std::make_shared<std::optional<Failure>>();
    if (request.make_image) {
      request.make_image = [make = std::move(request.make_image), no_picture] {
        try {
          return make();
        } catch (...) {
          *no_picture = current_failure();
          throw;
        }
      };
    }
    sample->submitted = std::chrono::steady_clock::now();
    stream->submit(std::move(request),
                   [state = state_, sample, epoch, no_picture](const Outcome &outcome) {
                     finish(*state, sample, epoch, outcome, *no_picture);
                   });
  } catch (...) {
    // submit() throws before it takes the request, so this finishes the sample for the first time.
    sample->failure = current_failure();
    finish(*state_, sample, epoch, Error(ErrorKind::kFailed, ""), {});
  }
  return sample;
}

// With the lock held.
void FrameSampler::publish(State &state, Sample &sample) noexcept {
  if (sample.frame.anew) state.association.forget();
  if (!sample.failure) {
    try {
      if (const auto &known = sample.frame.known) {
        state.association.relocate(known->analysis, known->pts);
      }
      state.association.identify(sample.analysis, sample.frame.pts);
    } catch (...) {
      sample.failure = current_failure();
      sample.analysis.status = AnalysisStatus::kFailed;
    }
  }
  sample.finished.store(true, std::memory_order_release);
}

// The only writer of a sample that is in flight.
void FrameSampler::finish(State &state, const std::shared_ptr<Sample> &sample, guint64 epoch,
                          const Outcome &outcome,
                          const std::optional<Failure> &no_picture) noexcept {
  sample->finished_at = std::chrono::steady_clock::now();
  const auto latency = sample->finished_at - sample->submitted;
  std::size_t discarded = 0;
  if (const auto *error = std::get_if<Error>(&outcome)) {
    // A cancelled request may still be making its picture.
    const bool ended = error->kind() != ErrorKind::kCancelled;
    if (!sample->failure) sample->failure = ended && no_picture ? *no_picture : to_failure(*error);
  } else {
    try {
      Assembled assembled =
          assemble(*sample->asked, std::get<Result>(outcome).prompts, sample->frame.view);
      sample->analysis = std::move(assembled.analysis);
      sample->effort = std::get<Result>(outcome).effort;
      discarded = assembled.discarded;
    } catch (...) {
      sample->failure = current_failure();
    }
  }
  const bool cancelled = sample->failure && sample->failure->cancelled;
  FrameAnalysis &analysis = sample->analysis;
  analysis.status = sample->failure ? AnalysisStatus::kFailed : AnalysisStatus::kFresh;
  analysis.sample_pts = sample->frame.pts;
  analysis.age = GST_CLOCK_TIME_IS_VALID(sample->frame.pts) ? 0 : GST_CLOCK_TIME_NONE;
  analysis.serial = sample->serial;
  analysis.model = state.model;

  log(*sample);
  std::shared_ptr<const Observer> observer;
  std::vector<std::shared_ptr<Sample>> published;
  {
    const std::lock_guard guard(state.lock);
    FrameSamplerStats &stats = state.stats;
    const bool current = epoch == state.epoch;
    if (!current) {
      ++stats.skipped_void;
    } else if (cancelled) {
      ++stats.skipped_busy;
    } else if (sample->failure) {
      ++stats.failed;
    } else {
      ++stats.results;
      stats.discarded += discarded;
      stats.latency_min = stats.results == 1 ? latency : std::min(stats.latency_min, latency);
      stats.latency_max = std::max(stats.latency_max, latency);
      stats.latency_sum += latency;
      state.latencies.add(latency);
      stats.reused += sample->effort.reused ? 1 : 0;
      stats.crops += static_cast<guint64>(std::max(sample->effort.crops, 0));
      stats.crops_encoded += static_cast<guint64>(std::max(sample->effort.crops_encoded, 0));
    }
    if (current) {
      --state.in_flight;
      observer = state.observer;
      if (state.in_order) {
        const auto place = std::find_if(state.waiting.begin(), state.waiting.end(),
                                        [&](const auto &each) { return each.sample == sample; });
        place->has_outcome = true;
        for (; !state.waiting.empty() && state.waiting.front().has_outcome;
             state.waiting.pop_front()) {
          published.push_back(std::move(state.waiting.front().sample));
        }
      } else {
        published.push_back(sample);
      }
      for (const std::shared_ptr<Sample> &each : published) {
        publish(state, *each);
        const bool newer = !state.newest || state.newest->serial < each->serial;
        const bool known = !each->failure || !each->failure->cancelled;
        if (newer && known) state.newest = each;
        const bool looked = !each->failure && !each->effort.reused &&
                            (!state.looked || state.looked->serial < each->serial);
        if (looked) state.looked = each;
      }
    } else {
      sample->finished.store(true, std::memory_order_release);
    }
  }
  if (!observer) return;
  for (const std::shared_ptr<Sample> &each : published) (*observer)(each);
}

// Serials are those of one element, which is not known here; the model and the frame tell which.
void FrameSampler::log(const Sample &sample) {
  GstDebugCategory *const category = inference_category();
  const std::chrono::duration<double, std::milli> latency = sample.finished_at - sample.submitted;
  if (sample.failure) {
    GST_CAT_LOG(category,
                "%s: sample %" G_GUINT64_FORMAT " at %" GST_TIME_FORMAT ": %s after %.3f ms",
                sample.analysis.model.c_str(), sample.serial, GST_TIME_ARGS(sample.frame.pts),
                sample.failure->text.c_str(), latency.count());
    return;
  }
  GST_CAT_LOG(category,
              "%s: sample %" G_GUINT64_FORMAT " at %" GST_TIME_FORMAT
              ": %.3f ms, %d crops, %d of them encoded%s",
              sample.analysis.model.c_str(), sample.serial, GST_TIME_ARGS(sample.frame.pts),
              latency.count(), sample.effort.crops, sample.effort.crops_encoded,
              sample.effort.reused ? ", the last result again" : "");
}

void FrameSampler::forget() {
  std::shared_ptr<Stream> stream;
  {
    const std::lock_guard guard(state_->lock);
    ++state_->epoch;
    state_->in_flight = 0;
    state_->newest.reset();
    state_->association.forget();
    for (const State::Waiting &each : state_->waiting) {
      if (each.has_outcome) each.sample->finished.store(true, std::memory_order_release);
    }
    state_->waiting.clear();
    state_->looked.reset();
    stream = state_->stream;
  }
  if (stream) stream->cancel_all();
}

std::shared_ptr<const Sample> FrameSampler::newest() const {
  const std::lock_guard guard(state_->lock);
  return state_->newest;
}

std::optional<SampledFrame> FrameSampler::last_look() const {
  const std::lock_guard guard(state_->lock);
  return state_->looked ? std::optional(state_->looked->frame) : std::nullopt;
}

EngineStats FrameSampler::engine_stats() const {
  std::shared_ptr<Engine> engine;
  {
    const std::lock_guard guard(state_->lock);
    engine = state_->engine;
  }
  return engine ? engine->stats() : EngineStats{};
}

guint64 FrameSampler::finished() const {
  const std::lock_guard guard(state_->lock);
  return state_->stats.results + state_->stats.failed;
}

std::size_t FrameSampler::in_flight() const {
  const std::lock_guard guard(state_->lock);
  return state_->in_flight;
}

FrameSamplerStats FrameSampler::stats() const {
  const std::lock_guard guard(state_->lock);
  FrameSamplerStats stats = state_->stats;
  stats.latency_p99 = std::min(state_->latencies.quantile(0.99), stats.latency_max);
  return stats;
}

}  // namespace moondream
