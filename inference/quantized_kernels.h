// Products of a few vectors with a quantized matrix, on the CPU. They are bound by the reading of
// the matrix: each weight is unpacked in registers and used for all vectors.
//
// Arrays are contiguous. They run on the calling thread's loop_threads().
// Thread-safety: safe; only the output is written.
#pragma once

#include <cstdint>

#include "quantization.h"

namespace moondream::ops {

// A QuantizedMatrix as plain arrays.
struct QuantizedView {
  QuantizedFormat format;
  std::int64_t out, in, group;
  const std::uint8_t *values;
  const void *scales, *zeros;
};

// y = x w^T. x: [tokens, in], y: [tokens, out]. Takes a fixed time for every four vectors: many of
// them are multiplied faster by a matrix library, with the weights unpacked.
void quantized_product(const QuantizedView &w, const float *x, float *y, std::int64_t tokens);

// Rows begin to end of the matrix as numbers: [end - begin, in]. T is float or c10::BFloat16.
template <typename T>
void unpack_rows(const QuantizedView &w, T *out, std::int64_t begin, std::int64_t end);

}  // namespace moondream::ops
