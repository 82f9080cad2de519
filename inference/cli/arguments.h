// A command line of options and operands, and the help that describes it.
//
// Options are --name VALUE, --name=VALUE or -n VALUE, before, between and behind the operands;
// behind "--" everything is an operand.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace moondream::cli {

// The command line cannot be understood. The text says what is wrong with it.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Option {
  std::string name;      // without "--"
  char letter = 0;       // of its short form; 0: it has none
  std::string argument;  // what its value is called in the help; empty: it takes none
  std::string help;
  // Called with each value as it comes, in order; "" where it takes none. Throws UsageError.
  std::function<void(const std::string &value)> set;
};

// A flag without a value.
Option flag(std::string name, char letter, std::string help, bool &value);

// A program or subcommand, and the page of its --help.
struct Page {
  std::string name;      // "detect"
  std::string summary;   // in one line, without a full stop
  std::string operands;  // "IMAGE..."
  std::string description;
  std::vector<Option> options;
  std::string examples;
};

// Calls the options' set() and returns the operands. Throws UsageError. Of "--help" and "-h", which
// every page has, it says so in `help`, and goes no further.
std::vector<std::string> parse_arguments(const Page &page,
                                         const std::vector<std::string> &arguments, bool &help);

// The page as text of 80 columns. command: how it is called, "moondream detect".
std::string help_text(const std::string &command, const Page &page);

// The page of the command itself, with its subcommands.
std::string overview_text(const std::vector<Page> &pages);

// Values of options. Each throws UsageError that names the option and says what it expected.
double number_between(const std::string &option, const std::string &value, double min, double max);
long long integer_between(const std::string &option, const std::string &value, long long min,
                          long long max);
// "0.5,0.25" of `count` fractions from 0 to 1.
std::vector<double> fractions(const std::string &option, const std::string &value,
                              std::size_t count);

}  // namespace moondream::cli
