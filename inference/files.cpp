#include "files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "types.h"

namespace moondream {
namespace {

constexpr std::size_t kMaxQuoted = 200;  // bytes

[[noreturn]] void throw_errno(const std::filesystem::path &path, int error) {
  ErrorKind kind = ErrorKind::kRead;
  if (error == ENOENT || error == ENOTDIR) kind = ErrorKind::kNotFound;
  if (error == ENOMEM) kind = ErrorKind::kNoMemory;
  throw Error(kind, path.string() + ": " + std::generic_category().message(error));
}

class Descriptor {
 public:
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  explicit Descriptor(const std::filesystem::path &path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) throw_errno(path, errno);
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;

  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

MappedFile map_file(const std::filesystem::path &path) {
  const Descriptor file(path);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) throw_errno(path, errno);
  if (S_ISDIR(status.st_mode)) {
    throw Error(ErrorKind::kRead, path.string() + ": is a directory, not a file");
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kRead, path.string() + ": is not a regular file");
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return {};
  void *address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) throw_errno(path, errno);
  return {
      {static_cast<const std::byte *>(address), [address, size](auto) { munmap(address, size); }},
      size};
}

std::string read_file(const std::filesystem::path &path, std::size_t max_bytes) {
  const MappedFile file = map_file(path);
  if (file.size > max_bytes) {
    throw Error(ErrorKind::kRead, path.string() + ": is " + std::to_string(file.size) +
                                      " bytes long, more than the " + std::to_string(max_bytes) +
                                      " that such a file may have");
  }
  return {reinterpret_cast<const char *>(file.bytes.get()), file.size};
}

std::string quote(std::string_view name) {
  std::size_t length = std::min(name.size(), kMaxQuoted);
  // Not in the middle of a UTF-8 sequence.
  while (length < name.size() && length > 0 && (name[length] & 0xC0) == 0x80) --length;
  std::string text = "\"";
  for (const char c : name.substr(0, length)) {
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return text + (length < name.size() ? "...\"" : "\"");
}

}  // namespace moondream
