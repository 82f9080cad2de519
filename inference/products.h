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

// Lets oneDNN, which multiplies bfloat16, keep what it prepared for as long as the process lives,
// not only for the last 1,024 shapes. LibTorch keeps descriptions of products for each thread.
// Where one thread's came from another's, oneDNN 2.6 cannot prepare anew from it what it has
// dropped: it reads freed memory, fails for want of memory, crashes, or multiplies wrongly.
void keep_prepared_products();

// x: [..., in], weight: [out, in], bias: [out] or undefined -> [..., out]. As at::linear.
at::Tensor linear_product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias);

// a: [N, R, K], b: [N, K, C] -> [N, R, C]. As at::bmm.
at::Tensor batched_product(const at::Tensor &a, const at::Tensor &b);

}  // namespace moondream::ops
