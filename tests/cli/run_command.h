// The `moondream` command, run as a user runs it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "../unit/test_support.h"

extern char **environ;

namespace moondream::test {

struct Finished {
  int status = -1;  // exit status; 128 + N if signal N ended it
  std::string out, err;
};

// A started command, with its output in files: pipes would have to be emptied meanwhile.
class Started {
 public:
  // `out` and `err` are what standard output and error are, if they are no files of ours;
  // `environment`: "NAME=VALUE", or "NAME" to take it away.
  explicit Started(const std::vector<std::string> &arguments,
                   const std::vector<std::string> &environment = {}, int out = -1,
                   const std::string &in = "/dev/null", int err = -1) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, in.c_str(), O_RDONLY, 0);
    const std::string out_path = (dir_ / "out").string(), err_path = (dir_ / "err").string();
    constexpr int kNew = O_WRONLY | O_CREAT;
    if (out < 0) {
      posix_spawn_file_actions_addopen(&actions, 1, out_path.c_str(), kNew, 0600);
    } else {
      posix_spawn_file_actions_adddup2(&actions, out, 1);
    }
    if (err < 0) {
      posix_spawn_file_actions_addopen(&actions, 2, err_path.c_str(), kNew, 0600);
    } else {
      posix_spawn_file_actions_adddup2(&actions, err, 2);
    }

    std::vector<std::string> words = {MOONDREAM_COMMAND};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<std::string> variables = environment;
    for (char **variable = environ; *variable; ++variable) {
      const std::string text = *variable;
      const std::string name = text.substr(0, text.find('='));
      bool replaced = name == "MOONDREAM_MODEL";
      for (const std::string &other : environment) {
        replaced = replaced || other == name || other.starts_with(name + "=");
      }
      if (!replaced) variables.push_back(text);
    }
    std::vector<char *> argv, envp;
    for (std::string &word : words) argv.push_back(word.data());
    for (std::string &variable : variables) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    // A test that a script runs in the background is started with signals that are ignored.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    const int failure =
        posix_spawn(&pid_, argv[0], &actions, &attributes, argv.data(), envp.data());
    posix_spawnattr_destroy(&attributes);
    if (failure != 0) throw std::runtime_error("the command cannot be started");
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Started() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Started(const Started &) = delete;
  Started &operator=(const Started &) = delete;

  void signal(int number) const { kill(pid_, number); }

  Finished wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            file_contents(dir_ / "out"), file_contents(dir_ / "err")};
  }

 private:
  const TempDir dir_;
  pid_t pid_ = -1;
};

inline Finished run_command(const std::vector<std::string> &arguments,
                            const std::vector<std::string> &environment = {}) {
  return Started(arguments, environment).wait();
}

inline std::vector<std::string> lines_of(const std::string &text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The only line of a command's output.
inline nlohmann::json json_of(const Finished &finished) {
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(lines_of(finished.out).size(), 1u) << finished.out;
  return nlohmann::json::parse(finished.out);
}

}  // namespace moondream::test
