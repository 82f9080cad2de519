#include "products.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <vector>

#include "parallel.h"

// Known where the BLAS is OpenBLAS, or null.
extern "C" __attribute__((weak)) int openblas_get_num_threads();
extern "C" __attribute__((weak)) void openblas_set_num_threads(int);
// Known where oneDNN is a library of its own, or null.
extern "C" __attribute__((weak)) int dnnl_get_primitive_cache_capacity(int *);
extern "C" __attribute__((weak)) int dnnl_set_primitive_cache_capacity(int);

namespace moondream::ops {
namespace {

// Multiplications that one thread should have before another is worth waking: some microseconds.
constexpr std::int64_t kWorthAThread = 256 * 1024;
// Rows of a part from which on the BLAS is as fast for the part as for the whole.
constexpr std::int64_t kFewRows = 32;

bool is_cut(const at::Tensor &x, std::int64_t multiplications) {
  return x.device().is_cpu() && loop_threads() > 1 && multiplications >= 2 * kWorthAThread;
}

// Of things with `each` multiplications: how many a part should have at least.
std::int64_t grain(std::int64_t each) {
  return std::max<std::int64_t>(1, kWorthAThread / std::max<std::int64_t>(each, 1));
}

// What a thread computes a part with; each thread has its own.
struct OfAPart {
  OfAPart() { use_one_library_thread(); }
  const c10::InferenceMode mode;
};

}  // namespace

void keep_prepared_products() {
  constexpr int kAll = 1 << 20;  // one takes some ten kilobytes, and models have some thousands
  if (dnnl_get_primitive_cache_capacity == nullptr || dnnl_set_primitive_cache_capacity == nullptr)
    return;
  int kept = 0;
  if (dnnl_get_primitive_cache_capacity(&kept) == 0 && kept < kAll)
    dnnl_set_primitive_cache_capacity(kAll);
}

void use_one_library_thread() {
  // Setting it drops what oneDNN has prepared, even if it is the same.
  if (at::get_num_threads() != 1) at::set_num_threads(1);
  if (openblas_set_num_threads == nullptr || openblas_get_num_threads == nullptr) return;
  if (openblas_get_num_threads() != 1) openblas_set_num_threads(1);
}

at::Tensor linear_product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias) {
  const std::int64_t in = weight.size(1), outputs = weight.size(0);
  const std::int64_t rows = in == 0 ? 0 : x.numel() / in;
  if (!is_cut(x, rows * outputs * in)) return at::linear(x, weight, bias);

  const at::Tensor flat = x.reshape({rows, in}), columns = weight.t();
  at::Tensor out = at::empty({rows, outputs}, x.options());
  const auto part = [&](std::int64_t row, std::int64_t n_rows, std::int64_t column,
                        std::int64_t n_columns) {
    const OfAPart settings;
    at::Tensor to = out.narrow(0, row, n_rows).narrow(1, column, n_columns);
    const at::Tensor from = flat.narrow(0, row, n_rows);
    const at::Tensor by = columns.narrow(1, column, n_columns);
    if (bias.defined()) {
      at::addmm_out(to, bias.narrow(0, column, n_columns), from, by);
    } else {
      at::mm_out(to, from, by);
    }
  };
  if (rows >= kFewRows * loop_threads()) {
    parallel_for(0, rows, grain(outputs * in), [&](std::int64_t begin, std::int64_t end) {
      part(begin, end - begin, 0, outputs);
    });
  } else {
    parallel_for(0, outputs, grain(rows * in),
                 [&](std::int64_t begin, std::int64_t end) { part(0, rows, begin, end - begin); });
  }
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = outputs;
  return out.view(shape);
}

at::Tensor batched_product(const at::Tensor &a, const at::Tensor &b) {
  const std::int64_t each = a.size(1) * a.size(2) * b.size(2);
  if (!is_cut(a, a.size(0) * each)) return at::bmm(a, b);

  at::Tensor out = at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
  parallel_for(0, a.size(0), grain(each), [&](std::int64_t begin, std::int64_t end) {
    const OfAPart settings;
    at::Tensor to = out.narrow(0, begin, end - begin);
    at::bmm_out(to, a.narrow(0, begin, end - begin), b.narrow(0, begin, end - begin));
  });
  return out;
}

}  // namespace moondream::ops
