// The element-wise parts of a transformer, on the CPU, in one pass over memory each: LibTorch's own
// for bfloat16 take longer than the matrix products between them.
// All compute in float32 and round once to the type of the output.
//
// T is float or c10::BFloat16; arrays are contiguous. They run on the calling thread's
// loop_threads(). Thread-safety: safe; only the output is written.
#pragma once

#include <cstdint>

namespace moondream::ops {

// out[i] = GELU(x[i]) in its tanh approximation; out may be x. NaN stays NaN.
template <typename T>
void gelu_tanh_kernel(const T *x, T *out, std::int64_t n);

// Each row minus its mean, over its standard deviation (eps 1e-5), times weight plus bias.
// x, out: [rows, n]; weight, bias: [n].
template <typename T>
void layer_norm_kernel(const T *x, const T *weight, const T *bias, T *out, std::int64_t rows,
                       std::int64_t n);

// Each row becomes softmax(scale * row), in place. x: [rows, n]; -infinity gets a share
// below 1e-37, and not every number of a row may be that. scale > 0.
template <typename T>
void softmax_kernel(T *x, std::int64_t rows, std::int64_t n, float scale);

}  // namespace moondream::ops
