#include "row_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernel_support.h"
#include "parallel.h"

namespace moondream::ops {
namespace {

// Numbers that one thread should have before another is worth waking.
constexpr std::int64_t kGrain = 32 * 1024;
// Numbers converted to float32 at a time: they stay in the first-level cache.
constexpr std::int64_t kBlock = 1024;

// e^x to 2 units in the last place, for x from -87 to 88; without branches or calls, so that it
// runs on whole vectors. Cody-Waite reduction, then the minimax polynomial of Cephes' expf.
inline float fast_exp(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer in the low bits
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const std::uint32_t power =
      (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound) + 127u) << 23;
  return p * std::bit_cast<float>(power);
}

// x sigmoid(2 u) is 0.5 x (1 + tanh(u)), without its cancellation for negative x.
inline float gelu_tanh_one(float x) {
  const float u = 0.797884561f * (x + 0.044715f * x * x * x);
  // Beyond these, e^x is 0 or infinite for all that is done with it here.
  const float y = std::max(-2.0f * u, -87.0f);
  return x / (1.0f + fast_exp(std::min(y, 88.0f)));
}

template <typename T>
inline __attribute__((always_inline)) void gelu_tanh_loop(const T *x, T *out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to(gelu_tanh_one(from(x[i])), out[i]);
}
MOONDREAM_CLONES void gelu_tanh_range(const float *x, float *out, std::int64_t n) {
  gelu_tanh_loop(x, out, n);
}
MOONDREAM_CLONES void gelu_tanh_range(const c10::BFloat16 *x, c10::BFloat16 *out, std::int64_t n) {
  gelu_tanh_loop(x, out, n);
}

// Sums of many floats in eight strands: a vector's worth of them, and more exact than one.
inline __attribute__((always_inline)) float sum_of(const float *x, std::int64_t n) {
  float strands[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int s = 0; s < 16; ++s) strands[s] += x[i + s];
  }
  float sum = 0;
  for (; i < n; ++i) sum += x[i];
  for (const float strand : strands) sum += strand;
  return sum;
}

template <typename T>
inline __attribute__((always_inline)) void layer_norm_row(const T *x, const T *weight,
                                                          const T *bias, T *out, std::int64_t n,
                                                          float *row, float *squares) {
  for (std::int64_t i = 0; i < n; ++i) row[i] = from(x[i]);
  const float mean = sum_of(row, n) / static_cast<float>(n);
  for (std::int64_t i = 0; i < n; ++i) {
    row[i] -= mean;
    squares[i] = row[i] * row[i];
  }
  const float variance = sum_of(squares, n) / static_cast<float>(n);
  const float scale = 1.0f / std::sqrt(variance + 1e-5f);
  for (std::int64_t i = 0; i < n; ++i) {
    to(row[i] * scale * from(weight[i]) + from(bias[i]), out[i]);
  }
}
MOONDREAM_CLONES void layer_norm_range(const float *x, const float *weight, const float *bias,
                                       float *out, std::int64_t n, float *row, float *squares) {
  layer_norm_row(x, weight, bias, out, n, row, squares);
}
MOONDREAM_CLONES void layer_norm_range(const c10::BFloat16 *x, const c10::BFloat16 *weight,
                                       const c10::BFloat16 *bias, c10::BFloat16 *out,
                                       std::int64_t n, float *row, float *squares) {
  layer_norm_row(x, weight, bias, out, n, row, squares);
}

template <typename T>
inline __attribute__((always_inline)) void softmax_row(T *x, std::int64_t n, float scale,
                                                       float *row) {
  float largest[16];
  std::fill_n(largest, 16, -std::numeric_limits<float>::infinity());
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int s = 0; s < 16; ++s) {
      const float value = from(x[i + s]);
      largest[s] = value > largest[s] ? value : largest[s];
    }
  }
  float most = largest[0];
  for (; i < n; ++i) most = std::max(most, from(x[i]));
  for (const float value : largest) most = std::max(most, value);
  // Nothing is above 0, and e^-87 is nothing beside e^0.
  for (i = 0; i < n; ++i) row[i] = fast_exp(std::max((from(x[i]) - most) * scale, -87.0f));
  const float share = 1.0f / sum_of(row, n);
  for (i = 0; i < n; ++i) to(row[i] * share, x[i]);
}
MOONDREAM_CLONES void softmax_range(float *x, std::int64_t n, float scale, float *row) {
  softmax_row(x, n, scale, row);
}
MOONDREAM_CLONES void softmax_range(c10::BFloat16 *x, std::int64_t n, float scale, float *row) {
  softmax_row(x, n, scale, row);
}

std::int64_t rows_of_a_thread(std::int64_t n) { return std::max<std::int64_t>(1, kGrain / n); }

}  // namespace

template <typename T>
void gelu_tanh_kernel(const T *x, T *out, std::int64_t n) {
  parallel_for(0, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += kBlock) {
      gelu_tanh_range(x + i, out + i, std::min(kBlock, end - i));
    }
  });
}

template <typename T>
void layer_norm_kernel(const T *x, const T *weight, const T *bias, T *out, std::int64_t rows,
                       std::int64_t n) {
  parallel_for(0, rows, rows_of_a_thread(n), [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(n), squares(n);
    for (std::int64_t r = begin; r < end; ++r) {
      layer_norm_range(x + r * n, weight, bias, out + r * n, n, row.data(), squares.data());
    }
  });
}

template <typename T>
void softmax_kernel(T *x, std::int64_t rows, std::int64_t n, float scale) {
  parallel_for(0, rows, rows_of_a_thread(n), [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(n);
    for (std::int64_t r = begin; r < end; ++r) softmax_range(x + r * n, n, scale, row.data());
  });
}

#define MOONDREAM_INSTANTIATE(T)                                                      \
  template void gelu_tanh_kernel(const T *, T *, std::int64_t);                       \
  template void layer_norm_kernel(const T *, const T *, const T *, T *, std::int64_t, \
                                  std::int64_t);                                      \
  template void softmax_kernel(T *, std::int64_t, std::int64_t, float);
MOONDREAM_INSTANTIATE(float)
MOONDREAM_INSTANTIATE(c10::BFloat16)

}  // namespace moondream::ops
