// An optional observer of a computation, for comparing it with the reference value by value.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <string_view>

namespace moondream {

// Called with the name of a value, the index of the image or prompt of the batch that it belongs
// to, and the value, which the callee may keep. Called on the thread that computes; an empty Trace
// costs nothing.
// While encoding:   "crops" uint8 [n, size, size, 3] · "vit" [n, patches, enc_dim] ·
//                   "image_embedding" [patches, dim]
// While generating: "logits" float [vocab], those of the first step · "token" int64 [], every
//                   token chosen · "bin" int64 [], every coordinate or size bin chosen
using Trace = std::function<void(std::string_view name, std::size_t index, const at::Tensor &)>;

}  // namespace moondream
