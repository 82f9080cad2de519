// A safetensors file: named tensors in one memory-mapped file.
//
// The file is not trusted: the whole header is checked before anything is taken from it, so an
// entry always describes bytes that are really there, once, and of the right number.
#pragma once

#include <filesystem>

#include "tensor_file.h"

namespace moondream {

class SafetensorsFile : public TensorFile {
 public:
  // Throws Error: kNotFound if `path` does not exist; kRead, naming the file and the tensor, if it
  // cannot be read or is not a valid safetensors file.
  explicit SafetensorsFile(const std::filesystem::path &path);
};

}  // namespace moondream
