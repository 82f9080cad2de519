#include "output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "utf8.h"

namespace moondream::cli {

void print(const std::string &text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return;
  }
  throw OutputError("standard output: " + std::generic_category().message(errno));
}

void complain(const std::string &text) { std::fprintf(stderr, "moondream: %s\n", text.c_str()); }

Progress::Progress() : is_terminal_(isatty(STDERR_FILENO) != 0) {}
Progress::~Progress() { clear(); }

void Progress::show(const std::string &text) {
  if (!is_terminal_) return;
  // A line that wraps could not be taken away. A column is left for the cursor.
  winsize size{};
  std::size_t end = text.size();
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    int room = size.ws_col - 1;
    for (end = 0; end < text.size() && room > 0; --room) next_code_point(text, end);
  }
  // The rest of a longer line before it goes, too.
  std::fprintf(stderr, "\r%s\x1b[K", text.substr(0, end).c_str());
  std::fflush(stderr);
  shown_ = true;
}

void Progress::clear() {
  if (!shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

}  // namespace moondream::cli
