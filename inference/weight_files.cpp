#include "weight_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "files.h"
#include "json_text.h"
#include "types.h"

namespace moondream {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxIndex = 64'000'000;  // bytes
constexpr const char *kWeightsName = "model.safetensors";
constexpr const char *kTorchName = "model.pt";
constexpr const char *kIndexName = "model.safetensors.index.json";

// A shard lies beside its index: a name that leads elsewhere is an attack or a mistake.
bool is_plain_name(const std::string &name) {
  return !name.empty() && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(),
                      [](unsigned char c) { return c < 0x20 || c == '/' || c == '\\'; });
}

std::vector<TensorFile> open_index(const fs::path &path) {
  const auto fail = [&path](const std::string &what) {
    throw Error(ErrorKind::kRead, path.string() + ": " + what);
  };
  const nlohmann::json index = parse_json(read_file(path, kMaxIndex), path.string());
  if (!index.is_object() || !index.contains("weight_map")) fail("has no weight_map");
  const nlohmann::json &weight_map = index["weight_map"];
  if (!weight_map.is_object()) fail("has a weight_map that is not an object");
  if (weight_map.empty()) fail("has an empty weight_map");

  std::map<std::string, std::vector<std::string>> names_by_shard;
  for (const auto &[name, value] : weight_map.items()) {
    const auto *shard = value.get_ptr<const std::string *>();
    if (!shard) fail("tensor " + quote(name) + " is given no file name");
    if (!is_plain_name(*shard)) {
      fail("tensor " + quote(name) + " is given " + quote(*shard) +
           ", which is not the name of a file beside the index");
    }
    names_by_shard[*shard].push_back(name);
  }

  std::vector<TensorFile> files;
  std::map<std::string, std::size_t> file_of;
  for (const auto &[shard, names] : names_by_shard) {
    const TensorFile &file = files.emplace_back(open_tensor_file(path.parent_path() / shard));
    for (const std::string &name : names) {
      if (!file.tensors().contains(name)) {
        fail("tensor " + quote(name) + " is not in " + quote(shard) + " as it says");
      }
    }
    for (const auto &[name, entry] : file.tensors()) {
      const auto [other, is_new] = file_of.emplace(name, files.size() - 1);
      if (!is_new) {
        fail("tensor " + quote(name) + " is in two files, " +
             quote(files[other->second].path().filename().string()) + " and " + quote(shard));
      }
    }
  }
  return files;
}

std::vector<fs::path> files_of_type(const fs::path &directory, const char *extension) {
  std::vector<fs::path> files;
  try {
    for (const fs::directory_entry &entry : fs::directory_iterator(directory)) {
      if (entry.path().extension() == extension) files.push_back(entry.path());
    }
  } catch (const fs::filesystem_error &error) {
    throw Error(ErrorKind::kRead, directory.string() + ": " + error.code().message());
  }
  return files;
}

std::vector<TensorFile> open_directory(const fs::path &directory) {
  std::error_code ignored;
  const auto has = [&](const char *name) { return fs::exists(directory / name, ignored); };
  if (has(kWeightsName)) return {open_tensor_file(directory / kWeightsName)};
  if (has(kIndexName)) return open_index(directory / kIndexName);
  std::vector<fs::path> candidates = files_of_type(directory, ".safetensors");
  if (candidates.empty() && has(kTorchName)) return {open_tensor_file(directory / kTorchName)};
  if (candidates.empty()) candidates = files_of_type(directory, ".pt");
  if (candidates.empty()) {
    // These are refused with an explanation.
    for (const char *extension : {".mf", ".gz", ".gguf"}) {
      for (const fs::path &file : files_of_type(directory, extension)) {
        if (extension != std::string_view(".gz") || file.stem().extension() == ".mf") {
          return {open_tensor_file(file)};
        }
      }
    }
    throw Error(ErrorKind::kNotFound, directory.string() + ": holds no weights (" + kWeightsName +
                                          ", " + kIndexName +
                                          ", or one *.safetensors or *.pt file)");
  }
  if (candidates.size() > 1) {
    throw Error(ErrorKind::kRead,
                directory.string() + ": holds " + std::to_string(candidates.size()) + " *" +
                    candidates.front().extension().string() + " files and neither " + kWeightsName +
                    " nor " + kIndexName + ": name the one to load");
  }
  return {open_tensor_file(candidates.front())};
}

}  // namespace

std::vector<TensorFile> open_weights(const fs::path &path) {
  std::error_code ignored;  // opening says it better
  if (fs::is_directory(path, ignored)) return open_directory(path);
  if (path.string().ends_with(".index.json")) return open_index(path);
  return {open_tensor_file(path)};
}

}  // namespace moondream
