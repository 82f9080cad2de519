// Files with a JSON object on each line, as elements write them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace scenes {

// Throws std::runtime_error that names the file, and the line that is no JSON.
std::vector<nlohmann::json> read_json_lines(const std::string &file);

}  // namespace scenes
