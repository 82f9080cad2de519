// The models and pictures that the tests of the command use.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "run_command.h"

namespace moondream::test {

inline const std::string kGolden = MOONDREAM_TEST_DATA "/golden/";
inline const std::string kTiny = kGolden + "moondream2-tiny";
inline const std::string kDemo = MOONDREAM_TEST_DATA "/../../examples/demo-model";
inline const std::string kPicture = kGolden + "pictures/378x378-1.png";

// What the reference answers about that picture.
inline nlohmann::json expected_results() {
  const auto expected = nlohmann::json::parse(file_contents(kTiny + "/expected.json"));
  for (const auto &picture : expected["pictures"]) {
    if (picture["file"] == "378x378-1.png") return picture["results"];
  }
  throw std::runtime_error("no such picture");
}

// Fills `dir` with a model that differs from the one at `model` in its config.json, which `change`
// changes, and returns its path.
inline std::filesystem::path link_to_model(const std::filesystem::path &model, const TempDir &dir,
                                           const std::function<void(nlohmann::json &)> &change) {
  for (const char *name : {"model.safetensors", "tokenizer.json"}) {
    std::filesystem::create_symlink(std::filesystem::absolute(model / name), dir / name);
  }
  auto config = nlohmann::json::parse(file_contents(model / "config.json"));
  change(config);
  write_file(dir / "config.json", config.dump());
  return dir.path();
}

// A subcommand on the tiny model, as exact as it can be.
inline std::vector<std::string> on_tiny(const std::string &command,
                                        const std::vector<std::string> &rest) {
  std::vector<std::string> arguments = {command, "--model", kTiny, "--precision", "float32"};
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  return arguments;
}

}  // namespace moondream::test
