#include "model_path.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include "files.h"
#include "types.h"

namespace moondream {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxRef = 1000;  // bytes

// Directories name models better than the files in them do.
std::string own_name(const fs::path &path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  const std::string name = whole.filename().string();
  return name.empty() ? whole.parent_path().filename().string() : name;
}

// "ORG/NAME" of "models--ORG--NAME", or nothing.
std::string cached_name(const fs::path &repository) {
  constexpr std::string_view kPrefix = "models--", kSeparator = "--";
  std::string name = own_name(repository);
  if (!name.starts_with(kPrefix)) return {};
  name.erase(0, kPrefix.size());
  const std::size_t separator = name.find(kSeparator);
  if (separator != name.npos) name.replace(separator, kSeparator.size(), "/");
  return name;
}

bool is_folder(const fs::path &path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// The snapshot of refs/main, or an empty path.
fs::path main_snapshot(const fs::path &repository) {
  std::error_code ignored;
  const fs::path ref = repository / "refs" / "main";
  if (!fs::is_regular_file(ref, ignored)) return {};
  std::string hash = read_file(ref, kMaxRef);
  while (!hash.empty() && (hash.back() == '\n' || hash.back() == '\r')) hash.pop_back();
  const bool is_hash = !hash.empty() && hash.find_first_not_of("0123456789abcdef") == hash.npos;
  if (!is_hash) return {};
  const fs::path snapshot = repository / "snapshots" / hash;
  return is_folder(snapshot) ? snapshot : fs::path();
}

fs::path only_snapshot(const fs::path &repository) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(repository / "snapshots", error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_folder(entry->path())) names.push_back(entry->path().filename().string());
  }
  if (names.empty()) {
    throw Error(ErrorKind::kNotFound,
                repository.string() + ": is a cache directory without a snapshot");
  }
  if (names.size() == 1) return repository / "snapshots" / names.front();
  std::sort(names.begin(), names.end());
  std::string list;
  for (const std::string &name : names) list += (list.empty() ? "" : ", ") + name;
  throw Error(ErrorKind::kSettings,
              repository.string() +
                  ": has several snapshots, of which refs/main names none: name "
                  "one of them under snapshots/ (" +
                  list + ")");
}

}  // namespace

ModelPath find_model(const fs::path &path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  const fs::path directory = whole.filename().empty() ? whole.parent_path() : whole;
  if (is_folder(directory / "snapshots")) {
    fs::path snapshot = main_snapshot(directory);
    if (snapshot.empty()) snapshot = only_snapshot(directory);
    const std::string name = cached_name(directory);
    return {snapshot, name.empty() ? own_name(directory) : name};
  }
  // A snapshot, or a file in one.
  const fs::path snapshot = is_folder(directory) ? directory : directory.parent_path();
  if (snapshot.parent_path().filename() == "snapshots") {
    const std::string name = cached_name(snapshot.parent_path().parent_path());
    if (!name.empty()) return {path, name};
  }
  return {path, own_name(path)};
}

}  // namespace moondream
