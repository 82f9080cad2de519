// The "decoder" section of a tokenizer.json: how the texts of tokens become text.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "json_view.h"

namespace moondream {

// Maps token texts to other ones, fewer or as many; the result of the last step is concatenated.
// All of them are valid UTF-8.
// Throws Error{kFailed} as Pattern::find_matches() does. Thread-safety: safe.
using Decoder = std::function<std::vector<std::string>(std::vector<std::string> tokens)>;

// ByteLevel, ByteFallback, Fuse, Replace, Strip, and Sequence of these.
// Throws Error: kRead, or kMismatch naming a type that is none of them.
Decoder make_decoder(const JsonView &section);

}  // namespace moondream
