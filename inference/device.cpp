#include "device.h"

#include <ATen/Context.h>
#include <torch/cuda.h>

#include <algorithm>
#include <charconv>

#include "parallel.h"
#include "products.h"

namespace moondream {
namespace {

// Without such instructions a bfloat16 product is emulated, and slower than a float32 one.
bool cpu_multiplies_bfloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

}  // namespace

c10::Device select_device(const std::string &device) {
  const int count = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (device == "cpu" || (device == "auto" && count == 0)) return c10::Device(c10::kCPU);
  int index = 0;
  if (device.starts_with("cuda:")) {
    const char *begin = device.data() + 5, *end = device.data() + device.size();
    const auto [stop, error] = std::from_chars(begin, end, index);
    if (error != std::errc() || stop != end || index < 0) {
      throw Error(ErrorKind::kSettings, "device \"" + device + "\": the number is not one");
    }
  } else if (device != "cuda" && device != "auto") {
    throw Error(ErrorKind::kSettings,
                "unknown device \"" + device + "\": it must be auto, cpu, cuda or cuda:N");
  }
  if (index >= count) {
    throw Error(ErrorKind::kNoDevice, "device \"" + device + "\" is not here: LibTorch sees " +
                                          std::to_string(count) + " CUDA devices");
  }
  return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
}

c10::ScalarType select_precision(Precision precision, c10::Device device) {
  switch (precision) {
    case Precision::kFloat32:
      return c10::kFloat;
    case Precision::kBFloat16:
      return c10::kBFloat16;
    case Precision::kAuto:
    case Precision::kInt8:
    case Precision::kInt4:
      break;
  }
  return device.is_cuda() || cpu_multiplies_bfloat16() ? c10::kBFloat16 : c10::kFloat;
}

std::optional<QuantizedFormat> weight_format(Precision precision) {
  if (precision == Precision::kInt8) return QuantizedFormat::kInt8;
  if (precision == Precision::kInt4) return QuantizedFormat::kInt4;
  return std::nullopt;
}

void use_cpu_threads(int most) {
  ops::keep_prepared_products();
  ops::use_one_library_thread();
  set_loop_threads(most);
}

}  // namespace moondream
