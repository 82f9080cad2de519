#include "safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "files.h"
#include "safetensors_header.h"
#include "types.h"

namespace moondream {
namespace {

// A file is a header length (u64, little-endian), a JSON header and the data section.
constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxHeader = 100'000'000;  // as in the format's own library

// What a file that is no safetensors file begins with, and what it then probably is.
struct Lookalike {
  std::string_view start, what;
};
constexpr Lookalike kLookalikes[] = {
    {"version https://git-lfs",
     "it is a Git LFS pointer: fetch the real file with \"git lfs pull\""},
    {"PK\x03\x04", "it looks like a PyTorch file (.pt, .bin)"},
    {"\x80\x02", "it looks like a Python pickle"},
    {"GGUF", "it is a GGUF file"},
    {"MOON", "it is a .mf file"},
    {"<!DOCTYPE", "it is a web page"},
    {"<html", "it is a web page"},
};

// Bytes of a tensor of that shape, or nothing if its elements cannot be counted. Dimensions after
// a 0 count as well, since strides are products of them.
std::optional<std::size_t> byte_size(const TensorEntry &entry) {
  std::int64_t product = static_cast<std::int64_t>(dtype_size(entry.dtype));
  bool empty = false;
  for (const std::int64_t size : entry.shape) {
    empty = empty || size == 0;
    if (size != 0 && __builtin_mul_overflow(product, size, &product)) return std::nullopt;
  }
  return empty ? 0 : static_cast<std::size_t>(product);
}

// Throws unless the tensors lie in the data section without overlap, gap or rest, each with the
// bytes that its shape needs.
void check_layout(const std::filesystem::path &path,
                  const std::map<std::string, TensorEntry> &tensors, std::size_t data_size) {
  const auto fail = [&path](const std::string &name, const std::string &what) {
    throw Error(ErrorKind::kRead, path.string() + ": tensor " + quote(name) + " " + what);
  };
  const auto range = [](std::size_t begin, std::size_t end) {
    return "bytes " + std::to_string(begin) + " to " + std::to_string(end);
  };

  std::vector<const std::pair<const std::string, TensorEntry> *> in_order;
  in_order.reserve(tensors.size());
  for (const auto &named : tensors) {
    const auto &[name, entry] = named;
    if (entry.begin > entry.end) {
      fail(name, "has data_offsets out of order: " + range(entry.begin, entry.end));
    }
    if (entry.end > data_size) {
      fail(name, "needs " + range(entry.begin, entry.end) + " of the data, but the file has only " +
                     std::to_string(data_size) + ": it is truncated or its header is wrong");
    }
    const std::optional<std::size_t> needed = byte_size(entry);
    if (!needed) fail(name, "has a shape that is too large: " + shape_text(entry.shape));
    if (*needed != entry.end - entry.begin) {
      fail(name, "is " + shape_text(entry.shape) + " of " + dtype_name(entry.dtype) + ", " +
                     std::to_string(*needed) + " bytes, but has " +
                     std::to_string(entry.end - entry.begin) + " bytes of data");
    }
    in_order.push_back(&named);
  }

  std::sort(in_order.begin(), in_order.end(), [](const auto *a, const auto *b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::size_t end = 0;
  for (const auto *named : in_order) {
    const auto &[name, entry] = *named;
    if (entry.begin < end) fail(name, "overlaps the tensor before it");
    if (entry.begin > end) {
      fail(name, "comes after " + range(end, entry.begin) + ", which no tensor has");
    }
    end = entry.end;
  }
  if (end != data_size) {
    throw Error(ErrorKind::kRead, path.string() + ": " + std::to_string(data_size - end) +
                                      " bytes follow the last tensor");
  }
}

// Returns the header's bytes.
std::string_view header_text(const std::filesystem::path &path, const MappedFile &file) {
  const std::string_view text(reinterpret_cast<const char *>(file.bytes.get()), file.size);
  const auto fail = [&](const std::string &what) {
    std::string message = path.string() + ": is not a safetensors file: ";
    for (const auto &[start, guess] : kLookalikes) {
      if (text.starts_with(start)) throw Error(ErrorKind::kRead, message + std::string(guess));
    }
    throw Error(ErrorKind::kRead, message + what);
  };

  if (file.size < kLengthBytes) fail("it is only " + std::to_string(file.size) + " bytes long");
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), kLengthBytes);
  if (length > kMaxHeader) {
    fail("it claims a header of " + std::to_string(length) + " bytes, over the limit of " +
         std::to_string(kMaxHeader));
  }
  if (length > file.size - kLengthBytes) {
    fail("it claims a header of " + std::to_string(length) + " bytes, but has only " +
         std::to_string(file.size - kLengthBytes) + " after the first eight");
  }
  return text.substr(kLengthBytes, length);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path &path) : TensorFile(path) {
  const MappedFile file = map_file(path);
  const std::string_view header = header_text(path, file);
  tensors_ = parse_header(header, path_);
  const std::size_t data_begin = kLengthBytes + header.size();
  check_layout(path, tensors_, file.size - data_begin);
  mapping_ = file.bytes;
  data_ = mapping_.get() + data_begin;
}

}  // namespace moondream
