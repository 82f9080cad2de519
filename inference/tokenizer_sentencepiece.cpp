#include "tokenizer_sentencepiece.h"

#include <array>
#include <optional>

#include "prefix_map.h"
#include "sentencepiece_model.h"
#include "sentencepiece_normalizer.h"
#include "sentencepiece_segmenter.h"
#include "utf8.h"

namespace moondream {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

PrefixMap user_defined_pieces(const SentencePieceModel &model) {
  std::vector<PrefixMap::Entry> entries;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == PieceType::kUserDefined) {
      entries.push_back({model.pieces[id].text, static_cast<int>(id)});
    }
  }
  return PrefixMap(std::move(entries));
}

// The characters of `bytes`, and U+FFFD for each byte that belongs to none.
std::string text_of_bytes(std::string_view bytes) {
  std::string text;
  for (std::size_t pos = 0; pos < bytes.size();) {
    std::size_t end = pos;
    const bool ill_formed = next_code_point(bytes, end) == 0xFFFD &&
                            bytes.substr(pos, kReplacement.size()) != kReplacement;
    if (ill_formed) end = pos + 1;
    text += ill_formed ? kReplacement : bytes.substr(pos, end - pos);
    pos = end;
  }
  return text;
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(std::string_view serialized, const std::string &file)
      : model_(parse_sentencepiece_model(serialized, file)),
        user_defined_(user_defined_pieces(model_)),
        normalizer_(model_, user_defined_, file),
        segmenter_(model_.algorithm == SentencePieceAlgorithm::kUnigram
                       ? make_unigram_segmenter(model_)
                       : make_bpe_segmenter(model_, user_defined_)) {
    for (std::size_t id = 0; id < model_.pieces.size(); ++id) {
      if (model_.pieces[id].type != PieceType::kByte) continue;
      byte_ids_[*byte_of_piece(model_.pieces[id].text)] = static_cast<int>(id);
    }
  }

  std::vector<int> encode(std::string_view text) const override {
    const std::string normalized = normalizer_.normalize(checked_text(text));
    std::vector<int> ids;
    bool after_unknown = false;
    for (const Segment &segment : segmenter_->segment(normalized)) {
      const bool unknown = segment.id == model_.unknown_id;
      if (unknown && model_.byte_fallback) {
        for (const char c : segment.text) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
      } else if (!unknown || !after_unknown) {  // a run of unknown characters is one piece
        ids.push_back(segment.id);
      }
      after_unknown = unknown;
    }
    return ids;
  }

  std::string decode(std::span<const int> ids, bool skip_special_tokens) const override {
    std::string text;
    std::string bytes;         // of the byte pieces just before
    bool at_beginning = true;  // nothing to be seen has come yet
    const auto end_bytes = [&] {
      if (bytes.empty()) return;
      text += text_of_bytes(bytes);
      bytes.clear();
      at_beginning = false;
    };
    for (const int id : ids) {
      if (!contains(id)) fail_unknown_id(id);
      const SentencePiece &piece = model_.pieces[static_cast<std::size_t>(id)];
      if (piece.type == PieceType::kByte) {
        bytes += static_cast<char>(*byte_of_piece(piece.text));
        continue;
      }
      end_bytes();
      if (piece.type == PieceType::kControl) {
        if (!skip_special_tokens) text += piece.text;
        continue;
      }
      const std::string surface = surface_of(piece, at_beginning);
      text += surface;
      if (!surface.empty()) at_beginning = false;
    }
    end_bytes();
    return to_valid_utf8(text);
  }

  bool contains(int id) const override { return id >= 0 && id < vocab_size(); }

  int vocab_size() const override { return static_cast<int>(model_.pieces.size()); }

 private:
  // The text of a piece. The space of the dummy prefix is taken off the beginning of the text, with
  // what other spaces are there if the model removes extra ones.
  std::string surface_of(const SentencePiece &piece, bool &at_beginning) const {
    if (piece.type == PieceType::kUnknown) return model_.unknown_surface;
    std::string_view rest = piece.text;
    if (at_beginning && (model_.add_dummy_prefix || model_.remove_extra_whitespaces) &&
        rest.starts_with(kSpaceSymbol)) {
      rest.remove_prefix(kSpaceSymbol.size());
      if (!model_.remove_extra_whitespaces) at_beginning = false;
    }
    std::string surface;
    while (!rest.empty()) {
      const bool space = rest.starts_with(kSpaceSymbol);
      surface += space ? ' ' : rest[0];
      rest.remove_prefix(space ? kSpaceSymbol.size() : 1);
    }
    return surface;
  }

  const SentencePieceModel model_;
  const PrefixMap user_defined_;  // to ids
  const SentencePieceNormalizer normalizer_;
  const std::unique_ptr<const SentencePieceSegmenter> segmenter_;
  std::array<int, 256> byte_ids_{};  // of the byte pieces, if there are any
};

}  // namespace

std::unique_ptr<const Tokenizer> load_sentencepiece_tokenizer(std::string_view serialized,
                                                              const std::string &file) {
  return std::make_unique<SentencePieceTokenizer>(serialized, file);
}

}  // namespace moondream
