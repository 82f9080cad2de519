// A text that is said in pieces while it grows: the reference's rules, and that no piece is ever
// taken back.
#include "text_stream.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "tokenizer_fixture.h"
#include "utf8.h"

namespace moondream::test {
namespace {

// Tokens whose texts, or parts of characters, are written down; the id is the place in the list.
class ScriptedTokenizer : public Tokenizer {
 public:
  explicit ScriptedTokenizer(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}

  std::vector<int> encode(std::string_view) const override { return {}; }
  std::string decode(std::span<const int> ids, bool) const override {
    std::string bytes;
    for (const int id : ids) bytes += tokens_.at(static_cast<std::size_t>(id));
    return to_valid_utf8(bytes);
  }
  bool contains(int id) const override { return id >= 0 && id < vocab_size(); }
  int vocab_size() const override { return static_cast<int>(tokens_.size()); }

 private:
  std::vector<std::string> tokens_;
};

using Pieces = std::vector<std::string>;

Pieces streamed(const Tokenizer &tokenizer, const std::vector<int> &ids, bool strip = false) {
  TextStream stream(tokenizer, strip);
  Pieces pieces;
  for (const int id : ids) pieces.push_back(stream.add(id));
  pieces.push_back(stream.end());
  EXPECT_EQ(stream.text(), std::accumulate(pieces.begin(), pieces.end(), std::string()));
  return pieces;
}

// The pieces of tokens 0, 1, 2, ... that have these texts.
Pieces streamed(const std::vector<std::string> &tokens, bool strip = false) {
  std::vector<int> ids(tokens.size());
  std::iota(ids.begin(), ids.end(), 0);
  return streamed(ScriptedTokenizer(tokens), ids, strip);
}

std::string joined(const Pieces &pieces) {
  return std::accumulate(pieces.begin(), pieces.end(), std::string());
}

std::u32string code_points_of(const std::string &text) {
  std::u32string points;
  for (std::size_t pos = 0; pos < text.size();) points += next_code_point(text, pos);
  return points;
}

std::string utf8_of(const std::u32string &points) {
  std::string text;
  for (const char32_t point : points) append_code_point(text, point);
  return text;
}

// The generator of the reference's _generate_answer, line by line, on strings of code points as
// Python's are: one piece, perhaps empty, for each token, and the flush.
Pieces reference_pieces(const Tokenizer &tokenizer, const std::vector<int> &ids) {
  const auto is_cjk = [](char32_t c) {
    return (0x4E00 <= c && c <= 0x9FFF) || (0x3400 <= c && c <= 0x4DBF) ||
           (0x2F800 <= c && c <= 0x2FA1F);
  };
  Pieces pieces;
  std::vector<int> token_cache;
  std::size_t print_len = 0;
  for (const int id : ids) {
    token_cache.push_back(id);
    const std::u32string text = code_points_of(tokenizer.decode(token_cache));
    std::u32string printable;
    if (!text.empty() && text.back() == U'\n') {
      printable = text.substr(std::min(print_len, text.size()));
      token_cache.clear();
      print_len = 0;
    } else if (!text.empty() && is_cjk(text.back())) {
      printable = text.substr(std::min(print_len, text.size()));
      print_len += printable.size();
    } else {
      for (std::size_t i = text.size(); i-- > print_len;) {
        if (text[i] != U' ') continue;
        printable = text.substr(print_len, i + 1 - print_len);
        print_len += printable.size();
        break;
      }
    }
    pieces.push_back(utf8_of(printable));
  }
  const std::u32string text = code_points_of(tokenizer.decode(token_cache));
  pieces.push_back(utf8_of(text.substr(std::min(print_len, text.size()))));
  return pieces;
}

TEST(TextStream, SaysWordsOnceASpaceShowsWhereTheyEnd) {
  EXPECT_EQ(streamed({"A", " black", " c", "at", " sits", "."}),
            (Pieces{"", "A ", "black ", "", "cat ", "", "sits."}));
}

TEST(TextStream, ALineFeedEndsALineAtOnce) {
  EXPECT_EQ(streamed({"One", ".\n", "Two", "\n", "\n", "Three"}),
            (Pieces{"", "One.\n", "", "Two\n", "\n", "", "Three"}));
}

TEST(TextStream, ChineseCharactersNeedNoSpace) {
  EXPECT_EQ(streamed({"一", "只猫", "。", "㐀", "丽", " ok"}),
            (Pieces{"一", "只猫", "", "。㐀", "丽", " ", "ok"}));
  // Kana are not in the reference's ranges.
  EXPECT_EQ(streamed({"ね", "こ", "猫", "だ"}), (Pieces{"", "", "ねこ猫", "", "だ"}));
}

TEST(TextStream, NeverSaysHalfACharacter) {
  // "é " and "🐈 猫" byte by byte.
  EXPECT_EQ(streamed({"\xC3", "\xA9", " "}), (Pieces{"", "", "é ", ""}));
  EXPECT_EQ(streamed({"\xF0", "\x9F", "\x90", "\x88", " ", "\xE7", "\x8C", "\xAB"}),
            (Pieces{"", "", "", "", "🐈 ", "", "", "猫", ""}));
  // One that never ends is a replacement character in the result, and in the stream.
  EXPECT_EQ(streamed({"a ", "\xE7\x8C"}), (Pieces{"a ", "", "\uFFFD"}));
}

TEST(TextStream, OfNothingIsNothing) {
  EXPECT_EQ(streamed(std::vector<std::string>{}), Pieces{""});
  EXPECT_EQ(streamed({"", ""}), (Pieces{"", "", ""}));
}

TEST(TextStream, TokensWithoutTextAreLeftOut) {
  const ScriptedTokenizer tokenizer({"a ", "b"});
  EXPECT_EQ(streamed(tokenizer, {-1, 0, 7, 1}), (Pieces{"", "a ", "", "", "b"}));
}

TEST(TextStream, StrippedTextsBeginAndEndWithAWord) {
  EXPECT_EQ(streamed({" ", "\n", " a ", "b", " \n", "\n ", "c ", " "}, true),
            (Pieces{"", "", "a", " ", "b", "", " \n\n c", "", ""}));
  EXPECT_EQ(streamed({" ", "\n"}, true), (Pieces{"", "", ""}));
}

// A decoder that takes back what it said: a run of bytes that turns out to be no text is one
// replacement character for each. What was said stays, as in the reference.
TEST(TextStream, WhatWasSaidStaysEvenIfTheTokenizerTakesItBack) {
  class Fallback : public ScriptedTokenizer {
   public:
    Fallback() : ScriptedTokenizer({"A", " ", "\xE7"}) {}
    std::string decode(std::span<const int> ids, bool special) const override {
      std::string replaced;
      if (!std::ranges::count(ids, 2)) return ScriptedTokenizer::decode(ids, special);
      for (std::size_t i = 0; i < ids.size(); ++i) replaced += "\uFFFD";
      return replaced;
    }
  };
  EXPECT_EQ(streamed(Fallback(), {0, 1, 2}), (Pieces{"", "A ", "", "\uFFFD"}));
}

// ---- Properties, over vocabularies that models have --------------------------------------------

class TextStreamVocabulary : public testing::TestWithParam<std::string> {
 protected:
  // Random tokens, most of them from a few dozen, so that lines, words and parts of characters
  // meet in all orders.
  std::vector<int> random_ids(std::mt19937 &random, std::size_t count) const {
    std::vector<int> few(40), ids;
    for (int &id : few) id = any(random);
    for (const int id : breaks_) few.push_back(id);
    while (ids.size() < count) {
      ids.push_back(random() % 4 ? few[random() % few.size()] : any(random));
    }
    return ids;
  }

  const std::filesystem::path path_ =
      GetParam() == "demo-model" ? kTokenizerData / "../../../examples/demo-model/tokenizer.model"
                                 : kTokenizerData / (GetParam() + ".json");
  const std::unique_ptr<const Tokenizer> tokenizer_ = load_tokenizer(path_);

 private:
  int any(std::mt19937 &random) const {
    while (true) {
      const int id = static_cast<int>(random() % static_cast<unsigned>(tokenizer_->vocab_size()));
      if (tokenizer_->contains(id)) return id;
    }
  }

  // Single bytes, Chinese characters and line feeds are rare in a vocabulary.
  const std::vector<int> breaks_ = tokenizer_->encode("\n a\n\n猫 é🐈 は");
};

TEST_P(TextStreamVocabulary, AllPiecesInARowAreTheTextAndEachIsWholeCharacters) {
  std::mt19937 random(1);
  for (int run = 0; run < 150; ++run) {
    const std::vector<int> ids = random_ids(random, 1 + random() % 120);
    const Pieces pieces = streamed(*tokenizer_, ids);
    ASSERT_EQ(joined(pieces), tokenizer_->decode(ids)) << run;
    for (const std::string &piece : pieces) ASSERT_EQ(piece, to_valid_utf8(piece)) << run;
  }
}

TEST_P(TextStreamVocabulary, LongTextsToo) {
  std::mt19937 random(2);
  for (int run = 0; run < 5; ++run) {
    const std::vector<int> ids = random_ids(random, 1500);
    ASSERT_EQ(joined(streamed(*tokenizer_, ids)), tokenizer_->decode(ids)) << run;
    // One word without end, and one of which every token is a part of a character.
    const std::vector<int> word(700, tokenizer_->encode("a").back());
    ASSERT_EQ(joined(streamed(*tokenizer_, word)), tokenizer_->decode(word));
    const std::vector<int> part(700, tokenizer_->encode("🐈").back());
    ASSERT_EQ(joined(streamed(*tokenizer_, part)), tokenizer_->decode(part));
  }
}

TEST_P(TextStreamVocabulary, ProperTextHasNoReplacementCharacterInAnyPiece) {
  const std::string text =
      "Grüße, 猫と🐈‍⬛ и кот…\nΓάτα  مرحبا\n\n日本語 "
      "👩‍👩‍👧 "
      "end";
  const std::vector<int> ids = tokenizer_->encode(text);
  const Pieces pieces = streamed(*tokenizer_, ids);
  EXPECT_EQ(joined(pieces), tokenizer_->decode(ids));
  for (const std::string &piece : pieces) EXPECT_EQ(piece.find("\uFFFD"), piece.npos) << piece;
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, TextStreamVocabulary,
                         testing::Values("gpt2-codegen", "superword", "demo-model"),
                         [](const auto &test) {
                           return test.param == "superword"    ? "Superword"
                                  : test.param == "demo-model" ? "SentencePiece"
                                                               : "Gpt2";
                         });

class TextStreamByteLevel : public TextStreamVocabulary {};

TEST_P(TextStreamByteLevel, PiecesAreThoseOfTheReferenceTokenByToken) {
  std::mt19937 random(3);
  for (int run = 0; run < 150; ++run) {
    const std::vector<int> ids = random_ids(random, 1 + random() % 400);
    ASSERT_EQ(streamed(*tokenizer_, ids), reference_pieces(*tokenizer_, ids)) << run;
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, TextStreamByteLevel,
                         testing::Values("gpt2-codegen", "superword"), [](const auto &test) {
                           return test.param == "superword" ? "Superword" : "Gpt2";
                         });

// Any decoder that a tokenizer.json may ask for: whatever it does to a growing text.
TEST(TextStreamDecoders, EveryPieceIsWholeCharactersAndEndsUpInTheText) {
  const auto superword = read_json(kTokenizerData / "superword.json");
  for (const auto &variant : read_json(kTokenizerData / "variants.json")) {
    SCOPED_TRACE(variant.at("name"));
    auto json = superword;
    json.update(variant.at("sections"));
    const auto tokenizer = load_json(json.dump());
    std::mt19937 random(4);
    for (int run = 0; run < 10; ++run) {
      std::vector<int> ids(100);
      for (int &id : ids) id = static_cast<int>(random() % 600);
      for (const std::string &piece : streamed(*tokenizer, ids)) {
        ASSERT_EQ(piece, to_valid_utf8(piece));
      }
    }
  }
}

}  // namespace
}  // namespace moondream::test
