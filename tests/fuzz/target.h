// What every fuzz target has: a file of hostile bytes, and the claim that reading it does nothing
// worse than to throw Error.
//
// A target is a function of one input, as libFuzzer calls it:
//   extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);
// It throws Violation, which libFuzzer takes for a crash and driver.cpp for a failed test.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>

#include <unistd.h>

#include "memory_meter.h"
#include "types.h"

namespace moondream::fuzz {

// A claim of the library does not hold for the input.
struct Violation : std::logic_error {
  using std::logic_error::logic_error;
};

inline void require(bool holds, const std::string &claim) {
  if (!holds) throw Violation(claim);
}

// A file of this process, in a folder that goes when the process exits.
class InputFile {
 public:
  explicit InputFile(const std::string &name)
      : folder_(std::filesystem::temp_directory_path() /
                ("moondream-fuzz-" + std::to_string(getpid()))),
        path_(folder_ / name) {
    std::filesystem::create_directory(folder_);
  }
  ~InputFile() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  InputFile(const InputFile &) = delete;
  InputFile &operator=(const InputFile &) = delete;

  // The path of the file, which now holds just that.
  const std::filesystem::path &holding(std::string_view contents) const {
    // ext4 flushes a file that is overwritten to disk at once.
    std::filesystem::remove(path_);
    std::ofstream(path_, std::ios::binary).write(contents.data(), std::ssize(contents));
    return path_;
  }

 private:
  std::filesystem::path folder_, path_;
};

// Runs `read`. Throws Violation if anything but Error leaves it, if the Error says nothing or more
// than a person reads, or if more than `max_bytes` of memory was taken at a time. Says whether it
// ended without an Error.
template <typename Read>
bool read_within(std::size_t max_bytes, Read read) {
  const std::size_t before = allocated_bytes();
  restart_peak();
  bool ended = false;
  try {
    read();
    ended = true;
  } catch (const Violation &) {
    throw;
  } catch (const Error &error) {
    const std::size_t length = std::string_view(error.what()).size();
    require(length > 0 && length <= 2000, "an Error has a text of 1 to 2000 bytes");
  } catch (const std::exception &exception) {
    throw Violation(std::string("nothing but Error escapes, but there was a ") +
                    typeid(exception).name() + ": " + exception.what());
  }
  const std::size_t taken = peak_bytes() - std::min(before, peak_bytes());
  require(taken <= max_bytes,
          "memory is bounded by the size of the file: " + std::to_string(taken) +
              " bytes were taken, expected at most " + std::to_string(max_bytes));
  return ended;
}

}  // namespace moondream::fuzz
