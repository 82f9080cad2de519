#include "quantization.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "kernel_support.h"
#include "parallel.h"
#include "products.h"
#include "quantized_kernels.h"

namespace moondream {
namespace {

constexpr std::int64_t kGroup = 64;

// Where more vectors than this want a product, the weights are unpacked and multiplied by LibTorch:
// with AVX-512 both take equally long at about this many.
constexpr std::int64_t kMostTokens = 16;
// Bytes of unpacked weights at a time: fresh memory for all of them would take longer than both.
constexpr std::int64_t kUnpackedBytes = 2 << 20;

bool is_int4(QuantizedFormat format) {
  return format == QuantizedFormat::kInt4 || format == QuantizedFormat::kInt4Wide ||
         format == QuantizedFormat::kInt4Rounded;
}

// The largest of 64, 32 and 16 that divides the width, or else all of it.
std::int64_t group_of(std::int64_t in) {
  for (std::int64_t group = kGroup; group >= 16; group /= 2) {
    if (in % group == 0) return group;
  }
  return in;
}

ops::QuantizedView view_of(const QuantizedMatrix &matrix) {
  return {matrix.format,
          matrix.out,
          matrix.in,
          matrix.group,
          matrix.values.data_ptr<std::uint8_t>(),
          matrix.scales.data_ptr(),
          matrix.zeros.defined() ? matrix.zeros.data_ptr() : nullptr};
}

// The next bfloat16 that is not smaller: the largest weight of a group must not be cut off.
c10::BFloat16 rounded_up(float value) {
  c10::BFloat16 rounded;
  ops::to(value, rounded);
  if (ops::from(rounded) < value) ++rounded.x;
  return rounded;
}

// Each of these turns one group into bytes that are `q` of its weights, one byte for each.
void quantize_int8(const float *weights, std::int64_t n, std::int8_t *q, c10::BFloat16 &scale) {
  float largest = 0;
  for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(weights[i]));
  scale = rounded_up(largest / 127.0f);
  const float inverse = largest > 0 ? 1.0f / ops::from(scale) : 0.0f;
  for (std::int64_t i = 0; i < n; ++i) {
    q[i] = static_cast<std::int8_t>(std::lrintf(weights[i] * inverse));
  }
}

void quantize_int4(const float *weights, std::int64_t n, std::uint8_t *q, c10::BFloat16 &scale,
                   c10::BFloat16 &zero) {
  const auto [smallest, largest] = std::minmax_element(weights, weights + n);
  // With 0 among them, the zero is from 0 to 15, where bfloat16 is exact enough.
  const float low = std::min(0.0f, *smallest), high = std::max(0.0f, *largest);
  scale = rounded_up((high - low) / 15.0f);
  const float inverse = high > low ? 1.0f / ops::from(scale) : 0.0f;
  ops::to(-low * inverse, zero);
  const float offset = ops::from(zero);
  for (std::int64_t i = 0; i < n; ++i) {
    q[i] =
        static_cast<std::uint8_t>(std::clamp(std::lrintf(weights[i] * inverse + offset), 0L, 15L));
  }
}

}  // namespace

std::uint64_t QuantizedMatrix::bytes() const {
  return values.nbytes() + scales.nbytes() + (zeros.defined() ? zeros.nbytes() : 0);
}

QuantizedMatrix quantize(const at::Tensor &weight, QuantizedFormat format) {
  const std::int64_t out = weight.size(0), in = weight.size(1);
  if (out % 2 != 0 || in % 16 != 0) format = QuantizedFormat::kInt8;
  QuantizedMatrix matrix{.format = format, .out = out, .in = in, .group = group_of(in)};
  const std::int64_t parts = is_int4(format) ? 2 : 1, groups = in / matrix.group;
  const at::Tensor source = weight.cpu();
  matrix.values = at::empty({out / parts, in}, at::kByte);
  matrix.scales = at::empty({out, groups}, at::kBFloat16);
  if (is_int4(format)) matrix.zeros = at::empty({out, groups}, at::kBFloat16);
  auto *values = matrix.values.data_ptr<std::uint8_t>();
  auto *scales = matrix.scales.data_ptr<c10::BFloat16>();
  auto *zeros = is_int4(format) ? matrix.zeros.data_ptr<c10::BFloat16>() : nullptr;

  parallel_for(0, out / parts, 64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::uint8_t> q(parts * in);
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t part = 0; part < parts; ++part) {
        const std::int64_t whole_row = row + part * (out / parts);
        const at::Tensor numbers = source[whole_row].to(at::kFloat).contiguous();
        const auto *weights = numbers.data_ptr<float>();
        for (std::int64_t g = 0; g < groups; ++g) {
          const std::int64_t at = g * matrix.group, scale = whole_row * groups + g;
          std::uint8_t *into = q.data() + part * in + at;
          if (parts == 2) {
            quantize_int4(weights + at, matrix.group, into, scales[scale], zeros[scale]);
          } else {
            quantize_int8(weights + at, matrix.group, reinterpret_cast<std::int8_t *>(into),
                          scales[scale]);
          }
        }
      }
      for (std::int64_t i = 0; i < in; ++i) {
        values[row * in + i] = parts == 2 ? static_cast<std::uint8_t>(q[i] << 4 | q[in + i]) : q[i];
      }
    }
  });
  if (!weight.device().is_cpu()) {
    matrix.values = matrix.values.to(weight.device());
    matrix.scales = matrix.scales.to(weight.device());
    if (matrix.zeros.defined()) matrix.zeros = matrix.zeros.to(weight.device());
  }
  return matrix;
}

namespace {

// By LibTorch's own operations, for devices without kernels of ours.
at::Tensor dequantize_by_operations(const QuantizedMatrix &matrix, c10::ScalarType dtype) {
  const auto grouped = [&](const at::Tensor &t) {
    return t.view({matrix.out, matrix.in / matrix.group, matrix.group});
  };
  const at::Tensor scales = matrix.scales.to(at::kFloat).unsqueeze(-1);
  at::Tensor q;
  switch (matrix.format) {
    case QuantizedFormat::kInt8:
      q = matrix.values.view(at::kChar).to(at::kFloat);
      break;
    case QuantizedFormat::kFp8: {
      const at::Tensor bits = matrix.values.to(at::kInt);
      const at::Tensor sign = at::where(bits >= 128, -1.0f, 1.0f);
      const at::Tensor exponent = at::bitwise_and(bits, 0x78).div(8, "floor").to(at::kFloat);
      const at::Tensor mantissa = at::bitwise_and(bits, 7).to(at::kFloat) / 8;
      // Exponent 0 has no implicit one.
      q = sign *
          at::where(exponent > 0, at::exp2(exponent - 7) * (1 + mantissa), mantissa * 0x1p-6);
      break;
    }
    case QuantizedFormat::kInt4:
    case QuantizedFormat::kInt4Wide:
    case QuantizedFormat::kInt4Rounded:
      q = at::cat({at::bitwise_and(matrix.values, 0xF0).div(16, "floor"),
                   at::bitwise_and(matrix.values, 0x0F)})
              .to(at::kFloat);
      break;
  }
  at::Tensor weights = grouped(q);
  if (is_int4(matrix.format)) weights = weights - matrix.zeros.to(at::kFloat).unsqueeze(-1);
  const bool rounds = matrix.format == QuantizedFormat::kInt4Rounded;
  if (rounds) weights = weights.to(at::kBFloat16).to(at::kFloat);
  weights = weights * scales;
  if (rounds) weights = weights.to(at::kBFloat16);
  return weights.view({matrix.out, matrix.in}).to(dtype);
}

}  // namespace

at::Tensor dequantize(const QuantizedMatrix &matrix, c10::ScalarType dtype) {
  if (!matrix.values.device().is_cpu() || (dtype != at::kFloat && dtype != at::kBFloat16)) {
    return dequantize_by_operations(matrix, dtype);
  }
  at::Tensor weights = at::empty({matrix.out, matrix.in}, at::dtype(dtype));
  const ops::QuantizedView view = view_of(matrix);
  if (dtype == at::kFloat) {
    ops::unpack_rows(view, weights.data_ptr<float>(), 0, matrix.out);
  } else {
    ops::unpack_rows(view, weights.data_ptr<c10::BFloat16>(), 0, matrix.out);
  }
  return weights;
}

Matrix packed_matrix(const at::Tensor &packed, const at::Tensor &scale,
                     const at::Tensor &zero_point, std::int64_t out, c10::ScalarType dtype) {
  const std::int64_t group = packed.size(1), groups = 2 * packed.size(0);
  const std::int64_t in = groups * group / out;
  QuantizedMatrix matrix{.format = QuantizedFormat::kInt4Rounded,
                         .out = groups,
                         .in = group,
                         .group = group,
                         .values = packed,
                         .scales = scale.to(at::kFloat).contiguous(),
                         .zeros = zero_point.to(at::kFloat).contiguous()};
  // As a matrix of groups, which every packing is.
  if (in % group != 0 || out % 2 != 0) return dequantize(matrix, dtype).view({out, in});
  matrix.out = out;
  matrix.in = in;
  matrix.values = matrix.values.view({out / 2, in});
  matrix.scales = matrix.scales.view({out, in / group});
  matrix.zeros = matrix.zeros.view({out, in / group});
  return matrix;
}

Matrix affine_matrix(const at::Tensor &packed, const at::Tensor &scales, const at::Tensor &biases,
                     c10::ScalarType dtype) {
  const std::int64_t out = packed.size(0), in = 2 * packed.size(1), groups = scales.size(1);
  const at::Tensor low = at::bitwise_and(packed, 0x0F), high = packed.div(16, "floor");
  at::Tensor q = at::stack({low, high}, -1).view({out, in});
  at::Tensor scale = scales.to(at::kFloat), bias = biases.to(at::kFloat);
  if (out % 2 != 0) {
    const at::Tensor grouped = q.view({out, groups, in / groups}).to(at::kFloat);
    return (grouped * scale.unsqueeze(-1) + bias.unsqueeze(-1)).view({out, in}).to(dtype);
  }
  // Where the scale is 0, all weights are the bias: 0 - -bias.
  const at::Tensor flat = scale == 0;
  q = at::where(flat.repeat_interleave(in / groups, 1), at::zeros_like(q), q);
  scale = at::where(flat, at::ones_like(scale), scale);
  return QuantizedMatrix{.format = QuantizedFormat::kInt4Wide,
                         .out = out,
                         .in = in,
                         .group = in / groups,
                         .values = q.narrow(0, 0, out / 2) * 16 + q.narrow(0, out / 2, out / 2),
                         .scales = scale.contiguous(),
                         .zeros = (-bias / scale).contiguous()};
}

namespace {

// x: [tokens, in] of float32 or bfloat16 on the CPU.
at::Tensor unpacked_linear(const at::Tensor &x, const QuantizedMatrix &matrix,
                           const at::Tensor &bias) {
  const ops::QuantizedView view = view_of(matrix);
  const auto element = static_cast<std::int64_t>(x.element_size());
  const std::int64_t step =
      std::clamp<std::int64_t>(kUnpackedBytes / (matrix.in * element), 1, matrix.out);
  const at::Tensor weights = at::empty({step, matrix.in}, x.options());
  at::Tensor out = at::empty({x.size(0), matrix.out}, x.options());
  for (std::int64_t row = 0; row < matrix.out; row += step) {
    const std::int64_t rows = std::min(step, matrix.out - row);
    if (x.scalar_type() == at::kFloat) {
      ops::unpack_rows(view, weights.data_ptr<float>(), row, row + rows);
    } else {
      ops::unpack_rows(view, weights.data_ptr<c10::BFloat16>(), row, row + rows);
    }
    const at::Tensor more = bias.defined() ? bias.narrow(0, row, rows) : bias;
    out.narrow(1, row, rows).copy_(ops::linear_product(x, weights.narrow(0, 0, rows), more));
  }
  return out;
}

}  // namespace

at::Tensor quantized_linear(const at::Tensor &x, const QuantizedMatrix &matrix,
                            const at::Tensor &bias) {
  if (!x.device().is_cpu()) return at::linear(x, dequantize(matrix, x.scalar_type()), bias);
  const std::int64_t tokens = x.numel() / matrix.in;
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = matrix.out;
  if (tokens > kMostTokens) {
    return unpacked_linear(x.reshape({tokens, matrix.in}), matrix, bias).view(shape);
  }
  const at::Tensor in = x.to(at::kFloat).contiguous();
  at::Tensor out = at::empty(shape, at::dtype(at::kFloat));
  ops::quantized_product(view_of(matrix), in.data_ptr<float>(), out.data_ptr<float>(), tokens);
  if (bias.defined()) out += bias;
  return out.to(x.scalar_type());
}

}  // namespace moondream
