// A loaded Moondream model: encodes pictures and runs prompts on them, batches first.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <variant>
#include <vector>

#include "image_crops.h"
#include "lora.h"
#include "text_stream.h"
#include "trace.h"
#include "types.h"

namespace moondream {

class KvCache;
class Checkpoint;
class Tokenizer;

// What a model knows of one picture: the keys and values of its prefix. Immutable; shared by all
// prompts on the picture. Thread-safety: safe.
class EncodedImage {
 public:
  explicit EncodedImage(KvCache cache);
  ~EncodedImage();
  EncodedImage(const EncodedImage &) = delete;
  EncodedImage &operator=(const EncodedImage &) = delete;

  const KvCache &cache() const { return *cache_; }

 private:
  std::unique_ptr<const KvCache> cache_;
};

// A picture to encode.
struct Picture {
  const Crops *crops;  // by Model::crop(); must outlive the call
  // What the vision encoder makes of each crop: [patches, enc_dim], as encode() gave it for the
  // same crop before. Those that are undefined are made and put here, as parts of one tensor for
  // all crops of the batch: who keeps one copies it.
  std::vector<at::Tensor> features;
  // Once true, the picture leaves the batch within a block of the vision encoder or text model.
  // Called on the thread that encodes. Empty: never.
  std::function<bool()> cancelled;
};

// One prompt on one picture, or on none.
struct Generation {
  std::shared_ptr<const EncodedImage> image;  // of the same model; null: queries only
  SinglePrompt prompt;
  GenerationSettings settings;
  std::stop_token cancelled;
  TextListener listener;  // of its texts; called on the thread that generates
};

// Immutable after loading; nothing is kept between calls. Thread-safety: const methods are safe.
// Everything throws Error alone.
class Model {
 public:
  // Throws Error: kSettings, kNotFound, kRead, kMismatch, kNoDevice, kNoMemory; kCancelled once
  // `cancelled` is stopped.
  static std::unique_ptr<const Model> load(const ModelSpec &spec, std::stop_token cancelled = {});

  // Makes a model of weights in memory. `name` goes into info(); variant: null: none; refiner: as
  // in ModelSpec.
  Model(const Checkpoint &checkpoint, std::unique_ptr<const Tokenizer> tokenizer,
        const std::string &device, Precision precision, std::string name,
        const LoraTensors *variant = nullptr, const std::filesystem::path &refiner = {});
  ~Model();

  const ModelInfo &info() const;

  // Scales a picture and cuts it as this model sees it; runs on one thread.
  // Throws Error{kSettings} for a picture without pixels.
  Crops crop(const ImageView &image) const;

  // Encodes pictures, the crops of all of them together; one result for each, in order, null for a
  // picture that was cancelled: then some of its features may be missing, too. What is made of one
  // picture does not depend on the others but for the last bits.
  std::vector<std::shared_ptr<const EncodedImage>> encode(std::span<Picture> pictures,
                                                          const Trace &trace = {}) const;
  // The same of pictures as they are.
  std::vector<std::shared_ptr<const EncodedImage>> encode(std::span<const ImageView> images,
                                                          const Trace &trace = {}) const;

  // Runs all prompts as one batch; one result for each, in order. A prompt that fails or is
  // cancelled does not disturb the others.
  std::vector<std::variant<PromptResult, Error>> generate(std::span<const Generation> generations,
                                                          const Trace &trace = {}) const;

  // An outline that generate() gave of this picture, made better by the model's refiner: it looks
  // at its part of the picture once more. As it is if there is none, or nothing to refine.
  SegmentResult refine(const ImageView &image, SegmentResult outline) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace moondream
