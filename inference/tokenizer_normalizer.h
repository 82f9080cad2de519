// The "normalizer" section of a tokenizer.json: what is done to text before it is cut.
#pragma once

#include <functional>
#include <string>

#include "json_view.h"

namespace moondream {

// Maps valid UTF-8 to valid UTF-8.
// Throws Error{kFailed} as Pattern::find_matches() does. Thread-safety: safe.
using Normalizer = std::function<std::string(std::string text)>;

// NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, and Sequence of these.
// Throws Error: kRead, or kMismatch naming a type that is none of them.
Normalizer make_normalizer(const JsonView &section);

}  // namespace moondream
