#include "pickle_globals.h"

#include <algorithm>
#include <iterator>

namespace moondream {
namespace {

constexpr KnownGlobal kGlobals[] = {
    {"collections", "OrderedDict", Global::kOrderedDict},
    {"torch._utils", "_rebuild_tensor_v2", Global::kRebuildTensor},
    {"torch._utils", "_rebuild_tensor_v3", Global::kRebuildTensorV3},
    {"torch._utils", "_rebuild_parameter", Global::kRebuildParameter},
    {"torch", "Size", Global::kSize},
    {"torch", "DoubleStorage", Global::kTypedStorage, DType::kF64},
    {"torch", "FloatStorage", Global::kTypedStorage, DType::kF32},
    {"torch", "HalfStorage", Global::kTypedStorage, DType::kF16},
    {"torch", "BFloat16Storage", Global::kTypedStorage, DType::kBF16},
    {"torch", "LongStorage", Global::kTypedStorage, DType::kI64},
    {"torch", "IntStorage", Global::kTypedStorage, DType::kI32},
    {"torch", "ShortStorage", Global::kTypedStorage, DType::kI16},
    {"torch", "CharStorage", Global::kTypedStorage, DType::kI8},
    {"torch", "ByteStorage", Global::kTypedStorage, DType::kU8},
    {"torch", "BoolStorage", Global::kTypedStorage, DType::kBool},
    {"torch.storage", "UntypedStorage", Global::kUntypedStorage},
    {"torch", "UntypedStorage", Global::kUntypedStorage},
    {"torch", "float64", Global::kDType, DType::kF64},
    {"torch", "float32", Global::kDType, DType::kF32},
    {"torch", "float16", Global::kDType, DType::kF16},
    {"torch", "bfloat16", Global::kDType, DType::kBF16},
    {"torch", "float8_e4m3fn", Global::kDType, DType::kF8E4M3},
    {"torch", "float8_e5m2", Global::kDType, DType::kF8E5M2},
    {"torch", "int64", Global::kDType, DType::kI64},
    {"torch", "int32", Global::kDType, DType::kI32},
    {"torch", "int16", Global::kDType, DType::kI16},
    {"torch", "int8", Global::kDType, DType::kI8},
    {"torch", "uint64", Global::kDType, DType::kU64},
    {"torch", "uint32", Global::kDType, DType::kU32},
    {"torch", "uint16", Global::kDType, DType::kU16},
    {"torch", "uint8", Global::kDType, DType::kU8},
    {"torch", "bool", Global::kDType, DType::kBool},
};

}  // namespace

const KnownGlobal *find_global(std::string_view module, std::string_view name) {
  const auto found = std::find_if(
      std::begin(kGlobals), std::end(kGlobals),
      [&](const KnownGlobal &known) { return known.module == module && known.name == name; });
  return found == std::end(kGlobals) ? nullptr : found;
}

}  // namespace moondream
