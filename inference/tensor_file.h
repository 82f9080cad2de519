// Named tensors in one memory-mapped file, whatever its format.
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
  // In elements, >= 0, one for each dimension; empty: the elements lie row by row without gaps.
  std::vector<std::int64_t> strides;
};

// Copies share the mapping, which is read-only and lives as long as any of them or of what
// keep_alive() returned. The file must not be shortened meanwhile (replacing it is harmless).
// The classes of the formats only say how it is made, so that one may be kept as a TensorFile.
// Thread-safety: const methods are safe.
class TensorFile {
 public:
  const std::filesystem::path &path() const { return path_; }

  // By name, as written in the file.
  const std::map<std::string, TensorEntry> &tensors() const { return tensors_; }

  // The bytes that the tensor's elements are in: little-endian, at any alignment. `entry` is one
  // of tensors(). Valid while the mapping lives.
  std::span<const std::byte> bytes(const TensorEntry &entry) const {
    return {data_ + entry.begin, entry.end - entry.begin};
  }

  // Holding this keeps the spans of bytes() valid.
  std::shared_ptr<const void> keep_alive() const { return mapping_; }

 protected:
  explicit TensorFile(const std::filesystem::path &path) : path_(path) {}

  std::filesystem::path path_;
  std::shared_ptr<const std::byte> mapping_;
  const std::byte *data_ = nullptr;  // the data section, inside mapping_
  std::map<std::string, TensorEntry> tensors_;
};

// Opens a file of any format that this library reads, told by its first bytes: a PyTorch file or
// else a safetensors one. Throws Error as their classes do, and kMismatch for files that hold a
// Moondream for other programs (".mf" archives, GGUF), saying what to take instead.
TensorFile open_tensor_file(const std::filesystem::path &path);

}  // namespace moondream
