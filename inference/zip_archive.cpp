#include "zip_archive.h"

#include <cstdint>
#include <cstring>
#include <string_view>

#include "types.h"

namespace moondream {
namespace {

// Signatures and fixed sizes of the format's structures (APPNOTE 4.3).
constexpr std::uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr std::size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56;
constexpr std::size_t kLocatorSize = 20, kMaxComment = 65535;
constexpr std::uint16_t kEncrypted = 1, kExtra64 = 1;
constexpr std::uint32_t kIn64 = 0xFFFFFFFF;  // the real value is in the 64-bit extra field

// Little-endian numbers at offsets that are checked.
class Reader {
 public:
  Reader(const MappedFile &file, const std::string &origin)
      : bytes_(file.bytes.get(), file.size), origin_(origin) {}

  [[noreturn]] void fail(const std::string &what) const {
    throw Error(ErrorKind::kRead, origin_ + ": is not a valid zip archive: " + what);
  }

  std::size_t size() const { return bytes_.size(); }

  std::span<const std::byte> range(std::uint64_t offset, std::uint64_t length,
                                   const char *what) const {
    if (offset > bytes_.size() || length > bytes_.size() - offset) {
      fail(std::string(what) + " is outside of the file: it is truncated or damaged");
    }
    return bytes_.subspan(offset, length);
  }

  template <typename T>
  T number(std::uint64_t offset, const char *what) const {
    T value;
    std::memcpy(&value, range(offset, sizeof value, what).data(), sizeof value);
    return value;
  }

  std::string_view text(std::uint64_t offset, std::size_t length, const char *what) const {
    const auto bytes = range(offset, length, what);
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
  }

 private:
  const std::span<const std::byte> bytes_;
  const std::string &origin_;
};

struct Directory {
  std::uint64_t offset, entries;
};

Directory find_directory(const Reader &reader) {
  if (reader.size() < kEndSize) reader.fail("it is too short");
  // The end record is followed by a comment of any length.
  const std::size_t last = reader.size() - kEndSize;
  const std::size_t first = last > kMaxComment ? last - kMaxComment : 0;
  for (std::size_t at = last;; --at) {
    if (reader.number<std::uint32_t>(at, "the end record") == kEnd) {
      Directory directory{reader.number<std::uint32_t>(at + 16, "the end record"),
                          reader.number<std::uint16_t>(at + 10, "the end record")};
      if (at < kLocatorSize ||
          reader.number<std::uint32_t>(at - kLocatorSize, "the locator") != kEnd64Locator) {
        return directory;
      }
      const auto end64 = reader.number<std::uint64_t>(at - kLocatorSize + 8, "the locator");
      reader.range(end64, kEnd64Size, "the 64-bit end record");
      if (reader.number<std::uint32_t>(end64, "the 64-bit end record") != kEnd64) {
        reader.fail("its 64-bit end record is not one");
      }
      directory.entries = reader.number<std::uint64_t>(end64 + 32, "the 64-bit end record");
      directory.offset = reader.number<std::uint64_t>(end64 + 48, "the 64-bit end record");
      return directory;
    }
    if (at == first) reader.fail("it has no end record, so it is truncated");
  }
}

// Replaces those of the three that are kept in the extra field, which has them in this order.
void read_extra(const Reader &reader, std::uint64_t at, std::size_t length, std::uint64_t &size,
                std::uint64_t &stored, std::uint64_t &offset) {
  const std::uint64_t end = at + length;
  while (at + 4 <= end) {
    const auto id = reader.number<std::uint16_t>(at, "an extra field");
    const auto bytes = reader.number<std::uint16_t>(at + 2, "an extra field");
    at += 4;
    if (id == kExtra64) {
      std::uint64_t field = at;
      for (std::uint64_t *value : {&size, &stored, &offset}) {
        if (*value != kIn64) continue;
        if (field + 8 > end) reader.fail("a 64-bit extra field is too short");
        *value = reader.number<std::uint64_t>(field, "an extra field");
        field += 8;
      }
    }
    at += bytes;
  }
}

}  // namespace

bool looks_like_zip(const MappedFile &file) {
  std::uint32_t start = 0;
  if (file.size < sizeof start) return false;
  std::memcpy(&start, file.bytes.get(), sizeof start);
  return start == kLocalHeader;
}

std::map<std::string, std::span<const std::byte>> zip_records(const MappedFile &file,
                                                              const std::string &origin) {
  const Reader reader(file, origin);
  const Directory directory = find_directory(reader);
  std::map<std::string, std::span<const std::byte>> records;
  std::uint64_t at = directory.offset;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    reader.range(at, kCentralSize, "the directory");
    const auto u16 = [&](std::size_t field) {
      return reader.number<std::uint16_t>(at + field, "the directory");
    };
    const auto u32 = [&](std::size_t field) {
      return reader.number<std::uint32_t>(at + field, "the directory");
    };
    if (u32(0) != kCentralHeader) reader.fail("its directory is damaged");
    const std::size_t name_length = u16(28), extra_length = u16(30), comment_length = u16(32);
    std::string name(reader.text(at + kCentralSize, name_length, "a record's name"));
    if ((u16(8) & kEncrypted) != 0) reader.fail("its record " + quote(name) + " is encrypted");
    if (u16(10) != 0) {
      reader.fail("its record " + quote(name) +
                  " is compressed: torch.save stores records as they are");
    }
    std::uint64_t stored = u32(20), size = u32(24), offset = u32(42);
    read_extra(reader, at + kCentralSize + name_length, extra_length, size, stored, offset);
    if (size != stored) reader.fail("its record " + quote(name) + " has two sizes");

    reader.range(offset, kLocalSize, "a record");
    if (reader.number<std::uint32_t>(offset, "a record") != kLocalHeader) {
      reader.fail("its record " + quote(name) + " is not where the directory says");
    }
    const std::uint64_t data = offset + kLocalSize +
                               reader.number<std::uint16_t>(offset + 26, "a record") +
                               reader.number<std::uint16_t>(offset + 28, "a record");
    const auto bytes = reader.range(data, size, "a record");
    if (!records.emplace(name, bytes).second) {
      reader.fail("its record " + quote(name) + " is there twice");
    }
    at += kCentralSize + name_length + extra_length + comment_length;
  }
  return records;
}

}  // namespace moondream
