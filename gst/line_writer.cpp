#include "line_writer.h"

#include <fcntl.h>
#include <gst/gst.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <deque>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

namespace moondream {

// ---- Descriptors -----------------------------------------------------------------------------

FileDescriptor &FileDescriptor::operator=(FileDescriptor &&other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

int FileDescriptor::release() { return std::exchange(fd_, -1); }

FileDescriptor open_lines(const std::string &location, bool append) {
  if (location == "-") return duplicate_lines(STDOUT_FILENO);
  // O_APPEND even where the file was emptied: others may write to it, or empty it again to rotate
  // it. O_NONBLOCK has no effect on files; without it, opening a pipe waits for its reader.
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  FileDescriptor file(open(location.c_str(), flags | (append ? 0 : O_TRUNC), 0666));
  if (file.get() >= 0) return file;
  const int error = errno;
  throw OutputError(error == ENOENT ? GST_RESOURCE_ERROR_NOT_FOUND : GST_RESOURCE_ERROR_OPEN_WRITE,
                    "Cannot write to " + location + ": " +
                        (error == ENXIO ? "nobody reads from this pipe" : g_strerror(error)) + ".");
}

FileDescriptor duplicate_lines(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
    throw OutputError(GST_RESOURCE_ERROR_SETTINGS,
                      "File descriptor " + std::to_string(fd) + " is not open for writing.");
  FileDescriptor copy(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (copy.get() >= 0) return copy;
  throw OutputError(
      GST_RESOURCE_ERROR_OPEN_WRITE,
      "Cannot write to file descriptor " + std::to_string(fd) + ": " + g_strerror(errno) + ".");
}

OutputError write_error(const std::string &what, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return {full ? GST_RESOURCE_ERROR_NO_SPACE_LEFT : GST_RESOURCE_ERROR_WRITE,
          "Cannot write to " + what + ": " +
              (error == EPIPE ? "its reader is gone" : g_strerror(error)) + "."};
}

// ---- Writing ---------------------------------------------------------------------------------

namespace {

enum class Kind { kFile, kSocket, kOther };

Kind kind_of(int fd) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return Kind::kOther;
  if (S_ISREG(status.st_mode)) return Kind::kFile;
  return S_ISSOCK(status.st_mode) ? Kind::kSocket : Kind::kOther;
}

// What became of a line.
struct Outcome {
  int error = 0;          // errno; 0: written, or cancelled
  std::size_t bytes = 0;  // that were written, of as many as the line has or fewer
};

// Writes to one descriptor. Thread-safety: one thread at a time.
class Output {
 public:
  // `wake` becomes readable when waiting has to end.
  Output(int fd, int wake) : fd_(fd), wake_(wake), kind_(kind_of(fd)) {}

  Outcome write(std::string_view line) {
    Outcome outcome;
    while (outcome.bytes < line.size()) {
      if (kind_ != Kind::kFile && !wait_for_room()) break;
      const ssize_t written = write_piece(line.substr(outcome.bytes));
      if (written > 0) {
        outcome.bytes += static_cast<std::size_t>(written);
      } else if (written == 0 || (errno != EINTR && errno != EAGAIN)) {
        outcome.error = written == 0 ? EIO : errno;
        break;
      }
    }
    if (outcome.bytes > 0 && outcome.bytes < line.size() && take_back(outcome.bytes))
      outcome.bytes = 0;
    return outcome;
  }

 private:
  ssize_t write_piece(std::string_view piece) {
    if (kind_ == Kind::kFile) return ::write(fd_, piece.data(), piece.size());
    // There is room for this much, so that a descriptor which others want blocking does not block.
    piece = piece.substr(0, PIPE_BUF);
    if (kind_ == Kind::kOther) return ::write(fd_, piece.data(), piece.size());
    return send(fd_, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  // False: woken.
  bool wait_for_room() {
    pollfd fds[] = {{fd_, POLLOUT, 0}, {wake_, POLLIN, 0}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR) {
    }
    return fds[1].revents == 0;
  }

  // Removes the last `bytes` from a file that ends with what was written here.
  bool take_back(std::size_t bytes) {
    struct stat status = {};
    const off_t end = lseek(fd_, 0, SEEK_CUR);
    return kind_ == Kind::kFile && end >= 0 && fstat(fd_, &status) == 0 && status.st_size == end &&
           ftruncate(fd_, end - static_cast<off_t>(bytes)) == 0 &&
           lseek(fd_, -static_cast<off_t>(bytes), SEEK_CUR) >= 0;
  }

  const int fd_, wake_;
  const Kind kind_;
};

void block_signals_of_writes() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);  // the reader is gone
  sigaddset(&signals, SIGXFSZ);  // the file may not grow
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

struct LineWriter::State {
  FileDescriptor output;
  FileDescriptor wake;  // readable once the thread has to end
  std::size_t max_bytes = 0;
  OnFailure on_failure;

  mutable std::mutex lock;  // protects all below; no other lock is taken with it held
  std::condition_variable changed;
  std::deque<std::string> lines;
  std::size_t bytes = 0;  // of `lines` and the one that is being written
  bool interrupted = false;
  bool stopping = false;
  bool ended = false;
  LineWriterStats stats;
};

LineWriter::LineWriter(FileDescriptor output, std::size_t max_bytes, OnFailure on_failure)
    : state_(std::make_shared<State>()) {
  state_->output = std::move(output);
  state_->wake = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (state_->wake.get() < 0) throw std::system_error(errno, std::generic_category(), "eventfd()");
  state_->max_bytes = max_bytes;
  state_->on_failure = std::move(on_failure);
  std::thread([state = state_] { run(state); }).detach();
}

LineWriter::~LineWriter() {
  std::unique_lock guard(state_->lock);
  state_->stopping = true;
  state_->changed.notify_all();
  eventfd_write(state_->wake.get(), 1);
  // A disk may take its time over one write; one that hangs is left behind.
  state_->changed.wait_for(guard, std::chrono::milliseconds(500), [&] { return state_->ended; });
}

bool LineWriter::write(std::string line) {
  line += '\n';
  const std::lock_guard guard(state_->lock);
  if (state_->bytes > 0 && state_->bytes + line.size() > state_->max_bytes) {
    ++state_->stats.dropped;
    return false;
  }
  state_->bytes += line.size();
  state_->lines.push_back(std::move(line));
  ++state_->stats.waiting;
  state_->changed.notify_all();
  return true;
}

bool LineWriter::flush(std::chrono::milliseconds patience) {
  std::unique_lock guard(state_->lock);
  state_->changed.wait_for(guard, patience,
                           [&] { return state_->bytes == 0 || state_->interrupted; });
  return state_->bytes == 0;
}

void LineWriter::interrupt() {
  const std::lock_guard guard(state_->lock);
  state_->interrupted = true;
  state_->changed.notify_all();
}

void LineWriter::resume() {
  const std::lock_guard guard(state_->lock);
  state_->interrupted = false;
}

LineWriterStats LineWriter::stats() const {
  const std::lock_guard guard(state_->lock);
  return state_->stats;
}

void LineWriter::run(const std::shared_ptr<State> &state) {
  pthread_setname_np(pthread_self(), "moondream-lines");
  block_signals_of_writes();
  Output output(state->output.get(), state->wake.get());
  int reported = 0;   // error that was reported since a line was last written
  bool torn = false;  // a piece of a line is at the end of the output
  std::unique_lock guard(state->lock);
  for (;;) {
    state->changed.wait(guard, [&] { return state->stopping || !state->lines.empty(); });
    if (state->stopping) break;
    const std::string line = std::move(state->lines.front());
    state->lines.pop_front();
    guard.unlock();

    Outcome outcome;
    if (torn) outcome = output.write("\n");
    torn = torn && outcome.bytes == 0;
    if (!torn) {
      outcome = output.write(line);
      torn = outcome.bytes > 0 && outcome.bytes < line.size();
    }
    const bool written = outcome.bytes == line.size();
    const bool report =
        outcome.error != 0 && outcome.error != std::exchange(reported, outcome.error);
    if (written) reported = 0;

    // Who is told of a failure finds it counted; who waits for everything hears of it before.
    guard.lock();
    --state->stats.waiting;
    ++(written ? state->stats.written : state->stats.dropped);
    if (written) state->stats.bytes += line.size();
    guard.unlock();
    if (report && state->on_failure) state->on_failure(outcome.error);
    guard.lock();
    state->bytes -= line.size();
    state->changed.notify_all();
  }
  state->ended = true;
  state->changed.notify_all();
}

}  // namespace moondream
