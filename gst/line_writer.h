// Writes lines to a file, a pipe or a socket, on a thread of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "gstmoondreamerror.h"

namespace moondream {

// An open file descriptor, closed with its owner. Thread-safety: one thread at a time.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor &&other) noexcept : fd_(other.release()) {}
  FileDescriptor &operator=(FileDescriptor &&other) noexcept;
  ~FileDescriptor();

  int get() const { return fd_; }  // -1: none
  int release();

 private:
  int fd_ = -1;
};

// Opens `location` for a LineWriter: "-" is standard output, everything else a path. A file is
// made if there is none, and emptied unless `append`. Never waits: a named pipe must have a reader.
// Throws OutputError (RESOURCE / OPEN_WRITE, or NOT_FOUND if its folder is missing).
FileDescriptor open_lines(const std::string &location, bool append);

// A duplicate of `fd`, which stays the caller's. Throws OutputError (RESOURCE / SETTINGS) if it is
// not open for writing.
FileDescriptor duplicate_lines(int fd);

// What a failed write is to the user: `error` is its errno, `what` was written to. RESOURCE /
// WRITE, or NO_SPACE_LEFT.
OutputError write_error(const std::string &what, int error);

struct LineWriterStats {
  std::uint64_t written = 0;  // lines that the system has taken whole
  std::uint64_t dropped = 0;  // lines that found the queue full, or that could not be written
  std::uint64_t waiting = 0;  // lines that are neither yet
  std::uint64_t bytes = 0;    // of the lines written
};

// A bounded queue of lines and the thread that writes them.
//
// Each line is handed to the system as soon as it can be, by one write(2), so that what has been
// written survives the death of this process and lines of several processes that append to one file
// do not mix. Only into pipes and sockets do lines longer than PIPE_BUF (4096 bytes) go in pieces.
// A line that cannot be written whole is taken back from a regular file; behind the piece of one
// that stays, the next begins on a line of its own.
//
// A write that fails drops its line, and the next line is tried again: a full disk may get space.
// A reader that is gone is a failure (EPIPE), never a SIGPIPE. One that does not read fills the
// queue; lines that find it full are dropped.
//
// Thread-safety: safe, but for destruction.
class LineWriter {
 public:
  // `error` is the errno of a write. Called on the writer's thread, without a lock: for the first
  // of equal failures that follow each other with no line written in between, whose line is counted
  // as dropped by then. May be running while the LineWriter is destroyed and until shortly after,
  // so it must own what it uses.
  using OnFailure = std::function<void(int error)>;

  // At most `max_bytes` of lines wait, or a single longer one.
  // Throws std::system_error if the system has no thread or descriptor left.
  LineWriter(FileDescriptor output, std::size_t max_bytes, OnFailure on_failure);

  // Drops what still waits and does not wait for a reader.
  ~LineWriter();
  LineWriter(const LineWriter &) = delete;
  LineWriter &operator=(const LineWriter &) = delete;

  // Queues `line`, to which a newline is added. Never waits. False: the queue was full.
  bool write(std::string line);

  // Waits until all lines so far are written or dropped. False: they were not within `patience`, or
  // interrupt() came first.
  bool flush(std::chrono::milliseconds patience);

  // Ends flush() in other threads, and lets it return at once until resume().
  void interrupt();
  void resume();

  LineWriterStats stats() const;

 private:
  struct State;
  static void run(const std::shared_ptr<State> &state);

  // Shared with the thread, which is left behind if it is stuck in a write.
  std::shared_ptr<State> state_;
};

}  // namespace moondream
