// The subcommands. Each comes with its page and a function that runs it on the operands, with what
// the page's options have set, and returns the exit status. It throws UsageError for a command line
// that is wrong, and Error.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "arguments.h"

namespace moondream::cli {

// What the command exits with.
inline constexpr int kOk = 0, kFailure = 1, kUsage = 2, kInterrupted = 130;

struct Command {
  Page page;
  std::function<int(const std::vector<std::string> &operands)> run;
};

// caption, query, detect, point, gaze and segment: one engine, and a request for each picture.
std::vector<Command> ask_commands();
Command inspect_command();
Command quantize_command();
Command bench_command();

}  // namespace moondream::cli
