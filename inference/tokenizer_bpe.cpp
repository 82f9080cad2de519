#include "tokenizer_bpe.h"

#include <algorithm>
#include <utility>

#include "files.h"
#include "json_text.h"
#include "json_view.h"
#include "tokenizer_added_tokens.h"
#include "tokenizer_bpe_model.h"
#include "tokenizer_decoder.h"
#include "tokenizer_normalizer.h"
#include "tokenizer_pre_tokenizer.h"

namespace moondream {
namespace {

// In a whole file; those in use have up to 500. ICU takes two kilobytes for "\p{L}" compiled.
constexpr std::size_t kMaxExpressionBytes = 8192;

// Bytes of all regular expressions in a section. JSON of files nests no deeper than parse_json()
// allows.
std::size_t expression_bytes(const nlohmann::json &value) {
  std::size_t bytes = 0;
  for (const auto &[key, member] : value.items()) {
    if (member.is_structured()) bytes += expression_bytes(member);
    if (value.is_object() && key == "Regex" && member.is_string()) {
      bytes += member.get_ref<const std::string &>().size();
    }
  }
  return bytes;
}

// Refuses the sections that would change what encode() returns and are not supported.
void check_sections(const JsonView &root) {
  root.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer",
                   "pre_tokenizer", "post_processor", "decoder", "model"});
  if (const auto version = root.find("version"); version && version->string() != "1.0") {
    root.unsupported("version " + quote(version->string()));
  }
  for (const char *key : {"truncation", "padding"}) {
    if (const auto section = root.find(key)) section->unsupported(key);
  }
  std::size_t expressions = 0;
  for (const char *key : {"normalizer", "pre_tokenizer", "decoder"}) {
    const auto section = root.find(key);
    if (section && section->raw().is_object()) expressions += expression_bytes(section->raw());
  }
  if (expressions > kMaxExpressionBytes) {
    root.unsupported("regular expressions of " + std::to_string(expressions) + " bytes");
  }
  if (const auto post_processor = root.find("post_processor")) {
    // ByteLevel trims the positions of tokens in the text, which are not kept. TemplateProcessing
    // adds special tokens, which encode() never does: prompts bring their own.
    const std::string &type = post_processor->at("type").string();
    if (type != "ByteLevel" && type != "TemplateProcessing") {
      post_processor->unsupported("type " + quote(type));
    }
  }
}

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(const JsonView &root) : model_(root.at("model")) {
    check_sections(root);
    if (const auto section = root.find("normalizer")) normalizer_ = make_normalizer(*section);
    if (const auto section = root.find("pre_tokenizer")) {
      pre_tokenizer_ = make_pre_tokenizer(*section);
    }
    if (const auto section = root.find("decoder")) decoder_ = make_decoder(*section);
    if (const auto section = root.find("added_tokens")) {
      added_tokens_ = AddedTokens(*section, model_, normalizer_);
    }
  }

  std::vector<int> encode(std::string_view text) const override {
    const std::string valid = checked_text(text);
    std::vector<int> ids;
    for (const AddedTokens::Piece &piece : added_tokens_.split_raw(valid)) {
      if (piece.id) {
        ids.push_back(*piece.id);
      } else {
        encode_piece(std::string(piece.text), ids);
      }
    }
    return ids;
  }

  std::string decode(std::span<const int> ids, bool skip_special_tokens) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (const int id : ids) {
      const std::string *token = added_tokens_.find_token(id);
      if (!token) token = model_.find_token(id);
      if (!token) fail_unknown_id(id);
      if (skip_special_tokens && added_tokens_.is_special(id)) continue;
      tokens.push_back(*token);
    }
    std::string text;
    if (decoder_) {
      for (const std::string &part : decoder_(std::move(tokens))) text += part;
    } else {
      for (std::size_t i = 0; i < tokens.size(); ++i) text += i == 0 ? tokens[i] : " " + tokens[i];
    }
    return text;
  }

  bool contains(int id) const override {
    return added_tokens_.find_token(id) || model_.find_token(id);
  }

  int vocab_size() const override { return std::max(model_.max_id(), added_tokens_.max_id()) + 1; }

 private:
  // Appends the ids of a text that holds no added token of those looked for before normalization.
  void encode_piece(std::string text, std::vector<int> &ids) const {
    if (normalizer_) text = normalizer_(std::move(text));
    for (const AddedTokens::Piece &piece : added_tokens_.split_normalized(text)) {
      if (piece.id) {
        ids.push_back(*piece.id);
        continue;
      }
      std::vector<std::string> words{std::string(piece.text)};
      if (pre_tokenizer_) words = pre_tokenizer_(std::move(words));
      for (const std::string &word : words) model_.encode(word, ids);
    }
  }

  BpeModel model_;
  Normalizer normalizer_;       // empty: text stays as it is
  PreTokenizer pre_tokenizer_;  // empty: text is one word
  Decoder decoder_;             // empty: spaces between tokens
  AddedTokens added_tokens_;
};

}  // namespace

std::unique_ptr<const Tokenizer> load_bpe_tokenizer(std::string_view json,
                                                    const std::string &file) {
  const nlohmann::json root = parse_json(json, file);
  return std::make_unique<BpeTokenizer>(JsonView(root, file));
}

}  // namespace moondream
