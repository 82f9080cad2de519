#include "program.h"

#include <iostream>

#include "moderation_rules.h"

namespace scenes {

int run_program(const Page &page, int argc, char **argv,
                const std::function<bool(const Operands &)> &body) {
  try {
    bool help = false;
    const Operands operands = moondream::cli::parse_arguments(page, {argv + 1, argv + argc}, help);
    if (help) {
      std::cout << moondream::cli::help_text(page.name, page);
      return 0;
    }
    return body(operands) ? 0 : 1;
  } catch (const UsageError &error) {
    std::cerr << page.name << ": " << error.what() << "\nTry \"" << page.name << " --help\".\n";
    return 2;
  } catch (const std::exception &error) {
    std::cerr << page.name << ": " << error.what() << '\n';
    return 1;
  }
}

Option text_option(std::string name, std::string argument, std::string help, std::string &value) {
  return {std::move(name), 0, std::move(argument), std::move(help),
          [&value](const std::string &text) { value = text; }};
}

Option list_option(std::string name, std::string help, std::vector<std::string> &value) {
  return {std::move(name), 0, "LIST", std::move(help),
          [&value](const std::string &text) { value = moondream::moderation::split_list(text); }};
}

}  // namespace scenes
