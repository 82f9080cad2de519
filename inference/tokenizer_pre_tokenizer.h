// The "pre_tokenizer" section of a tokenizer.json: how normalized text is cut into the words within
// which tokens may merge.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "json_view.h"

namespace moondream {

// Maps words to smaller words, in order, none of them empty. Text begins as one word.
// Throws Error{kFailed} as Pattern::find_matches() does. Thread-safety: safe.
using PreTokenizer = std::function<std::vector<std::string>(std::vector<std::string> words)>;

// ByteLevel, Split, Digits, Whitespace, WhitespaceSplit, and Sequence of these.
// Throws Error: kRead, or kMismatch naming a type that is none of them.
PreTokenizer make_pre_tokenizer(const JsonView &section);

}  // namespace moondream
