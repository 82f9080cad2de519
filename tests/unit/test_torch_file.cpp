#include "torch_file.h"

#include <gtest/gtest.h>

#include <ostream>
#include <random>

#include "safetensors.h"
#include "torch_support.h"

namespace moondream {
namespace {

using test::error_of;
using test::file_contents;
using test::pickle_of;
using test::pickled;
using test::pickled_dict;
using test::pickled_global;
using test::pickled_storage;
using test::pickled_tensor;
using test::Records;
using test::says;
using test::TempDir;
using test::write_file;
using test::zip_of;

const std::filesystem::path kTiny =
    std::filesystem::path(MOONDREAM_TEST_DATA) / "golden" / "moondream2-tiny";

std::string bytes_of(const TensorFile &file, const std::string &name) {
  const auto bytes = file.bytes(file.tensors().at(name));
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

// An archive of that pickle, and of four bytes as the record "0".
std::string archive(const std::string &value, const std::string &numbers = "abcd") {
  return zip_of({{"any/data.pkl", pickle_of(value)}, {"any/data/0", numbers}});
}

TensorFile open(const std::string &contents) {
  const TempDir dir;
  return TorchFile(write_file(dir / "a.pt", contents));
}

Error open_error(const std::string &contents) {
  const Error error = error_of([&] { open(contents); });
  EXPECT_EQ(error.kind(), ErrorKind::kRead) << error.what();
  EXPECT_TRUE(says(error, "a.pt")) << error.what();
  return error;
}

const std::string kBytes = pickled_storage("ByteStorage", "0", 4);

// One file that torch.save wrote, and the same tensors as safetensors wrote them.
TEST(TorchFile, HoldsWhatTorchSaved) {
  const TorchFile saved(kTiny / "lora-demo.pt");
  const SafetensorsFile same(kTiny / "lora-demo.safetensors");
  ASSERT_EQ(saved.tensors().size(), same.tensors().size());
  for (const auto &[name, entry] : same.tensors()) {
    ASSERT_TRUE(saved.tensors().contains(name)) << name;
    const TensorEntry &found = saved.tensors().at(name);
    EXPECT_EQ(found.dtype, entry.dtype) << name;
    EXPECT_EQ(found.shape, entry.shape) << name;
    EXPECT_TRUE(found.strides.empty()) << name;
    EXPECT_EQ(bytes_of(saved, name), bytes_of(same, name)) << name;
  }
}

TEST(TorchFile, EntriesAndBytesAreThoseWritten) {
  const TensorFile file = open(test::torch_file_of({{"b", "F32", {2, 1}, "01234567"},
                                                    {"a.weight", "U8", {3}, "xyz"},
                                                    {"c", "F64", {}, "-half---"}}));
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors().at("b").dtype, DType::kF32);
  EXPECT_EQ(file.tensors().at("b").shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(bytes_of(file, "b"), "01234567");
  EXPECT_EQ(bytes_of(file, "a.weight"), "xyz");
  EXPECT_TRUE(file.tensors().at("c").shape.empty());
}

// As in files of more than 4 GB.
TEST(TorchFile, SizesMayBe64BitsWide) {
  const Records records = {
      {"x/data.pkl", pickle_of(pickled_dict({{"t", pickled_tensor(kBytes, 1, {3}, {1})}}))},
      {"x/data/0", "abcd"}};
  EXPECT_EQ(bytes_of(open(zip_of(records, true)), "t"), "bcd");
}

TEST(TorchFile, TensorsMayShareAStorageAndLieAcrossIt) {
  const TensorFile file =
      open(archive(pickled_dict({{"row", pickled_tensor(kBytes, 2, {2}, {1})},
                                 {"turned", pickled_tensor(kBytes, 0, {2, 2}, {1, 2})}})));
  EXPECT_EQ(bytes_of(file, "row"), "cd");
  EXPECT_EQ(bytes_of(file, "turned"), "abcd");
  EXPECT_EQ(file.tensors().at("turned").strides, (std::vector<std::int64_t>{1, 2}));
}

// What training scripts put around the weights, and what they store beside them.
TEST(TorchFile, TensorsAreFoundInsideDictionariesAndLists) {
  const std::string tensor = pickled_tensor(kBytes, 0, {4}, {1});
  const std::string parameter = pickled_global("torch._utils", "_rebuild_parameter") + "(" +
                                tensor + "\x88" + pickled_global("collections", "OrderedDict") +
                                ")RtR";
  const std::string state = pickled_global("collections", "OrderedDict") + ")R(" +
                            pickled("weight") + parameter + "u}(" + pickled("_metadata") + "}ub";
  const std::string list = "](" + tensor + tensor + "e";
  const TensorFile file = open(archive(pickled_dict({{"model", state},
                                                     {"list", list},
                                                     {"step", pickled(7)},
                                                     {"loss", "G01234567"},
                                                     {"name", pickled("demo")},
                                                     {"nothing", "N"}})));
  std::vector<std::string> names;
  for (const auto &[name, entry] : file.tensors()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"list.0", "list.1", "model.weight"}));
}

// PyTorch saves the types that have no storage class of their own in another way.
TEST(TorchFile, EightBitFloatsAreRead) {
  const std::string tensor = test::pickled_fp8_tensor("0", {2, 2});
  const TensorFile file = open(archive(pickled_dict({{"w", tensor}})));
  EXPECT_EQ(file.tensors().at("w").dtype, DType::kF8E4M3);
  EXPECT_EQ(bytes_of(file, "w"), "abcd");
}

// The whole point: a pickle can ask for any function of the machine.
TEST(TorchFile, NothingIsRunAndWhatWasAskedForIsNamed) {
  const std::string attack = pickled_global("os", "system") + "(" + pickled("true") + "tR";
  EXPECT_TRUE(says(open_error(archive(attack)), "\"os.system\""));
  EXPECT_TRUE(says(open_error(archive(pickled_dict({{"w", attack}}))), "\"os.system\""));
  EXPECT_TRUE(says(open_error(archive(pickled("builtins") + pickled("eval") + "\x93")),
                   "\"builtins.eval\""));
  EXPECT_TRUE(says(open_error(archive(pickled_global("torch", "load") + ")R")), "\"torch.load\""));
  // What may be named may not be called as something else.
  EXPECT_TRUE(says(open_error(archive(pickled_global("torch", "FloatStorage") + ")R")),
                   "\"torch.FloatStorage\""));
  // Instructions that make objects: INST, OBJ, NEWOBJ, EXT1.
  for (const std::string code : {"ios\nsystem\n", "o", "\x81", "\x82\x01"}) {
    EXPECT_TRUE(says(open_error(archive("(" + code)), "instruction")) << code;
  }
}

// Functions that pickles of scripts and libraries name, or attacks on readers of such files.
TEST(TorchFile, NoOtherFunctionIsKnown) {
  const std::pair<const char *, const char *> globals[] = {
      {"builtins", "exec"},
      {"builtins", "getattr"},
      {"__builtin__", "eval"},
      {"posix", "system"},
      {"subprocess", "Popen"},
      {"functools", "partial"},
      {"copyreg", "_reconstructor"},
      {"collections", "defaultdict"},
      {"argparse", "Namespace"},
      {"numpy.core.multiarray", "_reconstruct"},
      {"numpy", "dtype"},
      {"torch", "load"},
      {"torch", "Tensor"},
      {"torch.storage", "_load_from_bytes"},
      {"torch._utils", "_rebuild_sparse_tensor"},
      {"torch._tensor", "_rebuild_from_type_v2"},
      {"torch.nn.modules.linear", "Linear"},
      {"collections.OrderedDict", "fromkeys"},
      {"torch._utils", "_rebuild_tensor_v2.__globals__"},
      {"", ""},
  };
  for (const auto &[module, name] : globals) {
    const std::string full = std::string("\"") + module + "." + name + "\"";
    EXPECT_TRUE(says(open_error(archive(pickled_global(module, name))), full)) << full;
    EXPECT_TRUE(says(open_error(archive(pickled(module) + pickled(name) + "\x93")), full)) << full;
  }
  // What describes a type is no function, whatever it is given.
  for (const char *name : {"float32", "UntypedStorage", "HalfStorage"}) {
    EXPECT_TRUE(says(open_error(archive(pickled_global("torch", name) + ")R")), "it calls"));
  }
}

// Of pickle's instructions only those of plain values, containers and tensors, by Python's numbers.
TEST(TorchFile, NoOtherInstructionIsKnown) {
  const std::string known =
      "\x80\x95.(01N\x88\x89GJKM\x8aX\x8c)t\x85\x86\x87]}aesuqr\x94hjc\x93QRb";
  for (int code = 0; code < 256; ++code) {
    if (known.find(static_cast<char>(code)) != known.npos) continue;
    const Error error = open_error(archive(pickled("a") + "(" + static_cast<char>(code)));
    EXPECT_TRUE(says(error, "the instruction " + std::to_string(code) + ",")) << error.what();
  }
}

// Each tensor keeps the name of its storage, which the pickle need only have once.
TEST(TorchFile, StoragesHaveShortNames) {
  const std::string tensor =
      pickled_tensor(pickled_storage("ByteStorage", std::string(100'000, 'n'), 4), 0, {1}, {1});
  EXPECT_TRUE(says(open_error(archive(pickled_dict({{"w", tensor}}))), "too long"));
}

// Tied weights lie in a file once. A small file that claims to be a large model has no more of it.
TEST(TorchFile, TensorsShareOnlySoMuch) {
  constexpr std::int64_t kSize = 100'000;
  const auto file_of = [](int tensors) {
    std::vector<std::pair<std::string, std::string>> items;
    const std::string storage = pickled_storage("ByteStorage", "0", kSize);
    for (int i = 0; i < tensors; ++i) {
      items.emplace_back("w" + std::to_string(i), pickled_tensor(storage, 0, {kSize}, {1}));
    }
    return archive(pickled_dict(items), std::string(kSize, 'x'));
  };
  EXPECT_EQ(open(file_of(4)).tensors().size(), 4u);
  EXPECT_TRUE(says(open_error(file_of(5)), "more than the file has to share"));
}

TEST(TorchFile, TensorsThatTheirDataDoesNotHoldAreNamed) {
  struct {
    std::int64_t offset;
    std::vector<std::int64_t> shape, strides;
  } const wrong[] = {{1, {4}, {1}},         {0, {5}, {1}},
                     {0, {2, 2}, {4, 1}},   {5, {0}, {1}},
                     {INT64_MAX, {1}, {1}}, {0, {INT64_MAX, 2}, {0, 0}},
                     {0, {1 << 30}, {0}},   {0, {2, 2}, {INT64_MAX, INT64_MAX}}};
  for (const auto &[offset, shape, strides] : wrong) {
    const Error error =
        open_error(archive(pickled_dict({{"w", pickled_tensor(kBytes, offset, shape, strides)}})));
    EXPECT_TRUE(says(error, "\"w\"")) << error.what();
  }
  const auto with = [](const std::string &storage) {
    return archive(pickled_dict({{"w", pickled_tensor(storage, 0, {1}, {1})}}));
  };
  EXPECT_TRUE(says(open_error(with(pickled_storage("ByteStorage", "0", 5))), "needs 5 bytes"));
  EXPECT_TRUE(says(open_error(with(pickled_storage("ByteStorage", "1", 4))), "no data"));
  open_error(with(pickled_storage("FloatStorage", "0", INT64_MAX)));
  open_error(with(pickled_storage("ByteStorage", "0", -1)));
}

TEST(TorchFile, WhatIsNoDictionaryOfTensorsIsRefused) {
  EXPECT_TRUE(says(open_error(archive(pickled_tensor(kBytes, 0, {4}, {1}))), "dictionary"));
  EXPECT_TRUE(says(open_error(zip_of({{"any/text", "x"}})), "data.pkl"));
  EXPECT_TRUE(says(open_error(zip_of({{"a/data.pkl", pickle_of("}")}, {"a/byteorder", "big"}})),
                   "byte order"));
  EXPECT_TRUE(says(open_error(zip_of({{"a/data.pkl", pickle_of("}")}}, false, 8)), "compressed"));
  open_error("PK\x03\x04");
  open_error(std::string(100, 'x'));
}

// Keys and containers may be shared, so that a short pickle could stand for endless names.
TEST(TorchFile, SharedContainersAreNotEndless) {
  std::string doubling = "}q\x01(" + pickled("w") + pickled_tensor(kBytes, 0, {4}, {1}) + "u";
  for (int i = 0; i < 10; ++i) {
    doubling = "}(" + pickled("a") + doubling + pickled("b") + "h\x01u";
  }
  open_error(archive(doubling));
  open_error(archive("}q\x01(" + pickled("me") + "h\x01u"));
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += "}(" + pickled("k");
  nested += "}";
  for (int i = 0; i < 100'000; ++i) nested += "u";
  EXPECT_TRUE(says(open_error(archive(nested)), "deep"));
  std::string tuples = ")";
  for (int i = 0; i < 100'000; ++i) tuples += "\x85";
  open_error(archive(tuples));
}

// Whatever is in the file: an Error or tensors that are really there.
TEST(TorchFile, DamagedFilesGiveErrorsOrTensorsInTheFile) {
  const TempDir dir;
  const std::string good = file_contents(kTiny / "lora-demo.pt");
  // The pickle and the directory, where a change matters.
  const std::size_t pickle_end = 3300, directory = good.rfind("PK\x01\x02") - 2500;
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good;
    const int changes = 1 + static_cast<int>(random() % 3);
    for (int c = 0; c < changes; ++c) {
      const std::size_t at = random() % 2 == 0 ? random() % pickle_end
                                               : directory + random() % (good.size() - directory);
      bad[at] = static_cast<char>(random());
    }
    if (random() % 8 == 0) bad.resize(random() % bad.size());
    const auto path = write_file(dir / "bad.pt", bad);
    try {
      const TorchFile file(path);
      for (const auto &[name, entry] : file.tensors()) {
        const auto bytes = file.bytes(entry);
        unsigned sum = 0;  // reads every byte: outside of the file, that ends the process
        for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
        EXPECT_LE(bytes.size(), bad.size());
        EXPECT_GE(sum, 0u);
      }
    } catch (const Error &error) {
      EXPECT_EQ(error.kind(), ErrorKind::kRead);
    }
  }
}

}  // namespace
}  // namespace moondream
