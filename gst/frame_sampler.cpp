#include "frame_sampler.h"

#include <algorithm>
#include <utility>

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
  FrameSamplerStats stats;
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

std::shared_ptr<const Sample> FrameSampler::submit(
    const SampledFrame &frame, std::shared_ptr<const PromptList> asked,
    const GenerationSettings &settings,
    const std::function<std::shared_ptr<const Image>()> &picture) {
  auto sample = std::make_shared<Sample>();
  sample->frame = frame;
  sample->asked = std::move(asked);
  std::shared_ptr<Stream> stream;
  guint64 epoch;
  {
    const std::lock_guard guard(state_->lock);
    sample->serial = ++state_->serial;
    stream = state_->stream;
    epoch = state_->epoch;
    ++state_->in_flight;
    ++state_->stats.samples;
  }
  try {
    if (!stream) throw Error(ErrorKind::kCancelled, "The element has stopped.");
    Request request{.image = picture(), .prompts = sample->asked->prompts, .settings = settings};
    sample->submitted = std::chrono::steady_clock::now();
    stream->submit(std::move(request), [state = state_, sample, epoch](const Outcome &outcome) {
      finish(*state, sample, epoch, outcome);
    });
  } catch (...) {
    // submit() throws before it takes the request, so this finishes the sample for the first time.
    sample->failure = current_failure();
    finish(*state_, sample, epoch, Error(ErrorKind::kFailed, ""));
  }
  return sample;
}

// The only writer of a sample that is in flight.
void FrameSampler::finish(State &state, const std::shared_ptr<Sample> &sample, guint64 epoch,
                          const Outcome &outcome) noexcept {
  sample->finished_at = std::chrono::steady_clock::now();
  const auto latency = sample->finished_at - sample->submitted;
  std::size_t discarded = 0;
  if (const auto *error = std::get_if<Error>(&outcome)) {
    if (!sample->failure) sample->failure = to_failure(*error);
  } else {
    try {
      Assembled assembled = assemble(*sample->asked, std::get<Result>(outcome).prompts);
      sample->analysis = std::move(assembled.analysis);
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

  std::shared_ptr<const Observer> observer;
  {
    const std::lock_guard guard(state.lock);
    FrameSamplerStats &stats = state.stats;
    const bool current = epoch == state.epoch;
    if (cancelled || !current) {
      ++stats.skipped;
    } else if (sample->failure) {
      ++stats.failed;
    } else {
      ++stats.results;
      stats.discarded += discarded;
      stats.latency_min = stats.results == 1 ? latency : std::min(stats.latency_min, latency);
      stats.latency_max = std::max(stats.latency_max, latency);
      stats.latency_sum += latency;
    }
    if (current) {
      --state.in_flight;
      const bool newer = !state.newest || state.newest->serial < sample->serial;
      if (newer && !cancelled) state.newest = sample;
      observer = state.observer;
    }
    sample->finished.store(true, std::memory_order_release);
  }
  if (observer) (*observer)(sample);
}

void FrameSampler::forget() {
  std::shared_ptr<Stream> stream;
  {
    const std::lock_guard guard(state_->lock);
    ++state_->epoch;
    state_->in_flight = 0;
    state_->newest.reset();
    stream = state_->stream;
  }
  if (stream) stream->cancel_all();
}

std::shared_ptr<const Sample> FrameSampler::newest() const {
  const std::lock_guard guard(state_->lock);
  return state_->newest;
}

std::size_t FrameSampler::in_flight() const {
  const std::lock_guard guard(state_->lock);
  return state_->in_flight;
}

FrameSamplerStats FrameSampler::stats() const {
  const std::lock_guard guard(state_->lock);
  return state_->stats;
}

}  // namespace moondream
