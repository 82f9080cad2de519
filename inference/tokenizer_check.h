// Whether a tokenizer is the one that a model was trained with.
#pragma once

#include <string>

#include "config.h"
#include "tokenizer.h"

namespace moondream {

// Compares the vocabulary with the published templates of `config`, if it has these: their ids must
// mean what they were made from. The snapshot of 2025-06-21, whose model has a vocabulary of its
// own, comes with the tokenizer of the models before it, which would make fluent nonsense.
// Throws Error{kMismatch} that names `model` and says what to do. Thread-safety: safe.
void check_tokenizer(const TokenizerConfig &config, const Tokenizer &tokenizer,
                     const std::string &model);

}  // namespace moondream
