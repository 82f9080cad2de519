// LineWriter on files, pipes and sockets that work, and on those that do not.
#include "line_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gate.h"

namespace moondream {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPlenty = 1 << 20;

// Errors that a writer reported. Copies share one content.
class Failures {
 public:
  LineWriter::OnFailure callback() const {
    return [content = content_, arrived = arrived_](int error) mutable {
      {
        const std::lock_guard guard(content->lock);
        content->errors.push_back(error);
      }
      arrived.open();
    };
  }
  std::vector<int> get() const {
    const std::lock_guard guard(content_->lock);
    return content_->errors;
  }

 private:
  struct Content {
    std::mutex lock;
    std::vector<int> errors;  // lock
  };
  std::shared_ptr<Content> content_ = std::make_shared<Content>();
  Gate arrived_;
};

struct Pipe {
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2()");
    reader = FileDescriptor(ends[0]);
    writer = FileDescriptor(ends[1]);
  }
  FileDescriptor reader, writer;
};

std::string read_all(int fd) {
  std::string text;
  char piece[4096];
  for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0;) text.append(piece, n);
  return text;
}

std::vector<std::string> split(const std::string &text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class LineWriterTest : public testing::Test {
 protected:
  LineWriterTest() {
    std::string name = testing::TempDir() + "lines-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~LineWriterTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/lines"; }
  std::string content() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  int code_of_opening(const std::string &location) const {
    try {
      open_lines(location, false);
    } catch (const OutputError &error) {
      EXPECT_NE(std::string(error.what()).find(location), std::string::npos) << error.what();
      return error.code();
    }
    return 0;
  }

  std::string folder_;
  Failures failures_;
};

TEST_F(LineWriterTest, LinesAreInTheFileInTheirOrder) {
  LineWriter writer(open_lines(path(), false), kPlenty, failures_.callback());
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(writer.write("line " + std::to_string(i)));
    expected += "line " + std::to_string(i) + "\n";
  }
  EXPECT_TRUE(writer.flush(kTestPatience));
  EXPECT_EQ(content(), expected);
  const LineWriterStats stats = writer.stats();
  EXPECT_EQ(stats.written, 1000u);
  EXPECT_EQ(stats.dropped, 0u);
  EXPECT_EQ(stats.waiting, 0u);
  EXPECT_EQ(stats.bytes, expected.size());
  EXPECT_TRUE(failures_.get().empty());
}

// What is written must be there although the process goes on, or dies.
TEST_F(LineWriterTest, LinesAreInTheFileBeforeTheWriterEnds) {
  LineWriter writer(open_lines(path(), false), kPlenty, nullptr);
  writer.write("one");
  ASSERT_TRUE(writer.flush(kTestPatience));
  EXPECT_EQ(content(), "one\n");
}

TEST_F(LineWriterTest, AFileIsEmptiedUnlessLinesAreAppended) {
  std::ofstream(path()) << "before\n";
  {
    LineWriter writer(open_lines(path(), true), kPlenty, nullptr);
    writer.write("appended");
    ASSERT_TRUE(writer.flush(kTestPatience));
  }
  EXPECT_EQ(content(), "before\nappended\n");
  open_lines(path(), false);
  EXPECT_EQ(content(), "");
}

TEST_F(LineWriterTest, WhatCannotBeOpenedIsAnErrorThatNamesIt) {
  EXPECT_EQ(code_of_opening(folder_ + "/missing/lines"), GST_RESOURCE_ERROR_NOT_FOUND);
  EXPECT_EQ(code_of_opening(folder_), GST_RESOURCE_ERROR_OPEN_WRITE);
  EXPECT_EQ(code_of_opening(""), GST_RESOURCE_ERROR_NOT_FOUND);
}

// To open one waits for its reader otherwise, and that may never come.
TEST_F(LineWriterTest, ANamedPipeThatNobodyReadsIsRefusedAtOnce) {
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(code_of_opening(path()), GST_RESOURCE_ERROR_OPEN_WRITE);
  const FileDescriptor reader(open(path().c_str(), O_RDONLY | O_NONBLOCK));
  EXPECT_EQ(code_of_opening(path()), 0);
}

TEST_F(LineWriterTest, ADescriptorMustBeOpenForWriting) {
  const Pipe pipe;
  EXPECT_GE(duplicate_lines(pipe.writer.get()).get(), 0);
  for (const int fd : {pipe.reader.get(), 9999, -1}) {
    try {
      duplicate_lines(fd);
      ADD_FAILURE() << fd;
    } catch (const OutputError &error) {
      EXPECT_EQ(error.code(), GST_RESOURCE_ERROR_SETTINGS) << error.what();
    }
  }
}

TEST_F(LineWriterTest, TheCallersDescriptorStaysOpen) {
  const Pipe pipe;
  { const LineWriter writer(duplicate_lines(pipe.writer.get()), kPlenty, nullptr); }
  EXPECT_EQ(write(pipe.writer.get(), "x", 1), 1);
}

// ---- Failures --------------------------------------------------------------------------------

TEST_F(LineWriterTest, AFullDiskIsReportedOnceAndItsLinesAreCounted) {
  LineWriter writer(open_lines("/dev/full", false), kPlenty, failures_.callback());
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(writer.write("line"));
  EXPECT_TRUE(writer.flush(kTestPatience));
  EXPECT_EQ(writer.stats().dropped, 50u);
  EXPECT_EQ(writer.stats().written, 0u);
  EXPECT_EQ(failures_.get(), std::vector{ENOSPC});
  EXPECT_EQ(write_error("x", ENOSPC).code(), GST_RESOURCE_ERROR_NO_SPACE_LEFT);
}

TEST_F(LineWriterTest, ALostLineIsCountedByTheTimeThatItIsReported) {
  std::uint64_t dropped = 0;  // the flush is behind the report
  std::unique_ptr<LineWriter> writer;
  writer = std::make_unique<LineWriter>(open_lines("/dev/full", false), kPlenty,
                                        [&](int) { dropped = writer->stats().dropped; });
  EXPECT_TRUE(writer->write("line"));
  EXPECT_TRUE(writer->flush(kTestPatience));
  EXPECT_EQ(dropped, 1u);
}

// The limit on file sizes stands for a disk that fills up in the middle of a line. It would end the
// process with SIGXFSZ if the writer did not see to that.
TEST_F(LineWriterTest, ALineThatDoesNotFitLeavesNoPieceAndWritingGoesOnWhenThereIsRoom) {
  LineWriter writer(open_lines(path(), false), kPlenty, failures_.callback());
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = 25;  // two lines of ten bytes and half a third
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  for (const char *line : {"line one.", "line two.", "line 3...", "line 4..."}) writer.write(line);
  const bool flushed = writer.flush(kTestPatience);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_TRUE(flushed);
  EXPECT_EQ(content(), "line one.\nline two.\n");
  EXPECT_EQ(failures_.get(), std::vector{EFBIG});
  writer.write("line five");
  ASSERT_TRUE(writer.flush(kTestPatience));
  EXPECT_EQ(content(), "line one.\nline two.\nline five\n");
  EXPECT_EQ(writer.stats().dropped, 2u);
  EXPECT_EQ(writer.stats().written, 3u);
}

// In a file that another writes to as well, the piece cannot be taken back.
TEST_F(LineWriterTest, BehindAPieceThatStaysTheNextLineBeginsOnItsOwn) {
  std::ofstream(path()) << std::string(100, '-');
  const FileDescriptor file(open(path().c_str(), O_WRONLY | O_CLOEXEC));  // at its beginning
  LineWriter writer(duplicate_lines(file.get()), kPlenty, nullptr);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = 5;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  writer.write("line one.");
  const bool flushed = writer.flush(kTestPatience);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_TRUE(flushed);
  writer.write("line two.");
  ASSERT_TRUE(writer.flush(kTestPatience));
  EXPECT_EQ(content().substr(0, 16), "line \nline two.\n");
}

TEST_F(LineWriterTest, AReaderThatIsGoneIsAFailureAndNoSignal) {
  Pipe pipe;
  pipe.reader = FileDescriptor();
  LineWriter writer(std::move(pipe.writer), kPlenty, failures_.callback());
  for (int i = 0; i < 10; ++i) writer.write("line");
  EXPECT_TRUE(writer.flush(kTestPatience));
  EXPECT_EQ(failures_.get(), std::vector{EPIPE});
  EXPECT_EQ(writer.stats().dropped, 10u);
}

TEST_F(LineWriterTest, APeerOfASocketThatIsGoneIsAFailureAndNoSignal) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  LineWriter writer(FileDescriptor(ends[0]), kPlenty, failures_.callback());
  writer.write("one");
  ASSERT_TRUE(writer.flush(kTestPatience));
  char text[5] = {};
  EXPECT_EQ(read(ends[1], text, 4), 4);
  EXPECT_STREQ(text, "one\n");
  close(ends[1]);
  writer.write("two");
  ASSERT_TRUE(writer.flush(kTestPatience));
  EXPECT_EQ(failures_.get(), std::vector{EPIPE});
}

// ---- Readers that are slow -------------------------------------------------------------------

TEST_F(LineWriterTest, AReaderThatDoesNotReadCostsLinesAndNoTime) {
  Pipe pipe;
  auto writer = std::make_unique<LineWriter>(duplicate_lines(pipe.writer.get()), 100'000,
                                             failures_.callback());
  const std::string line(999, 'x');
  int taken = 0;
  while (writer->write(line)) ++taken;  // would not end if the queue had no end
  EXPECT_GE(taken, 100);
  EXPECT_EQ(writer->stats().dropped, 1u);
  EXPECT_FALSE(writer->flush(0ms));
  // Its thread waits for the reader. It must not be waited for.
  writer.reset();
  EXPECT_TRUE(failures_.get().empty());
}

TEST_F(LineWriterTest, ALineLongerThanTheQueueAndThePipeArrivesWhole) {
  Pipe pipe;
  LineWriter writer(std::move(pipe.writer), 10, nullptr);
  const std::string line(300'000, 'x');  // a pipe holds 64 KiB
  EXPECT_TRUE(writer.write(line));
  EXPECT_FALSE(writer.write("y"));
  std::string text;
  std::string piece(70'000, '\0');
  while (text.size() <= line.size()) {
    const ssize_t n = read(pipe.reader.get(), piece.data(), piece.size());
    ASSERT_GT(n, 0);
    text.append(piece, 0, n);
  }
  EXPECT_EQ(text, line + "\n");
}

TEST_F(LineWriterTest, WaitingForASlowReaderCanBeInterrupted) {
  Pipe pipe;
  std::optional<LineWriter> writer(std::in_place, std::move(pipe.writer), kPlenty, nullptr);
  writer->write(std::string(200'000, 'x'));
  Gate ended;
  std::thread waiting([&] {
    EXPECT_FALSE(writer->flush(std::chrono::hours(1)));
    ended.open();
  });
  writer->interrupt();
  EXPECT_TRUE(ended.wait());
  waiting.join();
  EXPECT_FALSE(writer->flush(std::chrono::hours(1))) << "until resume()";
  writer->resume();
  std::thread reading([&] { EXPECT_EQ(read_all(pipe.reader.get()).size(), 200'001u); });
  EXPECT_TRUE(writer->flush(kTestPatience));
  writer.reset();  // the end of file, for the reader
  reading.join();
}

// ---- Whole lines -----------------------------------------------------------------------------

TEST_F(LineWriterTest, LinesOfTwoWritersOfOneFileDoNotMix) {
  LineWriter a(open_lines(path(), true), kPlenty, nullptr);
  LineWriter b(open_lines(path(), true), kPlenty, nullptr);
  for (int i = 0; i < 100; ++i) {
    a.write(std::string(6000, 'a'));
    b.write(std::string(7000, 'b'));
  }
  ASSERT_TRUE(a.flush(kTestPatience));
  ASSERT_TRUE(b.flush(kTestPatience));
  const auto lines = split(content());
  EXPECT_EQ(lines.size(), 200u);
  for (const std::string &line : lines)
    EXPECT_TRUE(line == std::string(6000, 'a') || line == std::string(7000, 'b'));
}

TEST_F(LineWriterTest, AProcessThatIsKilledLeavesWholeLines) {
  const pid_t child = fork();
  if (child == 0) {
    LineWriter writer(open_lines(path(), false), kPlenty, nullptr);
    for (;;) {
      writer.write(std::string(200, 'x'));
      writer.flush(1s);
    }
  }
  const auto deadline = std::chrono::steady_clock::now() + kTestPatience;
  while (content().size() < 201 * 100 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(1ms);
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  const std::string text = content();
  EXPECT_GE(text.size(), 201u * 100);
  EXPECT_EQ(text.back(), '\n');
  for (const std::string &line : split(text)) ASSERT_EQ(line, std::string(200, 'x'));
}

}  // namespace
}  // namespace moondream
