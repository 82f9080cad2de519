// The real Backend: a Model.
#include <memory>
#include <utility>

#include "backend.h"
#include "crop_memory.h"
#include "device.h"
#include "look.h"
#include "model.h"

namespace moondream {
namespace {

class ModelBackend : public Backend {
 public:
  explicit ModelBackend(std::unique_ptr<const Model> model) : model_(std::move(model)) {}

  ModelInfo info() const override { return model_->info(); }

  std::shared_ptr<StreamMemory> open_stream() override { return std::make_shared<CropMemory>(); }

  std::unique_ptr<const Preparation> prepare(const Request &request, const Image &image) override {
    return std::make_unique<const CutPicture>(*model_, request, image);
  }

  std::vector<Outcome> run(std::span<const Job> jobs, int threads) override {
    use_cpu_threads(threads);
    return look(*model_, jobs);
  }

 private:
  const std::unique_ptr<const Model> model_;
};

}  // namespace

std::unique_ptr<Backend> load_model_backend(const ModelSpec &spec, std::stop_token cancelled) {
  return std::make_unique<ModelBackend>(Model::load(spec, std::move(cancelled)));
}

}  // namespace moondream
