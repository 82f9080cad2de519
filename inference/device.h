// Where a model runs and in what precision: settings in, LibTorch's terms out.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>

#include "quantization.h"
#include "types.h"

namespace moondream {

// "auto": the first CUDA device if there is one, else the CPU; "cpu"; "cuda"; "cuda:N".
// Throws Error: kSettings for another text, kNoDevice if the device is not here, naming it.
// Thread-safety: safe.
c10::Device select_device(const std::string &device);

// What is computed in. kAuto, kInt8 and kInt4: bfloat16 on CUDA, and on a CPU with instructions for
// it; else float32.
c10::ScalarType select_precision(Precision precision, c10::Device device);

// What the text model's weights become in that precision; empty: they keep their type.
std::optional<QuantizedFormat> weight_format(Precision precision);

// Sets LibTorch's number of threads for the calling thread, as products of `dtype` on the CPU want
// it, but `most` (>= 1) at most. It is each thread's own, and LibTorch begins with one in some
// builds, with all in others. Thread-safety: safe.
void use_cpu_threads(c10::ScalarType dtype, int most);

}  // namespace moondream
