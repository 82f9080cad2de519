#include "caught_error.h"

#include <exception>
#include <new>
#include <string_view>

namespace moondream {
namespace {

// LibTorch has one exception type for everything, and appends a stack trace to its text.
Error from_text(const std::string &doing, std::string_view text) {
  const bool memory = text.find("out of memory") != std::string_view::npos ||
                      text.find("can't allocate memory") != std::string_view::npos;
  text = text.substr(0, text.find("\nException raised from"));
  return Error(memory ? ErrorKind::kNoMemory : ErrorKind::kFailed,
               doing + ": " + std::string(text));
}

}  // namespace

Error caught_error(const std::string &doing) {
  try {
    throw;
  } catch (const Error &error) {
    return error;
  } catch (const std::bad_alloc &) {
    return Error(ErrorKind::kNoMemory, doing + ": out of memory");
  } catch (const std::exception &error) {
    return from_text(doing, error.what());
  } catch (...) {
    return Error(ErrorKind::kFailed, doing + ": an exception of unknown type");
  }
}

}  // namespace moondream
