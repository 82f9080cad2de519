// tokenizer.json: Hugging Face's description of a byte-level BPE tokenizer.
#include "use_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const moondream::fuzz::InputFile file("tokenizer.json");
  // A class of a regular expression may take two kilobytes for each byte; of the other sections a
  // token is a tree's node in the document, and entries of three tables.
  moondream::fuzz::use_tokenizer(file, {reinterpret_cast<const char *>(data), size},
                                 (std::size_t{32} << 20) + 512 * size);
  return 0;
}
