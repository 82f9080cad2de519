// A folder that is written completely or not at all.
//
//   OutputFolder folder("out");
//   OutputFile file(folder / "model.safetensors");
//   file.write(bytes.data(), bytes.size());
//   file.close();
//   folder.keep();
//
// Every function but the destructors throws Error{kRead} that names what could not be written.
// Thread-safety: one thread at a time.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace moondream {

// Has another name until keep(), and goes with all that is in it where that is not called.
class OutputFolder {
 public:
  // Throws Error{kSettings} if `place` exists already, whatever it is.
  explicit OutputFolder(std::filesystem::path place);
  ~OutputFolder();
  OutputFolder(const OutputFolder &) = delete;
  OutputFolder &operator=(const OutputFolder &) = delete;

  // Where a file in it is until keep().
  std::filesystem::path operator/(const std::string &name) const { return made_ / name; }

  void keep();

 private:
  std::filesystem::path place_, made_;
};

// A new file whose contents are on the disk once it is closed.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  void write(const void *data, std::size_t size);
  void close();

 private:
  const std::filesystem::path path_;
  int fd_;
};

void write_text_file(const std::filesystem::path &path, const std::string &text);

}  // namespace moondream
