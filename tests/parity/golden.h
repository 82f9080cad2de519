// A folder of golden vectors: a small model, and what the reference implementation computes on it.
//
//   config.json, tokenizer.json, weights    the model
//   expected.json                           results by picture and prompt
//   expected.safetensors                    intermediate tensors, "<picture>.<name>"
//   lora-demo.*, expected-lora.json         optional: one variant in several formats, its results
//   ../pictures/*.png                       the inputs
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "types.h"

namespace moondream::golden {

struct Picture {
  std::string stem;  // "640x480-2"
  Image image;
  nlohmann::json expected;  // tiling, crops, prefix_length, results
};

// One prompt of expected.json and how its result is to be asked for.
struct Case {
  std::string name;  // "detect:face"
  SinglePrompt prompt;
  GenerationSettings settings;
  nlohmann::json expected;
  // The smallest gap between the best and the second-best logit on the way. Below kMinMargin a
  // rounding difference may choose otherwise, and the result proves nothing.
  double min_margin = 0;
};
inline constexpr double kMinMargin = 1e-3;

class Folder {
 public:
  // Throws std::exception, naming the file, if something is missing or malformed.
  explicit Folder(const std::filesystem::path &path);

  const std::filesystem::path &path() const { return path_; }
  std::string name() const { return path_.filename().string(); }
  const std::vector<Picture> &pictures() const { return pictures_; }
  const std::map<std::string, at::Tensor> &tensors() const { return tensors_; }

  // The variants of the model that it has vectors of, and these. Empty: none.
  std::vector<std::filesystem::path> variants() const;
  std::vector<Picture> variant_pictures() const;

  std::vector<Case> cases(const Picture &picture) const;
  std::vector<Case> text_only_cases() const;

 private:
  std::filesystem::path path_;
  nlohmann::json expected_;
  std::vector<Picture> pictures_;
  std::map<std::string, at::Tensor> tensors_;
};

// $MOONDREAM_GOLDEN if it is set, else the shipped folders.
std::vector<std::filesystem::path> folders();
// Whether those are the shipped ones.
bool are_shipped();
// Those of them that have vectors of a variant.
std::vector<std::filesystem::path> variant_folders();

}  // namespace moondream::golden
