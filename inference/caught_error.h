// Makes a moondream::Error of whatever was thrown.
#pragma once

#include <string>

#include "types.h"

namespace moondream {

// To be called while an exception is handled. An Error stays itself, std::bad_alloc becomes
// kNoMemory as do LibTorch's complaints of memory, anything else kFailed. `doing` opens the text of
// what was no Error: "loading /m". Thread-safety: safe.
Error caught_error(const std::string &doing);

}  // namespace moondream
