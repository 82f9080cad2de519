// The JSON header of a safetensors file:
//   {"__metadata__": {string: string},
//    name: {"dtype": "BF16", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "safetensors.h"

namespace moondream {

// The entries as written, not yet compared with the data. Throws Error{kRead}, naming the file
// `path` and the tensor, if `text` is anything else than such a header. Works in constant stack
// space and in memory proportional to the entries.
std::map<std::string, TensorEntry> parse_header(std::string_view text,
                                                const std::filesystem::path &path);

}  // namespace moondream
