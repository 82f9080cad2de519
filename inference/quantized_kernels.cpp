#include "quantized_kernels.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernel_support.h"
#include "parallel.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#define MOONDREAM_HAS_X86_LOOPS
// GCC 12 warns of the registers that its own header leaves undefined on purpose (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#define MOONDREAM_INLINE inline __attribute__((always_inline))

namespace moondream::ops {
namespace {

// Bytes that one thread should have before another is worth waking.
constexpr std::int64_t kGrain = 64 * 1024;
// Bytes of a matrix that are used for all vectors before the next ones are read.
constexpr std::int64_t kStepBytes = 128 * 1024;
// The bias of a float's exponent less that of an e4m3 number: both have their fields in the same
// order, so that one is the other times this.
constexpr float kFp8Scale = 0x1p120f;

// One instruction set's functions.
struct Loops {
  // For rows of the bytes from begin to end.
  using Product = void (*)(const QuantizedView &w, const float *x, float *y, std::int64_t tokens,
                           std::int64_t begin, std::int64_t end);
  template <typename T>
  using Unpack = void (*)(const QuantizedView &w, T *out, std::int64_t row);
  Product int8, fp8, int4, int4_wide, int4_rounded;
  Unpack<float> to_float;
  Unpack<c10::BFloat16> to_bfloat16;
};

namespace plain {
#define MOONDREAM_LANES 4
#include "quantized_loops.inc"
#undef MOONDREAM_LANES
}  // namespace plain

#if defined(MOONDREAM_HAS_X86_LOOPS)
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
namespace avx2 {
#define MOONDREAM_LANES 8
#include "quantized_loops.inc"
#undef MOONDREAM_LANES
}  // namespace avx2
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
namespace avx512 {
#define MOONDREAM_LANES 16
#include "quantized_loops.inc"
#undef MOONDREAM_LANES
}  // namespace avx512
#pragma GCC pop_options
#endif

const Loops &select_loops() {
#if defined(MOONDREAM_HAS_X86_LOOPS)
  const auto all = [](auto... has) { return (has && ...); };
  const bool v3 = all(__builtin_cpu_supports("avx2"), __builtin_cpu_supports("fma"),
                      __builtin_cpu_supports("bmi"), __builtin_cpu_supports("bmi2"));
  if (v3 && all(__builtin_cpu_supports("avx512f"), __builtin_cpu_supports("avx512bw"),
                __builtin_cpu_supports("avx512cd"), __builtin_cpu_supports("avx512dq"),
                __builtin_cpu_supports("avx512vl"))) {
    return avx512::kLoops;
  }
  if (v3) return avx2::kLoops;
#endif
  return plain::kLoops;
}

const Loops &loops() {
  static const Loops &selected = select_loops();
  return selected;
}

}  // namespace

void quantized_product(const QuantizedView &w, const float *x, float *y, std::int64_t tokens) {
  const Loops &all = loops();
  const bool is_int4 = w.format != QuantizedFormat::kInt8 && w.format != QuantizedFormat::kFp8;
  const Loops::Product function = w.format == QuantizedFormat::kInt8       ? all.int8
                                  : w.format == QuantizedFormat::kFp8      ? all.fp8
                                  : w.format == QuantizedFormat::kInt4     ? all.int4
                                  : w.format == QuantizedFormat::kInt4Wide ? all.int4_wide
                                                                           : all.int4_rounded;
  const std::int64_t grain = std::max<std::int64_t>(8, kGrain / w.in);
  parallel_for(0, is_int4 ? w.out / 2 : w.out, grain, [&](std::int64_t begin, std::int64_t end) {
    function(w, x, y, tokens, begin, end);
  });
}

template <typename T>
void unpack_rows(const QuantizedView &w, T *out, std::int64_t begin, std::int64_t end) {
  Loops::Unpack<T> function;
  if constexpr (std::is_same_v<T, float>) {
    function = loops().to_float;
  } else {
    function = loops().to_bfloat16;
  }
  const std::int64_t grain = std::max<std::int64_t>(1, kGrain / w.in);
  parallel_for(begin, end, grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) function(w, out + (row - begin) * w.in, row);
  });
}

template void unpack_rows(const QuantizedView &, float *, std::int64_t, std::int64_t);
template void unpack_rows(const QuantizedView &, c10::BFloat16 *, std::int64_t, std::int64_t);

}  // namespace moondream::ops
