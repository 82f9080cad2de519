// A tensor of a file as LibTorch has it.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "tensor_file.h"

namespace moondream {

// A view of the mapped file where its alignment allows, else a copy; row-major. It keeps the
// mapping alive, and writing to it ends the process. 8-bit floating-point numbers come as bytes,
// since not every LibTorch has such a type. Throws Error{kMismatch}, beginning with `name`, for
// a type that no model has. Thread-safety: safe.
at::Tensor mapped_tensor(const TensorFile &file, const TensorEntry &entry, const std::string &name);

}  // namespace moondream
