#include "model.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "caught_error.h"
#include "checkpoint.h"
#include "decoder.h"
#include "device.h"
#include "image_crops.h"
#include "kv_cache.h"
#include "layers.h"
#include "region.h"
#include "skills.h"
#include "text.h"
#include "tokenizer.h"
#include "vision.h"

namespace moondream {
namespace {

// Directories name models better than the files in them do.
std::string name_of(const std::filesystem::path &path) {
  const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  const std::string name = whole.filename().string();
  return name.empty() ? whole.parent_path().filename().string() : name;
}

std::uint64_t total_bytes(const Checkpoint &checkpoint, c10::ScalarType dtype) {
  std::uint64_t bytes = 0;
  for (const auto &[name, tensor] : checkpoint.tensors()) {
    bytes += static_cast<std::uint64_t>(tensor.numel()) * c10::elementSize(dtype);
  }
  return bytes;
}

}  // namespace

EncodedImage::EncodedImage(KvCache cache)
    : cache_(std::make_unique<const KvCache>(std::move(cache))) {}
EncodedImage::~EncodedImage() = default;

struct Model::Impl {
  Impl(const WeightSource &weights, std::unique_ptr<const Tokenizer> tokens, ModelInfo what)
      : config(weights.config()),
        tokenizer(std::move(tokens)),
        info(std::move(what)),
        vision(weights),
        text(weights),
        region(weights),
        decoder(text, region),
        skills(config.tokenizer, *tokenizer, text, region),
        bos(text.embed({&config.tokenizer.bos_id, 1})) {}

  const Config config;
  const std::unique_ptr<const Tokenizer> tokenizer;
  const ModelInfo info;
  const VisionEncoder vision;
  const TextModel text;
  const RegionModel region;
  const Decoder decoder;
  const Skills skills;
  const at::Tensor bos;  // [1, D]
};

Model::Model(const Checkpoint &checkpoint, std::unique_ptr<const Tokenizer> tokenizer,
             const std::string &device, Precision precision, std::string name,
             const LoraTensors *variant) try {
  const c10::InferenceMode guard;
  const c10::Device where = select_device(device);
  const c10::ScalarType dtype = select_precision(precision, where);
  impl_ = std::make_unique<const Impl>(
      WeightSource(checkpoint, where, dtype, variant), std::move(tokenizer),
      ModelInfo{.name = std::move(name),
                .device = where.str(),
                .precision = dtype == c10::kBFloat16 ? "bfloat16" : "float32",
                .weight_bytes = total_bytes(checkpoint, dtype)});
} catch (...) {
  throw caught_error("loading the model");
}

Model::~Model() = default;

std::unique_ptr<const Model> Model::load(const ModelSpec &spec, std::stop_token cancelled) {
  const auto check = [&] {
    if (cancelled.stop_requested()) {
      throw Error(ErrorKind::kCancelled, "loading " + spec.model + " was cancelled");
    }
  };
  try {
    if (spec.model.empty()) throw Error(ErrorKind::kSettings, "no model is named");
    select_device(spec.device);  // before reading gigabytes
    const std::filesystem::path path = spec.model;
    const Checkpoint checkpoint = load_checkpoint(path);
    check();
    std::optional<LoraTensors> variant;
    std::string name = name_of(path);
    if (!spec.variant.empty()) {
      variant = load_lora(spec.variant, checkpoint.config());
      name += '+';
      name += name_of(spec.variant);
      check();
    }
    auto tokenizer = load_tokenizer(!spec.tokenizer.empty() ? std::filesystem::path(spec.tokenizer)
                                    : std::filesystem::is_directory(path) ? path
                                                                          : path.parent_path());
    if (tokenizer->vocab_size() > checkpoint.config().text.vocab_size) {
      throw Error(ErrorKind::kMismatch, "the tokenizer of " + spec.model + " has " +
                                            std::to_string(tokenizer->vocab_size()) +
                                            " tokens, the model only " +
                                            std::to_string(checkpoint.config().text.vocab_size));
    }
    check();
    auto model =
        std::make_unique<const Model>(checkpoint, std::move(tokenizer), spec.device, spec.precision,
                                      std::move(name), variant ? &*variant : nullptr);
    check();
    return model;
  } catch (...) {
    throw caught_error("loading " + spec.model);
  }
}

const ModelInfo &Model::info() const { return impl_->info; }

void Model::use_cpu_threads(int most) const {
  moondream::use_cpu_threads(impl_->text.options().dtype().toScalarType(), most);
}

std::vector<std::shared_ptr<const EncodedImage>> Model::encode(
    std::span<const ImageView> images, const std::function<bool()> &cancelled,
    const Trace &trace) const try {
  const c10::InferenceMode guard;
  if (images.empty()) return {};
  const VisionConfig &config = impl_->config.vision;
  std::vector<Crops> crops;
  std::vector<at::Tensor> pixels;
  for (const ImageView &image : images) {
    crops.push_back(overlap_crop_image(image, config));
    pixels.push_back(at::from_blob(
        crops.back().pixels.data(),
        {crops.back().count, config.crop_size, config.crop_size, config.in_channels}, at::kByte));
  }
  const at::Tensor features = impl_->vision.encode(at::cat(pixels), cancelled);

  std::vector<at::Tensor> prefixes;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < crops.size(); ++i) {
    const at::Tensor own = features.narrow(0, row, crops[i].count);
    row += crops[i].count;
    const at::Tensor embedding = impl_->vision.project(own, crops[i].tiling);
    prefixes.push_back(at::cat({impl_->bos, embedding}));
    if (trace) {
      trace("crops", i, pixels[i].clone());
      trace("vit", i, own);
      trace("image_embedding", i, embedding);
    }
  }
  if (cancelled && cancelled()) throw Error(ErrorKind::kCancelled, "cancelled while encoding");
  std::vector<std::shared_ptr<const EncodedImage>> encoded;
  for (KvCache &cache : impl_->text.prefill_images(at::stack(prefixes))) {
    encoded.push_back(std::make_shared<const EncodedImage>(std::move(cache)));
  }
  return encoded;
} catch (...) {
  throw caught_error("encoding an image");
}

std::vector<std::variant<PromptResult, Error>> Model::generate(
    std::span<const Generation> generations, const Trace &trace) const try {
  const c10::InferenceMode guard;
  std::vector<std::unique_ptr<Sequence>> owned;
  std::vector<Sequence *> sequences;
  std::vector<Task<PromptResult>> tasks;
  for (const Generation &generation : generations) {
    owned.push_back(std::make_unique<Sequence>(
        impl_->text, generation.image ? &generation.image->cache() : nullptr, generation.cancelled,
        trace, owned.size()));
    sequences.push_back(owned.back().get());
    tasks.push_back(impl_->skills.run(generation.prompt, generation.settings, *sequences.back()));
  }
  return impl_->decoder.run(tasks, sequences);
} catch (...) {
  throw caught_error("generating");
}

}  // namespace moondream
