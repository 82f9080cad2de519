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

// Gives the calling thread `most` (>= 1) threads to compute with on the CPU; see products.h for
// what that does to the libraries. Throws Error{kFailed} if the system has no thread left.
// Thread-safety: safe.
void use_cpu_threads(int most);

}  // namespace moondream
