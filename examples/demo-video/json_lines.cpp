#include "json_lines.h"

#include <fstream>
#include <stdexcept>

namespace scenes {

std::vector<nlohmann::json> read_json_lines(const std::string &file) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error("cannot read " + file);
  std::vector<nlohmann::json> objects;
  for (std::string line; std::getline(stream, line);) {
    try {
      objects.push_back(nlohmann::json::parse(line));
    } catch (const nlohmann::json::exception &error) {
      throw std::runtime_error(file + ", line " + std::to_string(objects.size() + 1) + ": " +
                               error.what());
    }
  }
  return objects;
}

}  // namespace scenes
