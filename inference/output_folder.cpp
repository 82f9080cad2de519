#include "output_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "types.h"

namespace moondream {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_to_write(const fs::path &path, int error) {
  throw Error(ErrorKind::kRead,
              path.string() + ": cannot be written: " + std::generic_category().message(error));
}

}  // namespace

OutputFolder::OutputFolder(fs::path place) : place_(std::move(place)) {
  if (place_.filename().empty()) place_ = place_.parent_path();  // "out/"
  made_ = place_;
  made_ += ".partial-" + std::to_string(getpid());
  std::error_code error;
  if (fs::exists(fs::symlink_status(place_, error))) {
    throw Error(ErrorKind::kSettings, place_.string() + ": exists already");
  }
  if (fs::create_directory(made_, error)) return;
  // What was asked for is what cannot be; only what stands in the way has a name of ours.
  error ? fail_to_write(place_, error.value()) : fail_to_write(made_, EEXIST);
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!made_.empty()) fs::remove_all(made_, ignored);
}

void OutputFolder::keep() {
  std::error_code error;
  fs::rename(made_, place_, error);
  if (error) fail_to_write(place_, error.value());
  made_.clear();
}

OutputFile::OutputFile(fs::path path)
    : path_(std::move(path)),
      fd_(open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
  if (fd_ < 0) fail_to_write(path_, errno);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}

void OutputFile::write(const void *data, std::size_t size) {
  const auto *bytes = static_cast<const char *>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd_, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_to_write(path_, errno);
    bytes += written;
    size -= static_cast<std::size_t>(written);
  }
}

void OutputFile::close() {
  const bool failed = fsync(fd_) != 0;
  const int error = errno;
  if (::close(std::exchange(fd_, -1)) != 0) fail_to_write(path_, errno);
  if (failed) fail_to_write(path_, error);
}

void write_text_file(const fs::path &path, const std::string &text) {
  OutputFile file(path);
  file.write(text.data(), text.size());
  file.close();
}

}  // namespace moondream
