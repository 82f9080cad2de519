// The `moondream` command: one subcommand a call.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "commands.h"
#include "output.h"
#include "types.h"

namespace {

using namespace moondream;
using namespace moondream::cli;

// In the order of the help.
std::vector<Command> all_commands() {
  std::vector<Command> commands = ask_commands();
  commands.push_back(inspect_command());
  commands.push_back(quantize_command());
  commands.push_back(bench_command());
  return commands;
}

int run(const Command &command, const std::vector<std::string> &arguments) {
  try {
    bool help = false;
    const std::vector<std::string> operands = parse_arguments(command.page, arguments, help);
    if (help) {
      print(help_text("moondream " + command.page.name, command.page));
      return kOk;
    }
    return command.run(operands);
  } catch (const UsageError &error) {
    complain(command.page.name + ": " + error.what());
    std::fprintf(stderr, "Try \"moondream %s --help\".\n", command.page.name.c_str());
    return kUsage;
  } catch (const Error &error) {
    if (error.kind() == ErrorKind::kCancelled) {
      complain(std::string(error.what()));
      return kInterrupted;
    }
    complain(error.what());
    return kFailure;
  }
}

int run(const std::vector<std::string> &arguments) {
  const std::vector<Command> commands = all_commands();
  const std::string name = arguments.empty() ? "" : arguments[0];
  if (name == "--version") {
    print("moondream " MOONDREAM_VERSION "\n");
    return kOk;
  }
  if (name == "help" && arguments.size() > 1) return run({arguments[1], "--help"});
  if (name == "--help" || name == "-h" || name == "help") {
    std::vector<Page> pages;
    for (const Command &command : commands) pages.push_back(command.page);
    print(overview_text(pages));
    return kOk;
  }
  for (const Command &command : commands) {
    if (command.page.name == name) return run(command, {arguments.begin() + 1, arguments.end()});
  }
  complain(name.empty() ? "no command is given" : "there is no command \"" + name + "\"");
  std::fputs("Try \"moondream --help\".\n", stderr);
  return kUsage;
}

}  // namespace

int main(int argc, char **argv) {
  // Whatever the parent ignores: a reader that is gone ends this quietly, and Ctrl-C at once. There
  // is nothing to tidy up but what quantize makes, which takes care of it.
  std::signal(SIGPIPE, SIG_DFL);
  int status = kFailure;
  try {
    status = run({argv + 1, argv + argc});
  } catch (const std::exception &error) {
    complain(error.what());
  }
  std::fflush(stdout);
  return status;
}
