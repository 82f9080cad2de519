// JSON from files that are not trusted.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace moondream {

// Parses one JSON document. Throws Error{kRead}, naming `origin`, if it is not valid, has a key
// twice in one object or nests deeper than 32 levels.
nlohmann::json parse_json(std::string_view text, const std::string &origin);

}  // namespace moondream
