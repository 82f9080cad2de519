// A safetensors file: named tensors in one memory-mapped file.
//
// The file is not trusted: the whole header is checked before anything is taken from it, so an
// entry always describes bytes that are really there, once, and of the right number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moondream {

enum class DType {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
};

// The name that safetensors gives the type, such as "BF16".
const char *dtype_name(DType dtype);

// The type of that name, if there is one.
std::optional<DType> dtype_named(std::string_view name);

// Bytes per element.
std::size_t dtype_size(DType dtype);

// "[2048, 256]"; "[]" for a scalar.
std::string shape_text(std::span<const std::int64_t> shape);

struct TensorEntry {
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // empty: a scalar; a dimension may be 0
  std::size_t begin = 0, end = 0;   // bytes, from the start of the data section
};

// Copies share the mapping, which is read-only and lives as long as any of them or of what
// keep_alive() returned. The file must not be shortened meanwhile (replacing it is harmless).
// Thread-safety: const methods are safe.
class SafetensorsFile {
 public:
  // Throws Error: kNotFound if `path` does not exist; kRead, naming the file and the tensor, if it
  // cannot be read or is not a valid safetensors file.
  explicit SafetensorsFile(const std::filesystem::path &path);

  const std::filesystem::path &path() const { return path_; }

  // By name, as written in the file.
  const std::map<std::string, TensorEntry> &tensors() const { return tensors_; }

  // The tensor's elements: row-major, little-endian, at any alignment. `entry` is one of tensors().
  // Valid while the mapping lives.
  std::span<const std::byte> bytes(const TensorEntry &entry) const;

  // Holding this keeps the spans of bytes() valid.
  std::shared_ptr<const void> keep_alive() const { return mapping_; }

 private:
  std::filesystem::path path_;
  std::shared_ptr<const std::byte> mapping_;
  const std::byte *data_ = nullptr;  // the data section, inside mapping_
  std::map<std::string, TensorEntry> tensors_;
};

}  // namespace moondream
