#include "tokenizer.h"

#include <exception>
#include <new>
#include <system_error>

#include "files.h"
#include "tokenizer_bpe.h"
#include "tokenizer_sentencepiece.h"
#include "types.h"
#include "utf8.h"

namespace moondream {
namespace {

namespace fs = std::filesystem;

// Ten times the largest vocabulary in use. Weights passed by mistake are not read into memory.
constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;

// The tokenizer file of `path`, which is a directory or that file itself.
fs::path find_tokenizer_file(const fs::path &path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    if (error && status.type() != fs::file_type::not_found) {
      throw Error(ErrorKind::kRead, path.string() + ": " + error.message());
    }
    throw Error(ErrorKind::kNotFound, path.string() + ": no such tokenizer file or directory");
  }
  if (!fs::is_directory(status)) return path;
  for (const char *name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(path / name, error)) return path / name;
  }
  throw Error(ErrorKind::kNotFound,
              path.string() + ": holds neither tokenizer.json nor tokenizer.model");
}

}  // namespace

std::string Tokenizer::checked_text(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    throw Error(ErrorKind::kSettings, "a text of " + std::to_string(text.size()) +
                                          " bytes is too long to encode; the limit is " +
                                          std::to_string(kMaxTextBytes));
  }
  return to_valid_utf8(text);
}

void Tokenizer::fail_unknown_id(int id) {
  throw Error(ErrorKind::kSettings,
              "the id " + std::to_string(id) + " is not in the tokenizer's vocabulary");
}

std::unique_ptr<const Tokenizer> load_tokenizer(const fs::path &path) {
  try {
    const fs::path file = find_tokenizer_file(path);
    if (file.extension() == ".json")
      return load_bpe_tokenizer(read_file(file, kMaxFileBytes), file.string());
    if (file.extension() == ".model") {
      return load_sentencepiece_tokenizer(read_file(file, kMaxFileBytes), file.string());
    }
    throw Error(ErrorKind::kMismatch, file.string() + ": a tokenizer is a .json or a .model file");
  } catch (const Error &) {
    throw;
  } catch (const std::bad_alloc &) {
    throw Error(ErrorKind::kNoMemory, path.string() + ": no memory for this tokenizer");
  } catch (const std::exception &e) {
    throw Error(ErrorKind::kRead, path.string() + ": " + e.what());
  }
}

}  // namespace moondream
