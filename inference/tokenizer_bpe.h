// Hugging Face tokenizer.json files of type BPE: byte-level ones such as GPT-2's and superword
// vocabularies, and those converted from sentencepiece.
//
//   text -> added tokens | normalizer -> added tokens | pre-tokenizer -> words -> merges -> ids
//   ids -> token texts -> decoder -> text
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tokenizer.h"

namespace moondream {

// Reads the contents `json` of `file`, which only names it in errors. Throws Error: kRead,
// kMismatch and kFailed as load_tokenizer() does.
std::unique_ptr<const Tokenizer> load_bpe_tokenizer(std::string_view json, const std::string &file);

}  // namespace moondream
