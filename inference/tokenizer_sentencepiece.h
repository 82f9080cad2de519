// Sentencepiece models, unigram and BPE. Read and run here, with the results of the sentencepiece
// library: that one brings symbols of its own Protocol Buffers copy along, which on some systems
// keeps it from sharing a process with LibTorch.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tokenizer.h"

namespace moondream {

// Reads the contents `serialized` of `file`, which only names it in errors. Throws Error: kRead and
// kMismatch as load_tokenizer() does.
//
// Control pieces are the special tokens: text never encodes to one, and decode() skips them or
// spells them out. White space at the ends of a text and runs of it may not come back, and "
// circle" and "circle" may be the same ids: the file's normalizer decides.
std::unique_ptr<const Tokenizer> load_sentencepiece_tokenizer(std::string_view serialized,
                                                              const std::string &file);

}  // namespace moondream
