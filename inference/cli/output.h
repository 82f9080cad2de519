// What the command says: results on standard output, everything else on standard error.
#pragma once

#include <stdexcept>
#include <string>

namespace moondream::cli {

// Standard output takes no more. No Error: there is no use in going on to the next picture.
struct OutputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Writes a result, and at once. Throws OutputError; where its reader is gone, the process ends
// quietly by SIGPIPE.
void print(const std::string &text);

// "moondream: TEXT", on a line of its own.
void complain(const std::string &text);

// Lines that replace each other while something long goes on, only where standard error is a
// terminal, cut to its width. The last one goes when this does.
// Thread-safety: for one thread at a time.
class Progress {
 public:
  Progress();
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  void show(const std::string &text);
  // Takes the line away, so that something else can be printed.
  void clear();

 private:
  const bool is_terminal_;
  bool shown_ = false;
};

}  // namespace moondream::cli
