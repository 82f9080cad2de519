// The Python types and functions that torch.save refers to by name, and what they are for.
#pragma once

#include <cstdint>
#include <string_view>

#include "tensor_file.h"

namespace moondream {

// A Python object that a pickle may name.
enum class Global {
  kOrderedDict,
  kRebuildTensor,     // of a typed storage
  kRebuildTensorV3,   // of an untyped one, with a dtype beside it
  kRebuildParameter,  // a tensor with what training needs of it
  kSize,
  kTypedStorage,
  kUntypedStorage,
  kDType,
};

struct KnownGlobal {
  std::string_view module, name;
  Global global;
  DType dtype = DType::kU8;  // of a typed storage and a dtype
};

// Null if weights do not need it. What is returned lives for ever.
const KnownGlobal *find_global(std::string_view module, std::string_view name);

}  // namespace moondream
