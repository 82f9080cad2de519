#include "sentencepiece_model.h"

#include <bitset>
#include <charconv>
#include <cmath>
#include <unordered_set>

#include "files.h"
#include "protobuf_reader.h"
#include "types.h"

namespace moondream {
namespace {

SentencePiece parse_piece(std::string_view message, const std::string &where) {
  SentencePiece piece;
  ProtobufReader reader(message, where);
  while (reader.next()) {
    if (reader.field() == 1) {
      piece.text = reader.bytes();
    } else if (reader.field() == 2) {
      piece.score = reader.real();
    } else if (reader.field() == 3) {
      const std::uint64_t type = reader.integer();
      if (type < 1 || type > 6) reader.fail("has the unknown type " + std::to_string(type));
      piece.type = static_cast<PieceType>(type);
    }
  }
  if (piece.text.empty()) reader.fail("has no text");
  if (piece.text.find('\0') != std::string::npos) reader.fail("has a NUL in its text");
  if (!std::isfinite(piece.score)) reader.fail("has a score that is not a number");
  return piece;
}

void parse_trainer_spec(std::string_view message, const std::string &file,
                        SentencePieceModel &model) {
  ProtobufReader reader(message, file + ": trainer_spec");
  while (reader.next()) {
    if (reader.field() == 3) {
      const std::uint64_t type = reader.integer();
      if (type == 3 || type == 4) {
        throw Error(ErrorKind::kMismatch, file + ": trainer_spec: the model type " +
                                              (type == 3 ? "WORD" : "CHAR") + " is not supported");
      }
      if (type != 1 && type != 2) reader.fail("unknown model type " + std::to_string(type));
      model.algorithm = type == 1 ? SentencePieceAlgorithm::kUnigram : SentencePieceAlgorithm::kBpe;
    } else if (reader.field() == 24) {
      model.treat_whitespace_as_suffix = reader.integer() != 0;
    } else if (reader.field() == 35) {
      model.byte_fallback = reader.integer() != 0;
    } else if (reader.field() == 44) {
      model.unknown_surface = reader.bytes();
    }
  }
}

void parse_normalizer_spec(std::string_view message, const std::string &file,
                           SentencePieceModel &model) {
  ProtobufReader reader(message, file + ": normalizer_spec");
  while (reader.next()) {
    if (reader.field() == 2) {
      model.precompiled_charsmap = reader.bytes();
    } else if (reader.field() == 3) {
      model.add_dummy_prefix = reader.integer() != 0;
    } else if (reader.field() == 4) {
      model.remove_extra_whitespaces = reader.integer() != 0;
    } else if (reader.field() == 5) {
      model.escape_whitespaces = reader.integer() != 0;
    }
  }
}

// A model may also bring rules for decoded text. None in use does.
void refuse_denormalizer(std::string_view message, const std::string &file) {
  ProtobufReader reader(message, file + ": denormalizer_spec");
  while (reader.next()) {
    if (reader.field() == 2 && !reader.bytes().empty()) {
      throw Error(ErrorKind::kMismatch, file + ": denormalizer_spec is not supported");
    }
  }
}

void check_pieces(SentencePieceModel &model, const std::string &file) {
  const auto fail = [&](const std::string &what) {
    throw Error(ErrorKind::kRead, file + ": " + what);
  };
  std::unordered_set<std::string_view> found_in_text, others;
  std::bitset<256> bytes;
  int unknown = -1;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiece &piece = model.pieces[id];
    if (!(is_found_in_text(piece.type) ? found_in_text : others).insert(piece.text).second) {
      fail("the piece " + quote(piece.text) + " occurs twice");
    }
    if (piece.type == PieceType::kUnknown) {
      if (unknown >= 0) fail("there are two unknown pieces");
      unknown = static_cast<int>(id);
    }
    if (piece.type == PieceType::kByte) {
      const auto byte = byte_of_piece(piece.text);
      if (!byte || !model.byte_fallback)
        fail("the byte piece " + quote(piece.text) + " is invalid");
      bytes.set(*byte);
    }
  }
  if (unknown < 0) fail("there is no unknown piece");
  if (model.byte_fallback && !bytes.all()) fail("byte pieces are missing");
  if (model.algorithm == SentencePieceAlgorithm::kUnigram && found_in_text.empty()) {
    fail("there are no pieces");
  }
  model.unknown_id = unknown;
}

}  // namespace

bool is_found_in_text(PieceType type) {
  return type == PieceType::kNormal || type == PieceType::kUserDefined ||
         type == PieceType::kUnused;
}

std::optional<unsigned char> byte_of_piece(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  const std::size_t high = kDigits.find(text[3]), low = kDigits.find(text[4]);
  if (high == kDigits.npos || low == kDigits.npos) return std::nullopt;
  return static_cast<unsigned char>(16 * high + low);
}

SentencePieceModel parse_sentencepiece_model(std::string_view serialized, const std::string &file) {
  SentencePieceModel model;
  ProtobufReader reader(serialized, file);
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        model.pieces.push_back(
            parse_piece(reader.bytes(), file + ": piece " + std::to_string(model.pieces.size())));
        break;
      case 2:
        parse_trainer_spec(reader.bytes(), file, model);
        break;
      case 3:
        parse_normalizer_spec(reader.bytes(), file, model);
        break;
      case 5:
        refuse_denormalizer(reader.bytes(), file);
        break;
      default:
        break;  // samples for tests of the library, and extensions of others
    }
  }
  check_pieces(model, file);
  return model;
}

}  // namespace moondream
