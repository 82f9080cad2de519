// Products of matrices, on the CPU cut into parts for loop_threads() threads. Those of the
// libraries wait by spinning: OpenBLAS 0.3.29 takes five times as long with two callers on two
// cores, and OpenMP, which LibTorch and oneDNN use, is no better beside another busy process.
// Thread-safety: all are safe; arguments are only read.
#pragma once

#include <ATen/core/Tensor.h>

namespace moondream::ops {

// From here on the calling thread computes with LibTorch and oneDNN on one thread, the whole
// process with OpenBLAS: all that is cut is cut here.
void use_one_library_thread();

// x: [..., in], weight: [out, in], bias: [out] or undefined -> [..., out]. As at::linear.
at::Tensor linear_product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias);

// a: [N, R, K], b: [N, K, C] -> [N, R, C]. As at::bmm.
at::Tensor batched_product(const at::Tensor &a, const at::Tensor &b);

}  // namespace moondream::ops
