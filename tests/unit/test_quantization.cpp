// Quantized matrices against what their bytes mean, spelled out in double.
#include "quantization.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <ostream>

#include "layers.h"
#include "quantized_kernels.h"

namespace moondream {
namespace {

double as_bfloat16(double value) {
  return at::scalar_tensor(value, at::kFloat).to(at::kBFloat16).item<float>();
}

// An e4m3fn number as its definition says.
double fp8(int byte) {
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  const double size =
      exponent > 0 ? std::ldexp(1 + mantissa / 8.0, exponent - 7) : std::ldexp(mantissa / 8.0, -6);
  return byte & 0x80 ? -size : size;
}

// Weight [r, i], by the definition in the header.
double weight_at(const QuantizedMatrix &matrix, std::int64_t r, std::int64_t i) {
  const double scale = matrix.scales[r][i / matrix.group].item<float>();
  const bool is_int4 = matrix.zeros.defined();
  const std::int64_t half = matrix.out / 2;
  const int byte = matrix.values[is_int4 && r >= half ? r - half : r][i].item<std::uint8_t>();
  if (matrix.format == QuantizedFormat::kFp8) return fp8(byte) * scale;
  if (!is_int4) return static_cast<std::int8_t>(byte) * scale;
  const double zero = matrix.zeros[r][i / matrix.group].item<float>();
  const int q = r < half ? byte >> 4 : byte & 15;
  if (matrix.format != QuantizedFormat::kInt4Rounded) return (q - zero) * scale;
  return as_bfloat16(as_bfloat16(q - zero) * scale);
}

at::Tensor all_weights(const QuantizedMatrix &matrix) {
  at::Tensor weights = at::empty({matrix.out, matrix.in}, at::kDouble);
  for (std::int64_t r = 0; r < matrix.out; ++r) {
    for (std::int64_t i = 0; i < matrix.in; ++i) weights[r][i] = weight_at(matrix, r, i);
  }
  return weights;
}

// Any bytes, which the format allows.
QuantizedMatrix random_matrix(QuantizedFormat format, std::int64_t out, std::int64_t in,
                              std::int64_t group) {
  const bool is_int4 = format != QuantizedFormat::kInt8 && format != QuantizedFormat::kFp8;
  const auto dtype = format == QuantizedFormat::kInt8 || format == QuantizedFormat::kInt4
                         ? at::kBFloat16
                         : at::kFloat;
  QuantizedMatrix matrix{.format = format, .out = out, .in = in, .group = group};
  matrix.values = at::randint(0, 256, {is_int4 ? out / 2 : out, in}, at::kByte);
  // 0x7F and 0xFF are no numbers.
  if (format == QuantizedFormat::kFp8) matrix.values.bitwise_and_(0xF7);
  matrix.scales = (at::rand({out, in / group}) * 0.01 + 0.001).to(dtype);
  if (is_int4) matrix.zeros = (at::rand({out, in / group}) * 15).to(dtype);
  return matrix;
}

struct Shape {
  QuantizedFormat format;
  std::int64_t out, in, group;
};
void PrintTo(const Shape &shape, std::ostream *out) {
  *out << static_cast<int>(shape.format) << ": " << shape.out << "x" << shape.in << "/"
       << shape.group;
}
// Heights and widths that are multiples of nothing, where the format allows.
constexpr Shape kShapes[] = {{QuantizedFormat::kInt8, 6, 64, 64},
                             {QuantizedFormat::kInt8, 7, 48, 16},
                             {QuantizedFormat::kInt8, 5, 37, 37},
                             {QuantizedFormat::kFp8, 9, 100, 100},
                             {QuantizedFormat::kFp8, 4, 7, 7},
                             {QuantizedFormat::kInt4, 10, 64, 32},
                             {QuantizedFormat::kInt4, 2, 16, 16},
                             {QuantizedFormat::kInt4, 1026, 192, 64},
                             {QuantizedFormat::kInt4Wide, 6, 128, 64},
                             {QuantizedFormat::kInt4Wide, 18, 48, 16},
                             {QuantizedFormat::kInt4Rounded, 6, 256, 128},
                             {QuantizedFormat::kInt4Rounded, 14, 48, 16}};

class Quantized : public testing::TestWithParam<Shape> {
 protected:
  static QuantizedMatrix matrix() {
    const auto [format, out, in, group] = GetParam();
    at::manual_seed(1);
    return random_matrix(format, out, in, group);
  }
};

TEST_P(Quantized, WeightsAreWhatTheBytesMean) {
  const QuantizedMatrix m = matrix();
  const at::Tensor expected = all_weights(m);
  const double largest = expected.abs().max().item<double>();
  // One rounding of float32 for each of two operations.
  EXPECT_LE((dequantize(m, at::kFloat) - expected).abs().max().item<double>(), 2e-7 * largest);
  // Half a unit in the last of bfloat16's 8 bits.
  EXPECT_LE((dequantize(m, at::kBFloat16) - expected).abs().max().item<double>(), largest / 256);
}

TEST_P(Quantized, ProductIsThatOfTheWeights) {
  const QuantizedMatrix m = matrix();
  const at::Tensor weights = all_weights(m), bias = at::randn({m.out});
  // Every size of pass, several passes, and more vectors than go through the kernels.
  for (const std::int64_t tokens : {1, 2, 3, 4, 7, 8, 13, 40}) {
    const at::Tensor x = at::randn({tokens, m.in});
    const at::Tensor expected = at::matmul(x.to(at::kDouble), weights.t()) + bias;
    const at::Tensor found = quantized_linear(x, m, bias);
    ASSERT_EQ(found.sizes(), expected.sizes());
    // Sums of some hundred float32 products.
    const double scale = expected.abs().max().item<double>();
    EXPECT_LE((found - expected).abs().max().item<double>(), 2e-6 * scale) << tokens;
    const at::Tensor rounded = quantized_linear(x.to(at::kBFloat16), m, bias.to(at::kBFloat16));
    EXPECT_EQ(rounded.scalar_type(), at::kBFloat16);
    // Inputs and outputs have 8 bits.
    EXPECT_LE((rounded - expected).abs().max().item<double>(), 0.02 * scale) << tokens;
  }
  EXPECT_EQ(quantized_linear(at::randn({1, 2, 1, m.in}), m, {}).sizes(),
            (at::IntArrayRef{1, 2, 1, m.out}));
}

INSTANTIATE_TEST_SUITE_P(Formats, Quantized, testing::ValuesIn(kShapes));

// No weight moves further than half a step, and the step is as small as its group allows.
TEST(Quantize, WeightsMoveByHalfAStepAtMost) {
  at::manual_seed(1);
  at::Tensor weight = at::randn({32, 192}) * 0.02;
  weight[3][5] = 4;  // an outlier disturbs its group alone
  const at::Tensor groups = weight.view({32, 3, 64});
  const auto error_of = [&](const QuantizedMatrix &matrix) {
    return (dequantize(matrix, at::kFloat) - weight).abs().view({32, 3, 64}).amax(-1);
  };
  const QuantizedMatrix int8 = quantize(weight, QuantizedFormat::kInt8);
  ASSERT_EQ(int8.group, 64);
  const at::Tensor step8 = groups.abs().amax(-1) / 127;
  // The step is rounded up to bfloat16's 8 bits.
  EXPECT_TRUE((error_of(int8) <= step8 * (0.5 * (1 + 1.0 / 128))).all().item<bool>());

  const QuantizedMatrix int4 = quantize(weight, QuantizedFormat::kInt4);
  ASSERT_EQ(int4.group, 64);
  const at::Tensor step4 = (groups.amax(-1) - groups.amin(-1)) / 15;
  // So is the zero, which is below 16: 1/32 of a step more.
  EXPECT_TRUE((error_of(int4) <= step4 * (0.54 * (1 + 1.0 / 128))).all().item<bool>());
  EXPECT_LT(int4.bytes(), 32 * 192 * 5 / 8u);
}

TEST(Quantize, ZerosAndEqualWeightsStayWhatTheyAre) {
  for (const auto format : {QuantizedFormat::kInt8, QuantizedFormat::kInt4}) {
    for (const float value : {0.0f, 0.75f, -0.75f}) {
      const at::Tensor weight = at::full({2, 64}, value);
      // The scale has 8 bits.
      EXPECT_TRUE(at::allclose(dequantize(quantize(weight, format), at::kFloat), weight, 1.0 / 128))
          << value;
    }
  }
}

// MLX's own words: scale * q + bias, eight numbers in 32 bits from the lowest ones on.
TEST(Quantize, AffineMatricesAreScaleTimesNumberPlusBias) {
  at::manual_seed(2);
  for (const std::int64_t out : {4, 3}) {
    constexpr std::int64_t kIn = 128;
    const at::Tensor packed = at::randint(0, 256, {out, kIn / 2}, at::kByte);
    at::Tensor scales = (at::randn({out, kIn / 64}) * 0.1).to(at::kBFloat16);
    scales[1][1] = 0;
    const at::Tensor biases = at::randn({out, kIn / 64}).to(at::kBFloat16);
    const Matrix made = affine_matrix(packed, scales, biases, at::kFloat);
    const auto *quantized = std::get_if<QuantizedMatrix>(&made);
    EXPECT_EQ(quantized != nullptr, out % 2 == 0);
    const at::Tensor found =
        quantized ? dequantize(*quantized, at::kFloat) : std::get<at::Tensor>(made);
    const auto *words = reinterpret_cast<const std::uint32_t *>(packed.data_ptr());
    for (std::int64_t r = 0; r < out; ++r) {
      for (std::int64_t i = 0; i < kIn; ++i) {
        const std::uint32_t q = words[(r * kIn + i) / 8] >> (4 * (i % 8)) & 15;
        const double expected = static_cast<double>(scales[r][i / 64].item<float>()) * q +
                                static_cast<double>(biases[r][i / 64].item<float>());
        // Of numbers around 1, with one rounding of float32 for each of three operations.
        EXPECT_NEAR(found[r][i].item<float>(), expected, 1e-6) << r << "," << i;
      }
    }
  }
}

TEST(Quantize, WhatInt4CannotHoldHasEightBits) {
  for (const auto &[out, in] : {std::pair{3, 64}, {4, 24}}) {
    const at::Tensor weight = at::randn({out, in});
    const QuantizedMatrix matrix = quantize(weight, QuantizedFormat::kInt4);
    EXPECT_EQ(matrix.format, QuantizedFormat::kInt8);
    EXPECT_TRUE(at::allclose(dequantize(matrix, at::kFloat), weight, 0, 0.05));
  }
}

}  // namespace
}  // namespace moondream
