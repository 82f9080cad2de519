// What many unit tests share: scratch folders and errors as values.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>

#include "types.h"

namespace moondream::test {

// A folder that goes with its contents at the end of the test.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "moondream-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir &) = delete;
  TempDir &operator=(const TempDir &) = delete;

  const std::filesystem::path &path() const { return path_; }
  std::filesystem::path operator/(const std::string &name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::filesystem::path write_file(const std::filesystem::path &path,
                                        const std::string &contents) {
  // ext4 flushes a file that is overwritten to disk at once: too slow for thousands of them.
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  std::ofstream(path, std::ios::binary) << contents;
  return path;
}

inline std::string file_contents(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The Error that `function` throws. Fails the test if it throws none, or anything else.
template <typename Function>
Error error_of(Function &&function) {
  try {
    function();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error &error) {
    return error;
  } catch (const std::exception &error) {
    ADD_FAILURE() << "not an Error: " << error.what();
  }
  return Error(ErrorKind::kFailed, "");
}

inline bool says(const Error &error, const std::string &part) {
  return std::string(error.what()).find(part) != std::string::npos;
}

}  // namespace moondream::test
