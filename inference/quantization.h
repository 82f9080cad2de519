// Matrices of 8 or 4 bits a weight, as the text model's linear layers have them. Weights are read
// from memory once for every token, which bounds generating: these are about half and a quarter of
// bfloat16's bytes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <variant>
#include <vector>

namespace moondream {

enum class QuantizedFormat {
  kInt8,  // weight [r, i] = q * scale, q a signed byte
  kFp8,   // as kInt8, q an 8-bit floating-point number (e4m3fn)
  // weight [r, i] = (q - zero) * scale, q from 0 to 15. One byte holds two rows: byte [r, i] has
  // weight [r, i] in its high nibble and [r + out / 2, i] in its low one.
  kInt4,
  kInt4Wide,  // as kInt4, with scales and zeros in float32
  // As kInt4Wide, with each of the two steps rounded to bfloat16: the published 4-bit checkpoints.
  kInt4Rounded,
};

// Scales and zeros are of `group` neighbouring weights of a row each.
// Thread-safety: const after making; safe.
struct QuantizedMatrix {
  QuantizedFormat format = QuantizedFormat::kInt8;
  std::int64_t out = 0, in = 0;
  std::int64_t group = 0;  // divides `in`, a multiple of 16 unless it is all of it
  at::Tensor values;       // bytes [out, in]; int4: [out / 2, in]
  at::Tensor scales;       // [out, in / group], bfloat16 of kInt8 and kInt4, float32 of the others
  at::Tensor zeros;        // as the scales; undefined for formats without them

  std::uint64_t bytes() const;
};

// A weight [out, in], as it is or quantized.
using Matrix = std::variant<at::Tensor, QuantizedMatrix>;

// The closest matrix of that format, kInt8 or kInt4, in groups of 64, or 32 or 16 where 64 does not
// divide the width. A matrix that int4 cannot hold, of an odd height or with a width that is no
// multiple of 16, becomes int8. weight: [out, in], of a floating-point type.
QuantizedMatrix quantize(const at::Tensor &weight, QuantizedFormat format);

// A matrix of the published 4-bit checkpoints. Groups of 128 neighbours lie along the rows, one
// group after the other, across the ends of narrow rows: those become a tensor of `dtype`, all
// others stay as they are. packed: bytes [groups / 2, 128], the first half of the groups in the
// high nibbles; scale, zero_point: [groups, 1].
Matrix packed_matrix(const at::Tensor &packed, const at::Tensor &scale,
                     const at::Tensor &zero_point, std::int64_t out, c10::ScalarType dtype);

// A matrix of MLX's 4-bit format: weight [r, i] = scale * q + bias, for each 64 neighbours of a
// row. packed: bytes [out, in / 2], the first of two neighbours in the low nibble; scales, biases:
// [out, in / 64]. A matrix of an odd height becomes a tensor of `dtype`.
Matrix affine_matrix(const at::Tensor &packed, const at::Tensor &scales, const at::Tensor &biases,
                     c10::ScalarType dtype);

// -> [out, in], on the device of `matrix`.
at::Tensor dequantize(const QuantizedMatrix &matrix, c10::ScalarType dtype);

// x: [..., in] of float32 or bfloat16, bias: [out] (may be undefined) -> [..., out] as x.
at::Tensor quantized_linear(const at::Tensor &x, const QuantizedMatrix &matrix,
                            const at::Tensor &bias);

}  // namespace moondream
