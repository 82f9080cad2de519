#include "mapped_tensor.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "types.h"

namespace moondream {
namespace {

at::ScalarType scalar_type(DType dtype, const std::string &name) {
  switch (dtype) {
    case DType::kF64:
      return at::kDouble;
    case DType::kF32:
      return at::kFloat;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kI64:
      return at::kLong;
    case DType::kI32:
      return at::kInt;
    case DType::kI16:
      return at::kShort;
    case DType::kI8:
      return at::kChar;
    case DType::kF8E4M3:
    case DType::kF8E5M2:
    case DType::kU8:
      return at::kByte;
    case DType::kBool:
      return at::kBool;
    case DType::kU64:
    case DType::kU32:
    case DType::kU16:
      break;
  }
  throw Error(ErrorKind::kMismatch,
              name + " is of type " + dtype_name(dtype) + ", expected a floating-point type");
}

}  // namespace

at::Tensor mapped_tensor(const TensorFile &file, const TensorEntry &entry,
                         const std::string &name) {
  const at::ScalarType type = scalar_type(entry.dtype, name);
  std::span<const std::byte> bytes = file.bytes(entry);
  std::shared_ptr<const void> keep_alive = file.keep_alive();
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % dtype_size(entry.dtype) != 0) {
    const auto aligned = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    bytes = *aligned;
    keep_alive = aligned;
  }
  // LibTorch has no read-only tensors.
  auto *data = const_cast<std::byte *>(bytes.data());
  const auto release = [keep_alive](void *) {};
  if (entry.strides.empty()) return at::from_blob(data, entry.shape, release, at::dtype(type));
  return at::from_blob(data, entry.shape, entry.strides, release, at::dtype(type)).contiguous();
}

}  // namespace moondream
