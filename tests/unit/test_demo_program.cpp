#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "program.h"

namespace scenes {
namespace {

// What the program was asked for, and how it ended.
struct Outcome {
  std::vector<std::string> labels;
  std::string name;
  int rows = 3;
  std::uint64_t seed = 1;
  Operands operands;
  int status = -1;
  std::string output, errors;
};

Outcome run(std::vector<std::string> arguments,
            const std::function<bool(const Operands &)> &body = {}) {
  Outcome result;
  const Page page{.name = "demo-test",
                  .summary = "is a test",
                  .operands = "FILE...",
                  .description = "Does nothing.",
                  .options = {list_option("labels", "Labels.", result.labels),
                              text_option("name", "NAME", "A name.", result.name),
                              integer_option("rows", "Rows (3).", result.rows, 1),
                              integer_option("seed", "A seed (1).", result.seed, 0)},
                  .examples = ""};
  arguments.insert(arguments.begin(), "demo-test");
  std::vector<char *> argv;
  for (std::string &argument : arguments) argv.push_back(argument.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  result.status =
      run_program(page, static_cast<int>(argv.size()), argv.data(), [&](const Operands &operands) {
        result.operands = operands;
        return !body || body(operands);
      });
  result.output = testing::internal::GetCapturedStdout();
  result.errors = testing::internal::GetCapturedStderr();
  return result;
}

TEST(DemoProgram, OptionsAndOperandsComeInAnyOrder) {
  const Outcome result = run({"a.webm", "--labels", "face,license plate", "--rows=7", "b.png",
                              "--seed", "18446744073", "--name", ""});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_EQ(result.operands, (Operands{"a.webm", "b.png"}));
  EXPECT_EQ(result.labels, (std::vector<std::string>{"face", "license plate"}));
  EXPECT_EQ(result.rows, 7);
  EXPECT_EQ(result.seed, 18446744073u);
}

TEST(DemoProgram, WhatIsNotGivenKeepsItsValue) {
  const Outcome result = run({});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.rows, 3);
  EXPECT_EQ(result.seed, 1u);
}

TEST(DemoProgram, AWrongCommandLineEndsWith2AndSaysWhatIsWrong) {
  for (const std::vector<std::string> &arguments :
       std::vector<std::vector<std::string>>{{"--rows", "0"},
                                             {"--rows", "many"},
                                             {"--rows", "3000000000"},
                                             {"--rows"},
                                             {"--seed", "-1"},
                                             {"--colour", "red"}}) {
    const Outcome result = run(arguments);
    EXPECT_EQ(result.status, 2) << arguments[0];
    EXPECT_NE(result.errors.find("demo-test: "), std::string::npos);
    EXPECT_NE(result.errors.find(arguments[0]), std::string::npos) << result.errors;
  }
  const Outcome result = run({}, [](const Operands &) -> bool { throw UsageError("no file"); });
  EXPECT_EQ(result.status, 2);
  EXPECT_NE(result.errors.find("no file"), std::string::npos);
}

TEST(DemoProgram, AFailureEndsWith1) {
  EXPECT_EQ(run({}, [](const Operands &) { return false; }).status, 1);
  const Outcome result =
      run({}, [](const Operands &) -> bool { throw std::runtime_error("cannot read a.webm"); });
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.errors, "demo-test: cannot read a.webm\n");
}

TEST(DemoProgram, HelpNamesTheProgramAndItsOptionsAndDoesNothing) {
  const Outcome result =
      run({"--help"}, [](const Operands &) -> bool { throw std::logic_error(""); });
  EXPECT_EQ(result.status, 0);
  EXPECT_NE(result.output.find("demo-test [OPTION]... FILE..."), std::string::npos);
  EXPECT_NE(result.output.find("--rows N"), std::string::npos);
}

}  // namespace
}  // namespace scenes
