// A model's weights, complete and under one set of names, whatever layout the files have.
//
// The names are those of the reference's modules: "text.wte", "text.blocks.0.attn.qkv.weight",
// "vision.patch_emb.bias", "vision.pos_emb", "region.coord_features" and so on; expected_tensors()
// lists them all.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

#include "config.h"
#include "tensor_names.h"

namespace moondream {

// Exactly the expected tensors of its configuration, each of a floating-point type (not necessarily
// the same), but for weights of the text model that are quantized: see quantized_weights.h. Those
// of load_checkpoint() are on the CPU and, where they can be, views of the mapped files, which stay
// mapped while any of them lives: writing to them ends the process. Thread-safety: const methods
// are safe.
class Checkpoint {
 public:
  // Throws Error{kMismatch} if `config` is invalid or a tensor is missing, too many, misshapen or
  // not of a floating-point type: one error counts them and names up to four of each kind. `path`
  // is where they are from and `sources`, by name, what holds each of them there, both for that
  // text.
  Checkpoint(Config config, std::map<std::string, at::Tensor> tensors,
             std::filesystem::path path = {},
             const std::map<std::string, std::string> &sources = {});

  const std::filesystem::path &path() const { return path_; }
  const Config &config() const { return config_; }

  // The smallest number of bits that the files have for weights of the text model: "int8" or
  // "int4" of our own layout (quantized_weights.h); empty: they have none in it.
  std::string quantized() const;

  // Throws Error{kMismatch} if there is no such tensor.
  const at::Tensor &tensor(const std::string &name) const;
  const std::map<std::string, at::Tensor> &tensors() const { return tensors_; }

 private:
  std::filesystem::path path_;
  Config config_;
  std::map<std::string, at::Tensor> tensors_;
};

// Loads a Moondream from a directory, a file or a shard index, in any layout that tensor_names.h
// knows. Dimensions are read off the weights where they tell, what a release does in its own way is
// found as release.h says; the config.json beside them, if there is one, overrides both, and is
// itself overridden by `release`, a name that release_named() knows, if that is not empty. All must
// then agree.
// Throws Error: kNotFound, kRead as open_weights() and read_config() do; kMismatch as Checkpoint
// does, or saying what the file is if it is another kind of model; kSettings if there is no such
// release.
Checkpoint load_checkpoint(const std::filesystem::path &path, const std::string &release = {});

}  // namespace moondream
