// Reading files that are not trusted, with errors that say which file and why.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace moondream {

// A read-only view of a whole file. The bytes live as long as `bytes` or a copy of it.
struct MappedFile {
  std::shared_ptr<const std::byte> bytes;  // null if the file is empty
  std::size_t size = 0;
};

// Throws Error: kNotFound if `path` does not exist; kRead if it cannot be read or is not a regular
// file; kNoMemory if it does not fit the address space.
MappedFile map_file(const std::filesystem::path &path);

// The contents of a file of at most `max_bytes`. Throws as map_file() does, and kRead if the file
// is larger.
std::string read_file(const std::filesystem::path &path, std::size_t max_bytes);

// `name` in quotes, fit for one line of a message: control characters as '?', the rest of a very
// long name as "...".
std::string quote(std::string_view name);

}  // namespace moondream
