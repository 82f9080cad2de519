// What the main() of each program of the demos does.
//
//   int main(int argc, char **argv) {
//     int rows = 3;
//     const Page page{.name = "demo-sheet", ..., .options = {integer_option("rows", ..., rows)}};
//     return run_program(page, argc, argv, [&](const Operands &files) { ...; return true; });
//   }
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"

namespace scenes {

using moondream::cli::Option;
using moondream::cli::Page;
using moondream::cli::UsageError;
using Operands = std::vector<std::string>;

// Reads the command line, calls `body` with its operands and returns the exit status: 0; 1 where
// `body` returns false or throws, what it threw being printed; 2 for UsageError, of an option or of
// `body`. --help prints the page.
int run_program(const Page &page, int argc, char **argv,
                const std::function<bool(const Operands &)> &body);

// Options that set `value`, which must outlive the page.
Option text_option(std::string name, std::string argument, std::string help, std::string &value);
// Of texts with commas between them.
Option list_option(std::string name, std::string help, std::vector<std::string> &value);
// Of a whole number of at least `least`.
template <typename Integer>
Option integer_option(std::string name, std::string help, Integer &value, long long least) {
  return {name, 0, "N", std::move(help), [name, least, &value](const std::string &text) {
            constexpr auto kMost = std::min<unsigned long long>(
                std::numeric_limits<Integer>::max(), std::numeric_limits<long long>::max());
            value = static_cast<Integer>(
                moondream::cli::integer_between(name, text, least, static_cast<long long>(kMost)));
          }};
}

}  // namespace scenes
