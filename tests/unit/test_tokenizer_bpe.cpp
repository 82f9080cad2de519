// What byte-pair encoding owes to any vocabulary, checked without one of the reference's.
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "tokenizer_fixture.h"

namespace moondream::test {
namespace {

using Json = nlohmann::json;

// A tokenizer.json without normalizer, pre-tokenizer and decoder.
Json plain_bpe(const Json &vocab, const Json &merges) {
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

struct RandomBpe {
  std::map<std::string, int> vocab;
  std::vector<std::pair<std::string, std::string>> merges;

  explicit RandomBpe(std::mt19937 &random) {
    for (const char *letter : {"a", "b", "c", "d"}) add(letter);
    std::vector<std::string> tokens = {"a", "b", "c", "d"};
    while (merges.size() < 60) {
      // Often the newest tokens, so that long ones come about.
      const auto pick = [&] {
        return tokens[random() % 3
                          ? random() % tokens.size()
                          : tokens.size() - 1 - random() % std::min<std::size_t>(4, tokens.size())];
      };
      const std::string left = pick(), right = pick();
      if (left.size() + right.size() > 12) continue;
      if (std::find(merges.begin(), merges.end(), std::pair(left, right)) != merges.end()) continue;
      merges.emplace_back(left, right);
      if (add(left + right)) tokens.push_back(left + right);
    }
  }

  // The definition, step by step: quadratic, and obvious.
  std::vector<int> encode(const std::string &text) const {
    std::vector<std::string> tokens;
    for (const char c : text) tokens.emplace_back(1, c);
    for (;;) {
      std::size_t best_rank = merges.size(), best = 0;
      for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
        const auto merge =
            std::find(merges.begin(), merges.end(), std::pair(tokens[i], tokens[i + 1]));
        const auto rank = static_cast<std::size_t>(merge - merges.begin());
        if (rank < best_rank) {
          best_rank = rank;
          best = i;
        }
      }
      if (best_rank == merges.size()) break;
      tokens[best] += tokens[best + 1];
      tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::vector<int> ids;
    for (const std::string &token : tokens) ids.push_back(vocab.at(token));
    return ids;
  }

 private:
  bool add(const std::string &token) {
    return vocab.emplace(token, static_cast<int>(vocab.size())).second;
  }
};

// The heap must find the merges that the definition finds, in its order.
TEST(BpeMerge, EqualsTheDefinitionOnRandomVocabulariesAndTexts) {
  std::mt19937 random(1);
  for (int v = 0; v < 20; ++v) {
    const RandomBpe bpe(random);
    Json merges = Json::array();
    for (const auto &[left, right] : bpe.merges) merges.push_back({left, right});
    const auto tokenizer = load_json(plain_bpe(bpe.vocab, merges).dump());
    for (int t = 0; t < 100; ++t) {
      std::string text;
      for (std::size_t n = random() % 60; n > 0; --n) text += "abcd"[random() % (1 + random() % 4)];
      ASSERT_EQ(tokenizer->encode(text), bpe.encode(text)) << text;
    }
  }
}

// Superword vocabularies make one word of a whole line: with the quadratic algorithm this would
// take minutes. A second is some thirty times what it takes.
TEST(BpeMerge, Encodes100000CharactersWithoutSpaceInUnderASecond) {
  const auto tokenizer = load_tokenizer(kTokenizerData / "superword.json");
  std::mt19937 random(1);
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += static_cast<char>('a' + random() % 26);
  const auto start = std::chrono::steady_clock::now();
  const auto ids = tokenizer->encode(text);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(tokenizer->decode(ids), text);
  EXPECT_LT(ids.size(), text.size()) << "nothing merged";
  EXPECT_LT(seconds.count(), 1.0);
}

TEST(BpeMerge, TakesTheLastOfTwoEqualMerges) {
  // "a b" is first and last: as the last it comes after "b c".
  const Json vocab = {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"bc", 4}};
  EXPECT_EQ(load_json(plain_bpe(vocab, {"a b", "b c"}).dump())->encode("abc"), (std::vector{3, 2}));
  EXPECT_EQ(load_json(plain_bpe(vocab, {"a b", "b c", "a b"}).dump())->encode("abc"),
            (std::vector{0, 4}));
}

TEST(BpeMerge, SkipsTheVersionLineOfOldFiles) {
  const Json vocab = {{"a", 0}, {"b", 1}, {"ab", 2}};
  EXPECT_EQ(load_json(plain_bpe(vocab, {"#version: 0.2", "a b"}).dump())->encode("ab"),
            std::vector{2});
}

// Gaps between ids happen in real files; the embedding table has rows for them.
TEST(BpeTokenizer, CountsIdsUpToTheLargestOne) {
  Json json = plain_bpe({{"a", 0}, {"b", 7}}, Json::array());
  EXPECT_EQ(load_json(json.dump())->vocab_size(), 8);
  json["added_tokens"] = {{{"id", 20},
                           {"content", "<x>"},
                           {"single_word", false},
                           {"lstrip", false},
                           {"rstrip", false},
                           {"normalized", false},
                           {"special", true}}};
  EXPECT_EQ(load_json(json.dump())->vocab_size(), 21);
}

TEST(BpeTokenizer, RefusesToDecodeIdsThatAreNotInTheVocabulary) {
  const auto tokenizer = load_json(plain_bpe({{"a", 0}, {"b", 7}}, Json::array()).dump());
  for (const int id : {-1, 1, 8, 1'000'000'000}) {
    const Error error = error_of([&] { tokenizer->decode(std::vector{0, id}); });
    EXPECT_EQ(error.kind(), ErrorKind::kSettings);
    EXPECT_TRUE(says(error, std::to_string(id))) << error.what();
  }
}

// A template that adds special tokens is for callers who have no prompts of their own.
TEST(BpeTokenizer, AddsNoSpecialTokensWhateverThePostProcessor) {
  Json json = plain_bpe({{"a", 0}, {"<s>", 1}}, Json::array());
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single",
                             {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
                              {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
                            {"pair", Json::array()},
                            {"special_tokens", Json::object()}};
  EXPECT_EQ(load_json(json.dump())->encode("a"), std::vector{0});
}

TEST(BpeTokenizer, ReadsIllFormedTextAsReplacementCharacters) {
  const auto tokenizer = load_tokenizer(kTokenizerData / "superword.json");
  // One U+FFFD for the stray byte, one for the truncated character.
  EXPECT_EQ(tokenizer->encode("a\xFF"
                              "b\xE4\xB8"),
            tokenizer->encode("a\uFFFDb\uFFFD"));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("\xF0\x9F\x98")), "\uFFFD");
}

// Streams of tokens are decoded while a character is still incomplete.
TEST(BpeTokenizer, DecodesEveryPrefixOfATextToValidUtf8) {
  const auto tokenizer = load_tokenizer(kTokenizerData / "superword.json");
  const std::string text = "a\U0001F600\u4E2D\u6587";
  const auto ids = tokenizer->encode(text);
  ASSERT_GT(ids.size(), 4u) << "the characters were to be cut";
  for (std::size_t n = 0; n <= ids.size(); ++n) {
    const std::string part = tokenizer->decode(std::span(ids).first(n));
    const bool complete = part.find("\uFFFD") == std::string::npos;
    EXPECT_EQ(text.starts_with(part), complete) << part;
    EXPECT_NO_THROW(Json(part).dump()) << "ill-formed after " << n;
  }
}

TEST(BpeTokenizer, RefusesTextsOverTheLimit) {
  const auto tokenizer = load_tokenizer(kTokenizerData / "superword.json");
  EXPECT_NO_THROW(tokenizer->encode(std::string(kMaxTextBytes, 'a')));
  const Error error = error_of([&] { tokenizer->encode(std::string(kMaxTextBytes + 1, 'a')); });
  EXPECT_EQ(error.kind(), ErrorKind::kSettings);
  EXPECT_TRUE(says(error, std::to_string(kMaxTextBytes))) << error.what();
}

TEST(BpeTokenizer, MayBeUsedByManyThreadsAtOnce) {
  const auto tokenizer = load_tokenizer(kTokenizerData / "gpt2-codegen.json");
  const std::string text = "The quick brown \u4E2D\u6587 fox <|endoftext|> jumps.";
  const auto expected = tokenizer->encode(text);
  std::vector<std::thread> threads;
  std::vector<int> equal(4);
  for (int &count : equal) {
    threads.emplace_back([&tokenizer, &text, &expected, &count] {
      for (int i = 0; i < 200; ++i) {
        const auto ids = tokenizer->encode(text);
        count += ids == expected && tokenizer->decode(ids, false) == text;
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector(4, 200));
}

}  // namespace
}  // namespace moondream::test
