// Sentencepiece models made by hand, so that each result can be worked out, and damaged ones.
// That real models work like the sentencepiece library is tested in test_sentencepiece_oracle.cpp.
#include "tokenizer_sentencepiece.h"

#include <bit>
#include <chrono>
#include <cstdint>
#include <limits>
#include <random>

#include "tokenizer_fixture.h"

namespace moondream::test {
namespace {

// ---- Writing models ----------------------------------------------------------------------------

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string little_endian(std::uint32_t value) {
  std::string bytes;
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

std::string integer_field(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}
std::string bytes_field(int field, const std::string &bytes) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string float_field(int field, float value) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 5) +
         little_endian(std::bit_cast<std::uint32_t>(value));
}

enum Type { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

std::string piece(const std::string &text, float score = 0, Type type = kNormal) {
  return bytes_field(1, bytes_field(1, text) + float_field(2, score) + integer_field(3, type));
}

// Ids: 0 <unk>, 1 <s>, then these.
std::string model(const std::string &pieces, const std::string &trainer = "",
                  const std::string &normalizer = "") {
  return piece("<unk>", 0, kUnknown) + piece("<s>", 0, kControl) + pieces +
         bytes_field(2, trainer) + bytes_field(3, normalizer);
}

const std::string kBpe = integer_field(3, 2);
const std::string kByteFallback = integer_field(35, 1);

std::string byte_pieces() {
  std::string pieces;
  for (int byte = 0; byte < 256; ++byte) {
    const char *digits = "0123456789ABCDEF";
    pieces += piece(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", 0, kByte);
  }
  return pieces;
}

// A precompiled_charsmap that replaces single bytes. The trie is laid out by hand: the inner unit
// of byte b at 256 + b, its value unit at 512 + b.
std::string charsmap(const std::vector<std::pair<unsigned char, std::string>> &rules) {
  std::vector<std::uint32_t> units(1024);
  units[0] = 256u << 10;
  std::string replacements;
  for (const auto &[byte, replacement] : rules) {
    const std::uint32_t offset = (256u + byte) ^ (512u + byte);
    units[256u + byte] = offset << 10 | 1u << 8 | byte;
    units[512u + byte] = 1u << 31 | static_cast<std::uint32_t>(replacements.size());
    replacements += replacement + '\0';
  }
  std::string bytes = little_endian(static_cast<std::uint32_t>(4 * units.size()));
  for (const std::uint32_t unit : units) bytes += little_endian(unit);
  return bytes + replacements;
}

std::unique_ptr<const Tokenizer> load(const std::string &serialized) {
  return load_sentencepiece_tokenizer(serialized, "tokenizer.model");
}

using Ids = std::vector<int>;

// ---- Encoding and decoding ---------------------------------------------------------------------

TEST(SentencePiece, UnigramTakesTheSegmentationOfTheGreatestScore) {
  // "▁ab" as ▁ + ab: -5, as ▁a + b: -4.
  const auto tokenizer = load(
      model(piece("▁", -2) + piece("a", -3) + piece("b", -3) + piece("ab", -3) + piece("▁a", -1)));
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{6, 4}));
  EXPECT_EQ(tokenizer->decode(Ids{6, 4}), "ab");
}

// Sums are kept in float, as the sentencepiece library keeps them, and the first of equals wins.
TEST(SentencePiece, UnigramKeepsTheLongerOfEquallyGoodPieces) {
  const std::string pieces = piece("a", -1) + piece("b", -1);
  EXPECT_EQ(load(model(piece("▁", -1) + pieces + piece("ab", -2)))->encode("ab"), (Ids{2, 5}));
  // After -1e8, whose neighbour in float is 8 away, -3 and -1 - 1 are the same.
  EXPECT_EQ(load(model(piece("▁", -1e8f) + pieces + piece("ab", -3)))->encode("ab"), (Ids{2, 5}));
  EXPECT_EQ(load(model(piece("▁", -1) + pieces + piece("ab", -3)))->encode("ab"), (Ids{2, 3, 4}));
}

// An unknown character costs ten more than the worst piece: here "x" would cost 5, and "y" win 1.
TEST(SentencePiece, UnigramAvoidsUnknownCharacters) {
  const auto tokenizer = load(model(piece("▁", -1) + piece("xy", -5) + piece("y", 1)));
  EXPECT_EQ(tokenizer->encode("xy"), (Ids{2, 3}));
  EXPECT_EQ(tokenizer->encode("yx"), (Ids{2, 4, 0}));
}

TEST(SentencePiece, BpeMergesTheGreatestScoreFirst) {
  // "bc" (-1) comes before "ab" (-2), so "abc" has no "ab" left to merge.
  const auto tokenizer = load(model(piece("▁", -9) + piece("a", -9) + piece("b", -9) +
                                        piece("c", -9) + piece("ab", -2) + piece("bc", -1),
                                    kBpe));
  EXPECT_EQ(tokenizer->encode("abc"), (Ids{2, 3, 7}));
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{2, 6}));
}

// The dummy prefix makes " circle" and "circle" the same, where extra spaces are removed.
TEST(SentencePiece, ALeadingSpaceMeansWhatTheNormalizerSays) {
  const std::string pieces = piece("▁", -2) + piece("a", -2) + piece("▁a", -1);
  const auto removes = load(model(pieces));
  EXPECT_EQ(removes->encode("a"), Ids{4});
  EXPECT_EQ(removes->encode("  a "), Ids{4});
  EXPECT_EQ(removes->decode(Ids{4, 4}), "a a");

  const auto keeps = load(model(pieces, "", integer_field(4, 0)));
  EXPECT_EQ(keeps->encode("a"), Ids{4});
  EXPECT_EQ(keeps->encode(" a"), (Ids{2, 4}));
  EXPECT_EQ(keeps->decode(Ids{2, 4}), " a");

  const auto bare = load(model(pieces, "", integer_field(3, 0) + integer_field(4, 0)));
  EXPECT_EQ(bare->encode("a"), Ids{3});
  EXPECT_EQ(bare->encode(" a"), Ids{4});
  EXPECT_EQ(bare->decode(Ids{4}), " a");
}

TEST(SentencePiece, ControlPiecesNeverComeFromTextAndAreSkippedOrSpeltOut) {
  const auto tokenizer = load(
      model(piece("▁", -2) + piece("a", -2) + piece("<", -3) + piece("s", -3) + piece(">", -3)));
  EXPECT_EQ(tokenizer->encode("<s>"), (Ids{2, 4, 5, 6}));
  EXPECT_EQ(tokenizer->decode(Ids{1, 2, 3, 1, 2, 3, 1}), "a a");
  EXPECT_EQ(tokenizer->decode(Ids{1, 2, 3, 1, 2, 3, 1}, false), "<s>a<s> a<s>");
}

TEST(SentencePiece, ARunOfUnknownCharactersIsOneUnknownPiece) {
  const auto tokenizer = load(model(piece("▁", -2) + piece("a", -2)));
  EXPECT_EQ(tokenizer->encode("axyza"), (Ids{2, 3, 0, 3}));
  EXPECT_EQ(tokenizer->decode(Ids{2, 3, 0, 3}), "a \u2047 a");
  const auto other = load(model(piece("▁", -2), bytes_field(44, "?")));
  EXPECT_EQ(other->decode(Ids{0}), "?");
}

TEST(SentencePiece, ByteFallbackSpellsUnknownCharactersInBytes) {
  const auto tokenizer = load(model(byte_pieces() + piece("▁", -2), kByteFallback));
  EXPECT_EQ(tokenizer->encode("é"), (Ids{258, 2 + 0xC3, 2 + 0xA9}));
  EXPECT_EQ(tokenizer->decode(Ids{258, 2 + 0xC3, 2 + 0xA9}), "é");
  EXPECT_EQ(tokenizer->decode(Ids{2 + 0xE4, 2 + 0xB8, 2 + 'a'}), "\uFFFD\uFFFDa");
}

TEST(SentencePiece, UserDefinedPiecesAreNeverSplitNormalizedOrMerged) {
  const std::string rules = bytes_field(2, charsmap({{'A', "a"}}));
  const std::string pieces =
      piece("▁", -1) + piece("a", -1) + piece("aa", -1) + piece("AA", 0, kUserDefined);
  for (const std::string &algorithm : {std::string(), kBpe}) {
    EXPECT_EQ(load(model(pieces, algorithm, rules))->encode("AaAAa"), (Ids{2, 4, 5, 3}));
  }
}

TEST(SentencePiece, NormalizationRulesReplaceAndRemove) {
  const std::string rules = bytes_field(2, charsmap({{'A', "bb"}, {'\t', " "}, {'x', ""}}));
  const auto tokenizer = load(model(piece("▁", -1) + piece("b", -1), "", rules));
  EXPECT_EQ(tokenizer->encode("\tAx\t \tb\t"), (Ids{2, 3, 3, 2, 3}));
}

TEST(SentencePiece, UnusedPiecesComeOutAsTheirParts) {
  const std::string pieces =
      piece("▁", -9) + piece("a", -9) + piece("b", -9) + piece("ab", -1, kUnused);
  for (const std::string &algorithm : {std::string(), kBpe}) {
    EXPECT_EQ(load(model(pieces, algorithm))->encode("ab"), (Ids{2, 3, 4}));
  }
}

TEST(SentencePiece, RefusesToDecodeIdsThatAreNotInTheVocabulary) {
  const auto tokenizer = load(model(piece("a", -1)));
  EXPECT_EQ(tokenizer->vocab_size(), 3);
  for (const int id : {-1, 3, 1'000'000'000}) {
    const Error error = error_of([&] { tokenizer->decode(Ids{0, id}); });
    EXPECT_EQ(error.kind(), ErrorKind::kSettings);
    EXPECT_TRUE(says(error, std::to_string(id))) << error.what();
  }
}

TEST(SentencePiece, ReadsIllFormedTextAsReplacementCharacters) {
  const auto tokenizer = load(model(piece("▁", -1) + piece("\uFFFD", -1)));
  EXPECT_EQ(tokenizer->encode("\xFF\xE4\xB8"), (Ids{2, 3, 3}));
}

// Both algorithms are close to linear; what is quadratic would take minutes.
TEST(SentencePiece, Encodes100000CharactersWithoutSpaceInUnderASecond) {
  std::string pieces = piece("▁", -99) + piece("a", -99);
  for (std::size_t size = 2; size <= 16; ++size) {
    pieces += piece(std::string(size, 'a'), -20.f + static_cast<float>(size));
  }
  for (const std::string &algorithm : {std::string(), kBpe}) {
    const auto tokenizer = load(model(pieces, algorithm));
    const std::string text(100'000, 'a');
    const auto start = std::chrono::steady_clock::now();
    const auto ids = tokenizer->encode(text);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(tokenizer->decode(ids), text);
    EXPECT_LT(seconds.count(), 1.0);
  }
}

// What the demo relies on; the ids themselves belong to its model.
TEST(SentencePiece, OfTheDemoModelIsLoadedFromItsDirectory) {
  const auto tokenizer =
      load_tokenizer(std::filesystem::path(MOONDREAM_TEST_DATA) / "../../examples/demo-model");
  for (const char *text : {"red circle", "license plate", "a face on the left."}) {
    const auto ids = tokenizer->encode(text);
    EXPECT_EQ(tokenizer->decode(ids), text);
    for (const int id : ids) EXPECT_GT(id, 15) << "a control piece in " << text;
  }
}

// ---- Damaged models ----------------------------------------------------------------------------

struct BadModel {
  const char *name;
  std::string serialized;
  const char *part;  // of the error's text
  ErrorKind kind = ErrorKind::kRead;
};

std::ostream &operator<<(std::ostream &out, const BadModel &bad) { return out << bad.name; }

std::string with_charsmap(const std::string &map) {
  return model(piece("a"), "", bytes_field(2, map));
}

const BadModel kBadModels[] = {
    {"Empty", "", "no unknown piece"},
    {"Text", "not a model at all\n", "tokenizer.model"},
    {"NoPieces", piece("<unk>", 0, kUnknown), "no pieces"},
    {"NoUnknown", piece("a"), "no unknown piece"},
    {"TwoUnknown", model(piece("<u2>", 0, kUnknown)), "two unknown"},
    {"PieceTwice", model(piece("a") + piece("a")), "\"a\" occurs twice"},
    {"PieceEmpty", model(piece("")), "piece 2: has no text"},
    {"PieceNul", model(piece(std::string("a\0b", 3))), "NUL"},
    {"PieceType", model(piece("a", 0, static_cast<Type>(7))), "unknown type 7"},
    {"ScoreNan", model(piece("a", std::numeric_limits<float>::quiet_NaN())), "score"},
    {"ScoreInfinite", model(piece("a", std::numeric_limits<float>::infinity())), "score"},
    {"ByteWithoutFallback", model(piece("a") + piece("<0x00>", 0, kByte)), "<0x00>"},
    {"ByteMalformed", model(byte_pieces() + piece("<0xag>", 0, kByte), kByteFallback), "<0xag>"},
    {"BytesMissing", model(piece("a") + piece("<0x00>", 0, kByte), kByteFallback), "missing"},
    {"ModelTypeWord", model(piece("a"), integer_field(3, 3)), "WORD", ErrorKind::kMismatch},
    {"ModelTypeChar", model(piece("a"), integer_field(3, 4)), "CHAR", ErrorKind::kMismatch},
    {"ModelTypeUnknown", model(piece("a"), integer_field(3, 9)), "model type 9"},
    {"Denormalizer", model(piece("a")) + bytes_field(5, bytes_field(2, "x")), "denormalizer_spec",
     ErrorKind::kMismatch},
    {"WireTypeOfPiece", model(integer_field(1, 5)), "wire type"},
    {"WireTypeOfScore", model(bytes_field(1, bytes_field(1, "a") + integer_field(2, 1))),
     "wire type"},
    {"WireTypeUnknown", model(piece("a")) + "\x0B", "wire type 3"},
    {"FieldZero", model(piece("a")) + std::string("\x00\x01", 2), "number"},
    {"LengthOverEnd", model(piece("a")) + "\x0A\x7F", "truncated"},
    {"LengthEnormous", model(piece("a")) + "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", "truncated"},
    {"VarintTooLong", model(piece("a")) + std::string(11, '\xFF'), "64 bits"},
    {"CharsmapTooShort", with_charsmap("abc"), "precompiled_charsmap is truncated"},
    {"CharsmapSizeLies", with_charsmap(little_endian(100) + "abc"),
     "precompiled_charsmap is truncated"},
    {"CharsmapValueOutside", with_charsmap(charsmap({{'a', "b"}}).substr(0, 4 + 4 * 1024)),
     "outside"},
};

class BadSentencePieceModel : public testing::TestWithParam<BadModel> {};

TEST_P(BadSentencePieceModel, IsAnErrorThatNamesFileAndPart) {
  const Error error = error_of([&] { load(GetParam().serialized); });
  EXPECT_EQ(error.kind(), GetParam().kind);
  EXPECT_TRUE(says(error, GetParam().part)) << error.what();
  EXPECT_TRUE(says(error, "tokenizer.model")) << error.what();
}

INSTANTIATE_TEST_SUITE_P(Models, BadSentencePieceModel, testing::ValuesIn(kBadModels),
                         [](const auto &test) { return std::string(test.param.name); });

// Loads and uses a model that may be damaged. Returns false for an Error; anything else that goes
// wrong fails the test or stops the program.
bool survives(const std::string &serialized) {
  try {
    const auto tokenizer = load(serialized);
    for (const char *text : {"", " a b  ab\tx", "\u00E9\U0001F600<s>\u2581"}) {
      tokenizer->decode(tokenizer->encode(text), false);
    }
    std::vector<int> ids(static_cast<std::size_t>(tokenizer->vocab_size()));
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int>(i);
    tokenizer->decode(ids);
    return true;
  } catch (const Error &) {
    return false;
  }
}

std::string everything(const std::string &algorithm) {
  return model(byte_pieces() + piece("▁", -3) + piece("a", -3) + piece("b", -4) + piece("ab", -2) +
                   piece("▁ab", -1) + piece("é", -5, kUserDefined) + piece("▁a", -2, kUnused),
               algorithm + kByteFallback, bytes_field(2, charsmap({{'x', "ab"}, {'\t', " "}})));
}

TEST(SentencePieceFile, TruncatedAnywhereIsAnErrorOrWorks) {
  for (const std::string &algorithm : {std::string(), kBpe}) {
    const std::string whole = everything(algorithm);
    ASSERT_TRUE(survives(whole));
    std::size_t errors = 0;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      errors += !survives(whole.substr(0, size));
    }
    // A cut between two fields leaves a model that may be complete.
    EXPECT_GT(errors, whole.size() * 9 / 10);
  }
}

TEST(SentencePieceFile, WithAFlippedBitIsAnErrorOrWorks) {
  std::mt19937 random(1);
  for (const std::string &algorithm : {std::string(), kBpe}) {
    const std::string whole = everything(algorithm);
    for (std::size_t byte = 0; byte < whole.size(); ++byte) {
      std::string damaged = whole;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << random() % 8));
      survives(damaged);
    }
  }
}

// Where a flipped bit is most dangerous: the trie of the rules, whose units point at each other.
TEST(SentencePieceFile, WithARandomTrieIsAnErrorOrWorks) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::string map = little_endian(4 * 512);
    for (int i = 0; i < 512; ++i) {
      // Small offsets, and labels that are met.
      const std::uint32_t label =
          random() % 4 ? static_cast<std::uint32_t>(i) % 256 : random() % 256;
      map += little_endian(static_cast<std::uint32_t>(random() % 600) << 10 |
                           static_cast<std::uint32_t>(random() % 8 == 0) << 9 |
                           static_cast<std::uint32_t>(random() % 2) << 8 | label);
    }
    survives(model(piece("a"), "", bytes_field(2, map + std::string(1 << 20, 'r'))));
    survives(model(piece("a"), "", bytes_field(2, map + "r")));
  }
}

}  // namespace
}  // namespace moondream::test
