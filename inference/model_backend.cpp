// The real Backend: a Model.
#include <algorithm>
#include <memory>

#include "backend.h"
#include "model.h"

namespace moondream {
namespace {

class ModelBackend : public Backend {
 public:
  explicit ModelBackend(std::unique_ptr<const Model> model) : model_(std::move(model)) {}

  ModelInfo info() const override { return model_->info(); }
  std::vector<Outcome> run(std::span<const Job> jobs, int threads) override;

 private:
  const std::unique_ptr<const Model> model_;
};

std::vector<Outcome> ModelBackend::run(std::span<const Job> jobs, int threads) {
  model_->use_cpu_threads(threads);
  std::vector<ImageView> pictures;
  for (const Job &job : jobs) {
    if (job.image) pictures.push_back(job.image->view());
  }
  const auto all_cancelled = [&] {
    return std::ranges::all_of(jobs, [](const Job &job) { return job.cancelled.stop_requested(); });
  };
  const auto encoded = model_->encode(pictures, all_cancelled);

  std::vector<Generation> generations;
  auto image = encoded.begin();
  for (const Job &job : jobs) {
    const auto own = job.image ? *image++ : nullptr;
    for (const Prompt &prompt : job.request->prompts) {
      generations.push_back({own, prompt, job.request->settings, job.cancelled});
    }
  }
  auto generated = model_->generate(generations);

  // A request is answered whole or not at all: its first error is its outcome.
  std::vector<Outcome> outcomes;
  auto next = generated.begin();
  for (const Job &job : jobs) {
    Outcome outcome = Result{};
    for (std::size_t i = 0; i < job.request->prompts.size(); ++i, ++next) {
      if (std::holds_alternative<Error>(outcome)) continue;
      if (const Error *error = std::get_if<Error>(&*next)) {
        outcome = *error;
      } else {
        std::get<Result>(outcome).prompts.push_back(std::get<PromptResult>(std::move(*next)));
      }
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

}  // namespace

std::unique_ptr<Backend> load_model_backend(const ModelSpec &spec, std::stop_token cancelled) {
  return std::make_unique<ModelBackend>(Model::load(spec, std::move(cancelled)));
}

}  // namespace moondream
