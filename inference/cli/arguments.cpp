#include "arguments.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace moondream::cli {
namespace {

constexpr std::size_t kColumns = 80, kIndent = 7;

constexpr char kExitStatus[] =
    "EXIT STATUS\n"
    "       0    all went well\n"
    "       1    something failed: standard error says what, and of which file\n"
    "       2    the command line is wrong\n"
    "       130  interrupted (Ctrl-C)\n";

// `text`, whose paragraphs are parted by newlines, in lines that begin with `indent` spaces. Lines
// that begin with a space stay as they are.
std::string wrapped(const std::string &text, std::size_t indent) {
  const std::string margin(indent, ' ');
  std::string out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    if (line.empty()) {
      out += '\n';
      continue;
    }
    if (line.front() == ' ') {
      out.append(margin).append(line.substr(1)) += '\n';
      continue;
    }
    while (!line.empty()) {
      std::size_t size = line.size();
      if (size > kColumns - indent) {
        size = line.rfind(' ', kColumns - indent);
        if (size == line.npos || size == 0) size = std::min(line.find(' '), line.size());
      }
      out.append(margin).append(line.substr(0, size)) += '\n';
      line.remove_prefix(std::min(size + 1, line.size()));
    }
  }
  return out;
}

std::string synopsis_of(const Option &option) {
  std::string text;
  if (option.letter) text += std::string("-") + option.letter + ", ";
  text += "--" + option.name;
  return option.argument.empty() ? text : text + " " + option.argument;
}

const Option *find_option(const Page &page, std::string_view name) {
  for (const Option &option : page.options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

const Option &known_option(const Page &page, const std::string &argument, std::string_view name) {
  const bool is_short = !argument.starts_with("--");
  for (const Option &option : page.options) {
    if (is_short ? option.letter && name == std::string_view(&option.letter, 1)
                 : option.name == name) {
      return option;
    }
  }
  throw UsageError("unknown option " + argument.substr(0, argument.find('=')));
}

}  // namespace

Option flag(std::string name, char letter, std::string help, bool &value) {
  return {std::move(name), letter, "", std::move(help),
          [&value](const std::string &) { value = true; }};
}

std::vector<std::string> parse_arguments(const Page &page,
                                         const std::vector<std::string> &arguments, bool &help) {
  std::vector<std::string> operands;
  help = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string &argument = arguments[i];
    if (argument == "--") {
      operands.insert(operands.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                      arguments.end());
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') {  // "-" is standard input
      operands.push_back(argument);
      continue;
    }
    if (argument == "--help" || argument == "-h") {
      help = true;
      return {};
    }
    const bool is_long = argument[1] == '-';
    const std::size_t equals = is_long ? argument.find('=') : std::string::npos;
    const std::string name =
        is_long ? argument.substr(2, equals == std::string::npos ? std::string::npos : equals - 2)
                : argument.substr(1, 1);
    const Option &option = known_option(page, argument, name);
    const std::string shown = is_long ? "--" + name : "-" + name;
    if (option.argument.empty()) {
      if (equals != std::string::npos || (!is_long && argument.size() > 2)) {
        throw UsageError(shown + " takes no value");
      }
      option.set("");
    } else if (equals != std::string::npos) {
      option.set(argument.substr(equals + 1));
    } else if (!is_long && argument.size() > 2) {
      option.set(argument.substr(2));
    } else if (i + 1 < arguments.size()) {
      option.set(arguments[++i]);
    } else {
      throw UsageError(shown + " needs a value: " + option.argument);
    }
  }
  return operands;
}

std::string help_text(const std::string &command, const Page &page) {
  std::string text = "NAME\n" + wrapped(command + " - " + page.summary, kIndent);
  text += "\nSYNOPSIS\n" + wrapped(command + " [OPTION]... " + page.operands, kIndent);
  text += "\nDESCRIPTION\n" + wrapped(page.description, kIndent);
  text += "\nOPTIONS\n";
  for (const Option &option : page.options) {
    text += wrapped(synopsis_of(option), kIndent) + wrapped(option.help, kIndent + 7) + "\n";
  }
  text += wrapped("-h, --help", kIndent) + wrapped("Prints this and exits.", kIndent + 7) + "\n";
  text += kExitStatus;
  if (find_option(page, "model")) {
    text += "\nENVIRONMENT\n" + wrapped("MOONDREAM_MODEL", kIndent) +
            wrapped("The model where --model is not given.", kIndent + 7);
  }
  if (!page.examples.empty()) text += "\nEXAMPLES\n" + wrapped(page.examples, kIndent);
  return text;
}

std::string overview_text(const std::vector<Page> &pages) {
  std::string text =
      "NAME\n" +
      wrapped("moondream - asks the Moondream vision-language model about pictures", kIndent) +
      "\nSYNOPSIS\n" +
      wrapped(
          "moondream COMMAND [OPTION]... [OPERAND]...\nmoondream COMMAND --help\n"
          "moondream --version",
          kIndent) +
      "\nCOMMANDS\n";
  std::size_t width = 0;
  for (const Page &page : pages) width = std::max(width, page.name.size());
  for (const Page &page : pages) {
    text += std::string(kIndent, ' ') + page.name + std::string(width + 2 - page.name.size(), ' ') +
            page.summary + "\n";
  }
  text += "\nDESCRIPTION\n" +
          wrapped(
              "Results go to standard output, as text or with --json as one JSON object a "
              "line; errors and progress go to standard error, the latter only where it is a "
              "terminal. Coordinates are fractions of the picture, from 0, 0 at its top left "
              "to 1, 1 at its bottom right.",
              kIndent);
  text += "\n";
  text += kExitStatus;
  return text;
}

double number_between(const std::string &option, const std::string &value, double min, double max) {
  char *end = nullptr;
  errno = 0;
  const double number = std::strtod(value.c_str(), &end);
  const bool is_number = !value.empty() && *end == 0 && errno == 0 && std::isfinite(number);
  if (!is_number || number < min || number > max) {
    char range[80];
    if (std::isinf(max)) {
      std::snprintf(range, sizeof range, "of at least %g", min);
    } else {
      std::snprintf(range, sizeof range, "from %g to %g", min, max);
    }
    throw UsageError("--" + option + ": \"" + value + "\" is not a number " + range);
  }
  return number;
}

long long integer_between(const std::string &option, const std::string &value, long long min,
                          long long max) {
  char *end = nullptr;
  errno = 0;
  const long long number = std::strtoll(value.c_str(), &end, 10);
  if (value.empty() || *end != 0 || errno != 0 || number < min || number > max) {
    throw UsageError("--" + option + ": \"" + value + "\" is not a whole number from " +
                     std::to_string(min) + " to " + std::to_string(max));
  }
  return number;
}

std::vector<double> fractions(const std::string &option, const std::string &value,
                              std::size_t count) {
  std::vector<double> numbers;
  for (std::size_t begin = 0; begin <= value.size();) {
    const std::size_t end = std::min(value.find(',', begin), value.size());
    numbers.push_back(number_between(option, value.substr(begin, end - begin), 0, 1));
    begin = end + 1;
  }
  if (numbers.size() != count) {
    throw UsageError("--" + option + ": \"" + value + "\" is not " + std::to_string(count) +
                     " numbers with commas between them");
  }
  return numbers;
}

}  // namespace moondream::cli
