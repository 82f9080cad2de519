#include "safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <climits>
#include <cstring>
#include <optional>
#include <ostream>
#include <random>

#include "weights_support.h"

namespace moondream {
namespace {

using test::error_of;
using test::file_contents;
using test::raw_safetensors;
using test::safetensors_of;
using test::says;
using test::TempDir;
using test::write_file;

std::string bytes_of(const SafetensorsFile &file, const std::string &name) {
  const auto bytes = file.bytes(file.tensors().at(name));
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

TEST(Safetensors, EntriesAndBytesAreThoseWritten) {
  const TempDir dir;
  const SafetensorsFile file(write_file(
      dir / "a.safetensors",
      safetensors_of({{"b", "F32", {2, 1}, "01234567"}, {"a.weight", "U8", {3}, "xyz"}})));
  ASSERT_EQ(file.tensors().size(), 2u);
  const TensorEntry &b = file.tensors().at("b");
  EXPECT_EQ(b.dtype, DType::kF32);
  EXPECT_EQ(b.shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(b.begin, 0u);
  EXPECT_EQ(b.end, 8u);
  EXPECT_EQ(bytes_of(file, "b"), "01234567");
  EXPECT_EQ(bytes_of(file, "a.weight"), "xyz");
  EXPECT_EQ(file.path(), dir / "a.safetensors");
}

// The order of the header need not be that of the data.
TEST(Safetensors, HeaderMayListTensorsInAnyOrder) {
  const TempDir dir;
  const SafetensorsFile file(
      write_file(dir / "a.safetensors",
                 raw_safetensors(R"({"late":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},
                          "early":{"data_offsets":[0,1],"shape":[1],"dtype":"I8"}}   )",
                                 "ABC")));
  EXPECT_EQ(bytes_of(file, "early"), "A");
  EXPECT_EQ(bytes_of(file, "late"), "BC");
}

TEST(Safetensors, ScalarsAndEmptyTensorsAreTensors) {
  const TempDir dir;
  const SafetensorsFile file(
      write_file(dir / "a.safetensors", safetensors_of({{"none", "F64", {0}, ""},
                                                        {"scalar", "I16", {}, "hi"},
                                                        {"flat", "BF16", {7, 0, 3}, ""},
                                                        {"last", "BOOL", {1}, "!"}})));
  EXPECT_EQ(bytes_of(file, "none"), "");
  EXPECT_EQ(bytes_of(file, "scalar"), "hi");
  EXPECT_TRUE(file.tensors().at("scalar").shape.empty());
  EXPECT_EQ(bytes_of(file, "flat"), "");
  EXPECT_EQ(bytes_of(file, "last"), "!");
}

TEST(Safetensors, FileWithoutTensorsIsValid) {
  const TempDir dir;
  EXPECT_TRUE(SafetensorsFile(write_file(dir / "a", raw_safetensors("{}"))).tensors().empty());
}

TEST(Safetensors, EveryTypeOfTheFormatIsKnown) {
  const std::pair<const char *, std::size_t> types[] = {
      {"F64", 8},     {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F8_E4M3", 1},
      {"F8_E5M2", 1}, {"I64", 8}, {"I32", 4}, {"I16", 2},  {"I8", 1},
      {"U64", 8},     {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1},
  };
  const TempDir dir;
  for (const auto &[name, size] : types) {
    const SafetensorsFile file(
        write_file(dir / "a", safetensors_of({{"x", name, {3}, std::string(3 * size, 'x')}})));
    const DType dtype = file.tensors().at("x").dtype;
    EXPECT_STREQ(dtype_name(dtype), name);
    EXPECT_EQ(dtype_size(dtype), size);
  }
}

// Tensors made of the bytes hold only keep_alive().
TEST(Safetensors, BytesOutliveTheObjectAndTheNameOfTheFile) {
  const TempDir dir;
  const auto path = write_file(dir / "a", safetensors_of({{"x", "U8", {4}, "LIVE"}}));
  std::optional<SafetensorsFile> file(path);
  const auto bytes = file->bytes(file->tensors().at("x"));
  const std::shared_ptr<const void> keep_alive = file->keep_alive();
  file.reset();
  std::filesystem::remove(path);
  EXPECT_EQ(std::memcmp(bytes.data(), "LIVE", 4), 0);
  EXPECT_EQ(keep_alive.use_count(), 1);
}

TEST(Safetensors, ShapesReadLikeLists) {
  EXPECT_EQ(shape_text({}), "[]");
  EXPECT_EQ(shape_text(std::vector<std::int64_t>{2048, 256}), "[2048, 256]");
}

// ---- What is not a safetensors file ----------------------------------------------------------

TEST(Safetensors, MissingFileIsNotFound) {
  const TempDir dir;
  const Error error = error_of([&] { SafetensorsFile(dir / "gone.safetensors"); });
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(says(error, "gone.safetensors")) << error.what();
  EXPECT_EQ(error_of([&] { SafetensorsFile(write_file(dir / "file", "x") / "below"); }).kind(),
            ErrorKind::kNotFound);
}

TEST(Safetensors, DirectoryIsUnreadable) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "x.safetensors");
  const Error error = error_of([&] { SafetensorsFile(dir / "x.safetensors"); });
  EXPECT_EQ(error.kind(), ErrorKind::kRead);
  EXPECT_TRUE(says(error, "is a directory")) << error.what();
}

// Opening a FIFO for reading blocks until there is a writer, which here never comes.
TEST(Safetensors, FifoIsRefusedWithoutWaiting) {
  const TempDir dir;
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  const Error error = error_of([&] { SafetensorsFile(dir / "pipe"); });
  EXPECT_EQ(error.kind(), ErrorKind::kRead);
  EXPECT_TRUE(says(error, "not a regular file")) << error.what();
}

struct BadFile {
  const char *claim;  // the test's name
  std::string contents;
  std::vector<std::string> words;  // in the message, beside the file's name
};

void PrintTo(const BadFile &file, std::ostream *stream) { *stream << file.claim; }

class BadSafetensors : public testing::TestWithParam<BadFile> {};

TEST_P(BadSafetensors, IsRefusedWithTheReason) {
  const TempDir dir;
  const auto path = write_file(dir / "bad.safetensors", GetParam().contents);
  const Error error = error_of([&] { SafetensorsFile{path}; });
  EXPECT_EQ(error.kind(), ErrorKind::kRead);
  EXPECT_TRUE(says(error, path.string())) << error.what();
  for (const std::string &word : GetParam().words) EXPECT_TRUE(says(error, word)) << error.what();
}

// A header with one tensor "w" described by `entry`, and four bytes of data.
std::string one(const std::string &entry) {
  return raw_safetensors("{\"w\":" + entry + "}", "data");
}

std::string repeated(const std::string &part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

std::string length_and(std::uint64_t length, const std::string &rest) {
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text + rest;
}

const BadFile kBadFiles[] = {
    {"Empty", "", {"0 bytes"}},
    {"SevenBytes", "1234567", {"7 bytes"}},
    {"Text", "# Just a text, as a README is\n", {"not a safetensors file"}},
    {"GitLfsPointer",
     "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
     {"git lfs pull"}},
    {"Zip", "PK\x03\x04 and what follows", {"PyTorch"}},
    {"Gguf", "GGUF\x03 and what follows", {"GGUF"}},
    {"WebPage", "<!DOCTYPE html><html>", {"web page"}},
    {"HeaderLongerThanTheFile", length_and(3, "{}"), {"header of 3 bytes", "only 2"}},
    {"HeaderOverTheLimit", length_and(100'000'001, "{}"), {"100000001", "limit"}},
    {"HeaderOfAlmostTwoToThe64", length_and(UINT64_MAX, "{}"), {"18446744073709551615"}},
    {"NoHeader", length_and(0, ""), {"not valid JSON"}},
    {"NotJson", raw_safetensors("{\"w\": oops}"), {"not valid JSON", "byte"}},
    {"CutJson", raw_safetensors("{\"w\":{\"dtype\":"), {"not valid JSON"}},
    {"TextAfterTheJson", raw_safetensors("{} {}"), {"not valid JSON"}},
    {"InvalidUtf8", raw_safetensors("{\"\xFF\":{}}"), {"not valid JSON"}},
    {"AnArray", raw_safetensors("[]"), {"not an object", "array"}},
    {"ANumber", raw_safetensors("1"), {"not an object"}},
    {"ManyArrays", raw_safetensors(std::string(3'000'000, '[')), {"not an object"}},
    {"ManyArraysInAShape",
     one("{\"dtype\":\"U8\",\"shape\":" + std::string(3'000'000, '[')),
     {"\"w\"", "shape"}},
    {"ManyObjects", raw_safetensors(repeated("{\"a\":", 500'000)), {"\"a\"", "object"}},
    {"TensorThatIsAString", raw_safetensors(R"({"w":"F32"})"), {"\"w\"", "a string"}},
    {"TensorThatIsNull", raw_safetensors(R"({"w":null})"), {"\"w\"", "null"}},
    {"TensorTwice",
     raw_safetensors(R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                         "w":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                     "data"),
     {"\"w\"", "twice"}},
    {"MetadataTwice", raw_safetensors(R"({"__metadata__":{},"__metadata__":{}})"), {"twice"}},
    {"MetadataThatIsNotText", raw_safetensors(R"({"__metadata__":{"a":1}})"), {"__metadata__"}},
    {"NoDtype", one(R"({"shape":[4],"data_offsets":[0,4]})"), {"\"w\"", "no dtype"}},
    {"NoShape", one(R"({"dtype":"U8","data_offsets":[0,4]})"), {"\"w\"", "no shape"}},
    {"NoOffsets", one(R"({"dtype":"U8","shape":[4]})"), {"\"w\"", "no data_offsets"}},
    {"UnknownDtype",
     one(R"({"dtype":"F9","shape":[4],"data_offsets":[0,4]})"),
     {"\"w\"", "unknown dtype \"F9\""}},
    {"DtypeTwice",
     one(R"({"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]})"),
     {"\"w\"", "\"dtype\""}},
    {"ShapeTwice",
     one(R"({"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]})"),
     {"\"w\"", "\"shape\""}},
    {"OffsetsTwice",
     one(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4],"data_offsets":[0,4]})"),
     {"\"w\"", "\"data_offsets\""}},
    {"NumericDtype", one(R"({"dtype":8,"shape":[4],"data_offsets":[0,4]})"), {"\"w\"", "dtype"}},
    {"UnknownKey",
     one(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4],"extra":1})"),
     {"\"w\"", "\"extra\""}},
    {"NegativeSize",
     one(R"({"dtype":"U8","shape":[-4],"data_offsets":[0,4]})"),
     {"\"w\"", "negative", "shape"}},
    {"FractionalSize",
     one(R"({"dtype":"U8","shape":[4.0],"data_offsets":[0,4]})"),
     {"\"w\"", "not whole", "shape"}},
    {"SizeOverInt64",
     one(R"({"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,4]})"),
     {"\"w\"", "too large"}},
    {"SizeOverUint64",
     one(R"({"dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,4]})"),
     {"\"w\"", "too large"}},
    {"SizeOfText", one(R"({"dtype":"U8","shape":["4"],"data_offsets":[0,4]})"), {"\"w\"", "shape"}},
    {"ProductOverInt64",
     one(R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,4]})"),
     {"\"w\"", "too large"}},
    // 2^62 elements of 4 bytes are 2^64 bytes, which is 0 in 64 bits.
    {"BytesOverInt64",
     one(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})"),
     {"\"w\"", "too large"}},
    // No elements, but strides that overflow.
    {"EmptyWithHugeStrides",
     one(R"({"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]})"),
     {"\"w\"", "too large"}},
    {"EndlessShape",
     one("{\"dtype\":\"U8\",\"data_offsets\":[0,4],\"shape\":[4" + repeated(",1", 1'000'000) +
         "]}"),
     {"\"w\"", "too many dimensions"}},
    {"NoOffsetNumbers",
     one(R"({"dtype":"U8","shape":[4],"data_offsets":[]})"),
     {"\"w\"", "not two numbers"}},
    {"OneOffset",
     one(R"({"dtype":"U8","shape":[4],"data_offsets":[0]})"),
     {"\"w\"", "not two numbers"}},
    {"ThreeOffsets",
     one(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4,4]})"),
     {"\"w\"", "not two numbers"}},
    {"NegativeOffset",
     one(R"({"dtype":"U8","shape":[4],"data_offsets":[-4,0]})"),
     {"\"w\"", "negative", "data_offsets"}},
    {"OffsetsOutOfOrder",
     one(R"({"dtype":"U8","shape":[4],"data_offsets":[4,0]})"),
     {"\"w\"", "out of order"}},
    {"OffsetsBehindTheFile",
     one(R"({"dtype":"U8","shape":[5],"data_offsets":[0,5]})"),
     {"\"w\"", "0 to 5", "only 4", "truncated"}},
    {"OffsetsFarBehindTheFile",
     one(R"({"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]})"),
     {"\"w\"", "truncated"}},
    {"MoreBytesThanTheShape",
     one(R"({"dtype":"U8","shape":[3],"data_offsets":[0,4]})"),
     {"\"w\"", "[3]", "U8", "3 bytes", "4 bytes"}},
    {"FewerBytesThanTheShape",
     one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"),
     {"\"w\"", "[2]", "F32", "8 bytes", "4 bytes"}},
    {"ScalarWithoutBytes",
     one(R"({"dtype":"U8","shape":[],"data_offsets":[0,0]})"),
     {"\"w\"", "[]", "1 bytes"}},
    {"Overlap",
     raw_safetensors(R"({"v":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},
                         "w":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                     "data"),
     {"\"w\"", "overlaps"}},
    {"SameBytesTwice",
     raw_safetensors(R"({"v":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},
                         "w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                     "data"),
     {"\"w\"", "overlaps"}},
    {"Gap",
     raw_safetensors(R"({"v":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                         "w":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                     "data"),
     {"\"w\"", "1 to 2", "no tensor"}},
    {"GapAtTheStart",
     one(R"({"dtype":"U8","shape":[3],"data_offsets":[1,4]})"),
     {"\"w\"", "0 to 1", "no tensor"}},
    {"TrailingBytes",
     one(R"({"dtype":"U8","shape":[3],"data_offsets":[0,3]})"),
     {"1 bytes follow"}},
    {"TrailingBytesWithoutTensors", raw_safetensors("{}", "rest"), {"4 bytes follow"}},
    // The name must not break the line that shows it, nor fill the screen.
    {"NameWithControlCharacters", raw_safetensors(R"({"a\n\u001b[2J":1})"), {"\"a??[2J\""}},
    {"EndlessName", raw_safetensors("{\"" + std::string(100'000, 'n') + "\":1}"), {"nnn...\""}},
};

INSTANTIATE_TEST_SUITE_P(Safetensors, BadSafetensors, testing::ValuesIn(kBadFiles),
                         [](const auto &test) { return std::string(test.param.claim); });

// ---- Damage ----------------------------------------------------------------------------------

// True if the file opens; then everything that it promises must be there to read. Anything but
// Error{kRead} fails the test.
bool opens(const std::filesystem::path &path) {
  try {
    const SafetensorsFile file(path);
    unsigned sum = 0;
    for (const auto &[name, entry] : file.tensors()) {
      for (const std::byte byte : file.bytes(entry)) sum += static_cast<unsigned>(byte);
    }
    EXPECT_LT(sum, UINT_MAX);  // so that the reads are not optimised away
    return true;
  } catch (const Error &error) {
    EXPECT_EQ(error.kind(), ErrorKind::kRead) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 1000u);
    return false;
  }
}

const std::string kValid = safetensors_of({{"text.wte", "BF16", {4, 3}, std::string(24, 'w')},
                                           {"scalar", "F32", {}, "1234"},
                                           {"none", "I64", {0, 2}, ""},
                                           {"bytes", "U8", {5}, "12345"}});

TEST(Safetensors, NoTruncationOpens) {
  const TempDir dir;
  ASSERT_TRUE(opens(write_file(dir / "a", kValid)));
  for (std::size_t length = 0; length < kValid.size(); ++length) {
    EXPECT_FALSE(opens(write_file(dir / "a", kValid.substr(0, length)))) << length << " bytes";
  }
}

TEST(Safetensors, NoExtensionOpens) {
  const TempDir dir;
  EXPECT_FALSE(opens(write_file(dir / "a", kValid + '\0')));
}

// Every byte of the length and the header takes a number of other values: the file is refused or
// still consistent. The seed is fixed, so that a failure comes again.
TEST(Safetensors, DamagedHeadersAreRefusedOrConsistent) {
  const TempDir dir;
  std::mt19937 random(1);
  const std::size_t header_end = kValid.find('}', kValid.find("bytes\":")) + 2;
  int refused = 0;
  for (std::size_t at = 0; at < header_end; ++at) {
    for (const char value : {'\0', '"', '{', '}', '[', ']', ',', '-', '9', '\\', '\xFF',
                             static_cast<char>(random()), static_cast<char>(random())}) {
      std::string damaged = kValid;
      damaged[at] = value;
      refused += !opens(write_file(dir / "a", damaged));
    }
  }
  // Only changes inside names and of the metadata can go unnoticed.
  EXPECT_GT(refused, static_cast<int>(header_end * 13 / 2));
}

TEST(Safetensors, RandomBytesNeverCrash) {
  const TempDir dir;
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    std::string header(random() % 64, ' ');
    constexpr std::string_view kAlphabet = "{}[]\",:0123456789.-eEw\\u dtypeshapedata_offsets\xF0";
    for (char &c : header) c = kAlphabet[random() % kAlphabet.size()];
    opens(write_file(dir / "a", raw_safetensors("{" + header, "data")));
  }
}

}  // namespace
}  // namespace moondream
