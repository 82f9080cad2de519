// Options that several subcommands have: which model, where and how.
#pragma once

#include <string>
#include <vector>

#include "arguments.h"
#include "types.h"

namespace moondream::cli {

// --tokenizer and --release. What they set must outlive the page.
Option tokenizer_option(std::string &path);
Option release_option(std::string &name);

// These, --model, --device and --precision, and --lora, also called --variant. They set `spec`,
// which must outlive the page.
std::vector<Option> model_options(ModelSpec &spec);

// Puts the environment's model where none was given. Throws UsageError if there is none either.
void complete(ModelSpec &spec);

}  // namespace moondream::cli
