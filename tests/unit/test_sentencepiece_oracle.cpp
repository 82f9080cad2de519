// Ids and texts equal those of the sentencepiece library, for models that it trains here and now.
//
// A program of its own, without libmoondream: on some systems the library cannot share a process
// with LibTorch.
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cctype>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tokenizer_sentencepiece.h"
#include "utf8.h"

namespace moondream {
namespace {

// ---- Texts -------------------------------------------------------------------------------------

// Scalar values of all lengths in UTF-8 that normalization rules, spaces and merges care about.
constexpr char32_t kCharacters[] = {
    U' ',      U' ',      U' ',      U'a',      U'b',      U'c',      U'e',          U't',
    U'h',      U'n',      U'T',      U'H',      U'E',      U'0',      U'1',          U'.',
    U',',      U'\'',     U'<',      U'>',      U'\t',     U'\n',     U'\u00A0',     U'\u00E9',
    U'e',      U'\u0301', U'\u00BD', U'\u017F', U'\u0130', U'\u2028', U'\u200B',     U'\u2581',
    U'\u3000', U'\uFF21', U'\uFF76', U'\uFF9E', U'\u30AB', U'\u3099', U'\uFB01',     U'\u33CF',
    U'\uFDFA', U'\uAC00', U'\u1100', U'\u1161', U'\u4E2D', U'\u6587', U'\U0001F600', U'\U0001F3FD',
    U'\u200D', U'\uFFFD',
};

std::string random_text(std::mt19937 &random, int max_length) {
  std::string text;
  for (int n = std::uniform_int_distribution(0, max_length)(random); n > 0; --n) {
    append_code_point(text, kCharacters[random() % std::size(kCharacters)]);
  }
  return text;
}

// Sentences of a small language, so that there is something to learn, and some noise.
std::vector<std::string> corpus() {
  const char *const words[] = {"the", "red",    "circle", "is",  "left", "of",    "a",    "green",
                               "big", "square", "and",    "one", "face", "plate", "über", "中文字",
                               "3",   "42",     "ＡＢＣ", "ﬁne", "café", "it's",  "The",  "THE"};
  std::mt19937 random(1);
  std::vector<std::string> sentences;
  for (int i = 0; i < 600; ++i) {
    std::string sentence;
    for (int n = 3 + static_cast<int>(random() % 9); n > 0; --n) {
      sentence += std::string(sentence.empty() ? "" : " ") + words[random() % std::size(words)];
    }
    sentences.push_back(sentence);
  }
  for (int i = 0; i < 60; ++i) sentences.push_back(random_text(random, 30) + "x");
  return sentences;
}

std::vector<std::string> texts() {
  std::vector<std::string> texts = {
      "",
      " ",
      "    ",
      "circle",
      " circle",
      "circle ",
      "  the   red  circle  ",
      "The RED Circle, and a square.",
      "\n\nthe\tface\r\n",
      "<s></s><unk><0x41><ctl> <ctl>",
      "<ud>the<ud>red <ud> ud<ud",
      "\u2581the\u2581 \u2581",
      "中文字中文字 ＡＢＣ ﬁne café cafe\u0301 ½ ㏏ ﷺ",
      "ｶﾞｷﾞ 가나 \u1100\u1161 \U0001F600\U0001F3FD\u200D",
      std::string("a\0b", 3),
      "\u3000\u3000the\u00A0\u200Bred",
      std::string(300, 'e'),
  };
  std::mt19937 random(2);
  for (int i = 0; i < 400; ++i) texts.push_back(random_text(random, 40));
  const std::vector<std::string> sentences = corpus();
  for (int i = 0; i < 100; ++i) {
    // A cut anywhere, made whole again where it was within a character.
    const std::string &sentence = sentences[random() % sentences.size()];
    texts.push_back(to_valid_utf8(sentence.substr(random() % (sentence.size() + 1))));
  }
  return texts;
}

// ---- Models ------------------------------------------------------------------------------------

struct ModelCase {
  const char *name;
  const char *arguments;  // of the trainer
  bool unuse = false;     // mark half of the pieces as unused
};

std::ostream &operator<<(std::ostream &out, const ModelCase &c) { return out << c.name; }

constexpr ModelCase kModels[] = {
    {"Unigram", "--model_type=unigram --vocab_size=150"},
    {"UnigramIdentity", "--model_type=unigram --vocab_size=150 --normalization_rule_name=identity"},
    {"UnigramNfkcCaseFolded",
     "--model_type=unigram --vocab_size=140 --normalization_rule_name=nfkc_cf"},
    {"UnigramBytes",
     "--model_type=unigram --vocab_size=400 --byte_fallback=true "
     "--character_coverage=0.99"},
    {"UnigramUserDefined",
     "--model_type=unigram --vocab_size=150 --character_coverage=0.98 "
     "--user_defined_symbols=<ud>,ud,th,ＡＢ --control_symbols=<ctl>,red"},
    {"UnigramUnused", "--model_type=unigram --vocab_size=150", true},
    {"UnigramKeepsSpaces",
     "--model_type=unigram --vocab_size=150 --remove_extra_whitespaces=false "
     "--normalization_rule_name=nfkc"},
    {"UnigramNoDummyPrefix", "--model_type=unigram --vocab_size=150 --add_dummy_prefix=false"},
    {"UnigramSuffix", "--model_type=unigram --vocab_size=150 --treat_whitespace_as_suffix=true"},
    {"UnigramUnknownSurface",
     "--model_type=unigram --vocab_size=120 --character_coverage=0.98 --unk_surface=?"},
    {"Bpe", "--model_type=bpe --vocab_size=200"},
    {"BpeBytes",
     "--model_type=bpe --vocab_size=450 --byte_fallback=true "
     "--normalization_rule_name=identity --character_coverage=0.99"},
    {"BpeKeepsSpaces",
     "--model_type=bpe --vocab_size=200 --remove_extra_whitespaces=false "
     "--add_dummy_prefix=false --normalization_rule_name=identity "
     "--split_by_whitespace=false --allow_whitespace_only_pieces=true"},
    {"BpeUserDefined",
     "--model_type=bpe --vocab_size=200 --character_coverage=0.98 "
     "--user_defined_symbols=<ud>,ud,th,ＡＢ --control_symbols=<ctl>,red"},
    {"BpeUnused", "--model_type=bpe --vocab_size=200", true},
    {"BpeSuffix", "--model_type=bpe --vocab_size=200 --treat_whitespace_as_suffix=true"},
};

class Sentences final : public sentencepiece::SentenceIterator {
 public:
  bool done() const override { return next_ == sentences_.size(); }
  void Next() override { ++next_; }
  const std::string &value() const override { return sentences_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string> sentences_ = corpus();
  std::size_t next_ = 0;
};

std::string train(const ModelCase &c) {
  Sentences sentences;
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      std::string(c.arguments) + " --num_threads=1 --minloglevel=2 --hard_vocab_limit=false",
      &sentences, &model);
  EXPECT_TRUE(status.ok()) << status.ToString();
  if (!c.unuse) return model;
  sentencepiece::SentencePieceProcessor processor;
  EXPECT_TRUE(processor.LoadFromSerializedProto(model).ok());
  std::vector<std::string> kept;
  for (int id = 0; id < processor.GetPieceSize(); id += 2) kept.push_back(processor.IdToPiece(id));
  EXPECT_TRUE(processor.SetVocabulary({kept.begin(), kept.end()}).ok());
  return processor.serialized_model_proto();
}

void expect_like_library(const std::string &model) {
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(model).ok());
  const auto tokenizer = load_sentencepiece_tokenizer(model, "test.model");
  EXPECT_EQ(tokenizer->vocab_size(), library.GetPieceSize());

  for (const std::string &text : texts()) {
    const std::vector<int> ids = library.EncodeAsIds(text);
    EXPECT_EQ(tokenizer->encode(text), ids) << "text: " << testing::PrintToString(text);
    EXPECT_EQ(tokenizer->decode(ids), library.DecodeIds(ids))
        << "ids: " << testing::PrintToString(ids);
  }
  // Ids in no sensible order: control pieces anywhere, broken characters of bytes.
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    std::vector<int> ids(random() % 12);
    for (int &id : ids) id = static_cast<int>(random() % library.GetPieceSize());
    EXPECT_EQ(tokenizer->decode(ids), library.DecodeIds(ids))
        << "ids: " << testing::PrintToString(ids);
  }
}

class SentencePieceOracle : public testing::TestWithParam<ModelCase> {};

// If this fails, prompts reach the model as other tokens than it was trained on, or its words come
// out otherwise than it meant them.
TEST_P(SentencePieceOracle, EncodesAndDecodesLikeTheLibrary) {
  expect_like_library(train(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Models, SentencePieceOracle, testing::ValuesIn(kModels),
                         [](const auto &test) { return std::string(test.param.name); });

TEST(SentencePieceOracleFile, OfTheDemoModelEncodesAndDecodesLikeTheLibrary) {
  std::ifstream stream(MOONDREAM_TEST_DATA "/../../examples/demo-model/tokenizer.model",
                       std::ios::binary);
  ASSERT_TRUE(stream);
  expect_like_library({std::istreambuf_iterator<char>(stream), {}});
}

}  // namespace
}  // namespace moondream
