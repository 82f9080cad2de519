// A loaded Moondream model: encodes pictures and runs prompts on them, batches first.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <variant>
#include <vector>

#include "lora.h"
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

// One prompt on one picture, or on none.
struct Generation {
  std::shared_ptr<const EncodedImage> image;  // of the same model; null: queries only
  Prompt prompt;
  GenerationSettings settings;
  std::stop_token cancelled;
};

// Immutable after loading; nothing is kept between calls. Thread-safety: const methods are safe.
// Everything throws Error alone.
class Model {
 public:
  // Throws Error: kSettings, kNotFound, kRead, kMismatch, kNoDevice, kNoMemory; kCancelled once
  // `cancelled` is stopped.
  static std::unique_ptr<const Model> load(const ModelSpec &spec, std::stop_token cancelled = {});

  // Makes a model of weights in memory. `name` goes into info(); variant: null: none.
  Model(const Checkpoint &checkpoint, std::unique_ptr<const Tokenizer> tokenizer,
        const std::string &device, Precision precision, std::string name,
        const LoraTensors *variant = nullptr);
  ~Model();

  const ModelInfo &info() const;

  // Gives the calling thread the number of LibTorch threads that this model is fastest with. For
  // threads that belong to whoever calls, such as a pool's: it stays when the call is over.
  // most: >= 1, all that it may have.
  void use_cpu_threads(int most) const;

  // Encodes pictures, the crops of all of them together; one result for each, in order.
  // `cancelled` is asked between vision blocks and ends the call with Error{kCancelled}.
  // Throws Error{kSettings} for a picture without pixels.
  std::vector<std::shared_ptr<const EncodedImage>> encode(
      std::span<const ImageView> images, const std::function<bool()> &cancelled = {},
      const Trace &trace = {}) const;

  // Runs all prompts as one batch; one result for each, in order. A prompt that fails or is
  // cancelled does not disturb the others.
  std::vector<std::variant<PromptResult, Error>> generate(std::span<const Generation> generations,
                                                          const Trace &trace = {}) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace moondream
