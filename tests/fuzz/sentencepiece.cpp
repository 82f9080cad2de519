// .model: sentencepiece's protocol buffer.
#include "use_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const moondream::fuzz::InputFile file("tokenizer.model");
  // A piece of a few bytes is a string of 32 with its score and type, an entry of two tables.
  moondream::fuzz::use_tokenizer(file, {reinterpret_cast<const char *>(data), size},
                                 65536 + 128 * size);
  return 0;
}
