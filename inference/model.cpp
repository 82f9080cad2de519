#include "model.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "caught_error.h"
#include "checkpoint.h"
#include "decoder.h"
#include "device.h"
#include "image_crops.h"
#include "kv_cache.h"
#include "layers.h"
#include "model_path.h"
#include "outline_refinement.h"
#include "region.h"
#include "seg_refiner.h"
#include "skills.h"
#include "text.h"
#include "tokenizer.h"
#include "tokenizer_check.h"
#include "vision.h"

namespace moondream {
namespace {

std::string precision_name(const Checkpoint &checkpoint, Precision precision,
                           c10::ScalarType dtype) {
  if (const std::string stored = checkpoint.quantized(); !stored.empty()) return stored;
  if (precision == Precision::kInt8) return "int8";
  if (precision == Precision::kInt4) return "int4";
  return dtype == c10::kBFloat16 ? "bfloat16" : "float32";
}

TokenIds ids_before_image(const TokenizerConfig &config) {
  TokenIds ids = {config.bos_id};
  ids.insert(ids.end(), config.image_prefix.begin(), config.image_prefix.end());
  return ids;
}

bool cancelled(const Picture &picture) { return picture.cancelled && picture.cancelled(); }

}  // namespace

EncodedImage::EncodedImage(KvCache cache)
    : cache_(std::make_unique<const KvCache>(std::move(cache))) {}
EncodedImage::~EncodedImage() = default;

struct Model::Impl {
  Impl(const WeightSource &weights, std::unique_ptr<const Tokenizer> tokens, ModelInfo what,
       const std::filesystem::path &refiner_path)
      : config(weights.config()),
        tokenizer(std::move(tokens)),
        vision(weights),
        text(weights),
        region(weights),
        decoder(text, region),
        skills(config.tokenizer, *tokenizer, text, region),
        before_image(text.embed(ids_before_image(config.tokenizer))),
        after_image(text.embed(config.tokenizer.image_suffix)),
        info(std::move(what)) {
    info.weight_bytes = weights.bytes();
    if (refiner_path.empty()) return;
    // In float32 whatever the model has: it is small, and not every LibTorch has all of its layers
    // in bfloat16.
    refiner.emplace(refiner_path, config.vision, weights.device(), at::kFloat);
    info.weight_bytes += refiner->bytes();
  }

  // A view of the crops: uint8 [count, crop_size, crop_size, 3].
  at::Tensor pixels_of(const Crops &crops) const;
  // Makes the features that the pictures lack, as one batch.
  void encode_crops(std::span<Picture> pictures) const;

  const Config config;
  const std::unique_ptr<const Tokenizer> tokenizer;
  const VisionEncoder vision;
  const TextModel text;
  const RegionModel region;
  const Decoder decoder;
  const Skills skills;
  std::optional<const SegRefiner> refiner;
  const at::Tensor before_image, after_image;  // [T, D], of the tokens around an image
  ModelInfo info;
};

at::Tensor Model::Impl::pixels_of(const Crops &crops) const {
  // from_blob only has a writable form; nobody writes.
  return at::from_blob(
      const_cast<std::uint8_t *>(crops.pixels.data()),
      {crops.count, config.vision.crop_size, config.vision.crop_size, config.vision.in_channels},
      at::kByte);
}

void Model::Impl::encode_crops(std::span<Picture> pictures) const {
  struct Missing {
    Picture *picture;
    std::size_t crop;
  };
  std::vector<Missing> missing;
  std::vector<at::Tensor> pixels;
  for (Picture &picture : pictures) {
    picture.features.resize(picture.crops->count);
    for (std::size_t i = 0; i < picture.features.size(); ++i) {
      if (picture.features[i].defined()) continue;
      missing.push_back({&picture, i});
      pixels.push_back(pixels_of(*picture.crops)[static_cast<std::int64_t>(i)]);
    }
  }
  if (missing.empty()) return;
  std::vector<at::Tensor> features = vision.encode(
      at::stack(pixels), [&](std::int64_t i) { return cancelled(*missing[i].picture); });
  for (std::size_t i = 0; i < missing.size(); ++i) {
    missing[i].picture->features[missing[i].crop] = std::move(features[i]);
  }
}

Model::Model(const Checkpoint &checkpoint, std::unique_ptr<const Tokenizer> tokenizer,
             const std::string &device, Precision precision, std::string name,
             const LoraTensors *variant, const std::filesystem::path &refiner) try {
  const c10::InferenceMode guard;
  const c10::Device where = select_device(device);
  const c10::ScalarType dtype = select_precision(precision, where);
  impl_ = std::make_unique<const Impl>(
      WeightSource(checkpoint, where, dtype, weight_format(precision), variant),
      std::move(tokenizer),
      ModelInfo{.name = std::move(name),
                .device = where.str(),
                .precision = precision_name(checkpoint, precision, dtype)},
      refiner);
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
    const auto [path, model_name] = find_model(spec.model);
    const Checkpoint checkpoint = load_checkpoint(path, spec.release);
    check();
    std::optional<LoraTensors> variant;
    std::string name = model_name;
    if (!spec.variant.empty()) {
      const auto [variant_path, variant_name] = find_model(spec.variant);
      variant = load_lora(variant_path, checkpoint.config());
      name += '+';
      name += variant_name;
      check();
    }
    auto tokenizer = load_tokenizer(!spec.tokenizer.empty() ? std::filesystem::path(spec.tokenizer)
                                    : std::filesystem::is_directory(path) ? path
                                                                          : path.parent_path());
    check_tokenizer(checkpoint.config().tokenizer, *tokenizer, spec.model);
    if (tokenizer->vocab_size() > checkpoint.config().text.vocab_size) {
      throw Error(ErrorKind::kMismatch, "the tokenizer of " + spec.model + " has " +
                                            std::to_string(tokenizer->vocab_size()) +
                                            " tokens, the model only " +
                                            std::to_string(checkpoint.config().text.vocab_size));
    }
    check();
    auto model = std::make_unique<const Model>(
        checkpoint, std::move(tokenizer), spec.device, spec.precision, std::move(name),
        variant ? &*variant : nullptr,
        spec.refiner.empty() ? std::filesystem::path() : find_model(spec.refiner).path);
    check();
    return model;
  } catch (...) {
    throw caught_error("loading " + spec.model);
  }
}

const ModelInfo &Model::info() const { return impl_->info; }

Crops Model::crop(const ImageView &image) const try {
  return crop_image(image, impl_->config.vision);
} catch (...) {
  throw caught_error("cutting an image");
}

std::vector<std::shared_ptr<const EncodedImage>> Model::encode(std::span<Picture> pictures,
                                                               const Trace &trace) const try {
  const c10::InferenceMode guard;
  impl_->encode_crops(pictures);

  std::vector<std::shared_ptr<const EncodedImage>> encoded(pictures.size());
  std::vector<std::size_t> whole;  // pictures that are not cancelled
  std::vector<at::Tensor> prefixes;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Picture &picture = pictures[i];
    if (cancelled(picture) || !std::ranges::all_of(picture.features, &at::Tensor::defined))
      continue;
    const at::Tensor features = at::stack(picture.features);
    const at::Tensor embedding = impl_->vision.project(features, picture.crops->tiling);
    whole.push_back(i);
    prefixes.push_back(at::cat({impl_->before_image, embedding, impl_->after_image}));
    if (trace) {
      trace("crops", i, impl_->pixels_of(*picture.crops).clone());
      trace("vit", i, features);
      trace("image_embedding", i, embedding);
    }
  }
  if (whole.empty()) return encoded;
  std::vector<KvCache> caches = impl_->text.prefill_images(
      at::stack(prefixes), [&](std::int64_t row) { return cancelled(pictures[whole[row]]); });
  for (std::size_t row = 0; row < whole.size(); ++row) {
    if (caches[row].length() == 0) continue;
    encoded[whole[row]] = std::make_shared<const EncodedImage>(std::move(caches[row]));
  }
  return encoded;
} catch (...) {
  throw caught_error("encoding an image");
}

std::vector<std::shared_ptr<const EncodedImage>> Model::encode(std::span<const ImageView> images,
                                                               const Trace &trace) const {
  std::vector<Crops> crops;
  for (const ImageView &image : images) crops.push_back(crop(image));
  std::vector<Picture> pictures;
  for (const Crops &one : crops) pictures.push_back({&one, {}, {}});
  return encode(pictures, trace);
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
    tasks.push_back(impl_->skills.run(generation.prompt, generation.settings, generation.listener,
                                      *sequences.back()));
  }
  return impl_->decoder.run(tasks, sequences);
} catch (...) {
  throw caught_error("generating");
}

SegmentResult Model::refine(const ImageView &image, SegmentResult outline) const try {
  if (!impl_->refiner) return outline;
  const c10::InferenceMode guard;
  const std::int64_t side = impl_->config.vision.crop_size;
  auto refined = refine_outline(
      image, outline, static_cast<int>(side), [&](const auto &pixels, const auto &mask) {
        // from_blob only has a writable form; nobody writes.
        const at::Tensor crop =
            at::from_blob(const_cast<std::uint8_t *>(pixels.data()), {1, side, side, 3}, at::kByte);
        const at::Tensor known =
            at::from_blob(const_cast<std::uint8_t *>(mask.data()), {side, side}, at::kByte);
        const auto [final, early] = impl_->vision.encode(crop, SegRefiner::kEarlyBlock);
        const at::Tensor likely = impl_->refiner->refine(final.to(at::kFloat), early.to(at::kFloat),
                                                         known.to(final.device(), at::kFloat));
        const float *begin = likely.data_ptr<float>();
        return std::vector<float>(begin, begin + likely.numel());
      });
  if (!refined) return outline;
  refined->refined = true;
  return *std::move(refined);
} catch (...) {
  throw caught_error("refining an outline");
}

}  // namespace moondream
