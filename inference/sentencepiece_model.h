// The contents of a sentencepiece .model file, a serialized sentencepiece.ModelProto.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moondream {

// Values are those of the file.
enum class PieceType {
  kNormal = 1,
  kUnknown = 2,      // what characters outside the vocabulary become
  kControl = 3,      // never found in text
  kUserDefined = 4,  // always one piece wherever its text occurs
  kUnused = 5,       // merges pass through it, but it does not come out
  kByte = 6,         // <0x00> to <0xFF>
};

struct SentencePiece {
  std::string text;  // UTF-8, not empty, without NUL; U+2581 stands for a space
  float score = 0;   // finite
  PieceType type = PieceType::kNormal;
};

enum class SentencePieceAlgorithm { kUnigram, kBpe };

struct SentencePieceModel {
  // A piece's position is its id. No two texts are equal among the pieces that are found in text
  // (normal, user defined, unused), nor among the other ones.
  std::vector<SentencePiece> pieces;
  int unknown_id = 0;  // of the one unknown piece

  // trainer_spec
  SentencePieceAlgorithm algorithm = SentencePieceAlgorithm::kUnigram;
  bool byte_fallback = false;  // then there are all 256 byte pieces
  bool treat_whitespace_as_suffix = false;
  std::string unknown_surface = " \u2047 ";  // what the unknown piece decodes to

  // normalizer_spec
  std::string precompiled_charsmap;  // empty: no rules
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// True for the pieces that are found in text.
bool is_found_in_text(PieceType type);

// The byte that a piece such as "<0x0A>" stands for.
std::optional<unsigned char> byte_of_piece(std::string_view text);

// Reads the contents `serialized` of `file`, which only names it in errors. Throws Error: kRead if
// it is malformed or breaks one of the rules above, kMismatch if it asks for what is not supported.
SentencePieceModel parse_sentencepiece_model(std::string_view serialized, const std::string &file);

}  // namespace moondream
