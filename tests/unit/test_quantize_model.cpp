#include "quantize_model.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>

#include "checkpoint.h"
#include "config_json.h"
#include "test_support.h"

namespace moondream {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::says;
using test::TempDir;
using test::write_file;

const std::string kGolden = MOONDREAM_TEST_DATA "/golden/";

// What is written beside the weights must make the same model of them.
TEST(QuantizeModel, KeepsTheWholeConfiguration) {
  for (const char *name : {"moondream2-tiny", "moondream2-tiny-gqa", "moondream2-tiny-int4",
                           "moondream3-tiny", "moondream3-tiny-fp8"}) {
    SCOPED_TRACE(name);
    const TempDir dir;
    quantize_model({.model = kGolden + name, .out = dir / "out", .precision = Precision::kInt4});
    const Config before = load_checkpoint(kGolden + name).config();
    const Config after = load_checkpoint(dir / "out").config();
    EXPECT_EQ(config_json(after), config_json(before));
    EXPECT_EQ(after.has_region, before.has_region);
    EXPECT_EQ(after.region.linear_decoders, before.region.linear_decoders);
    EXPECT_EQ(after.region.layer_norm, before.region.layer_norm);
  }
}

TEST(QuantizeModel, TellsHowFarItIs) {
  const TempDir dir;
  std::uint64_t last = 0, all = 0;
  const QuantizationReport report = quantize_model({.model = kGolden + "moondream2-tiny",
                                                    .out = dir / "out",
                                                    .precision = Precision::kInt8,
                                                    .progress = [&](auto done, auto of) {
                                                      EXPECT_GE(done, last);
                                                      last = done;
                                                      all = of;
                                                    }});
  EXPECT_EQ(last, all);
  EXPECT_EQ(report.bytes_after, all);
  EXPECT_GT(fs::file_size(dir / "out" / "model.safetensors"), all);
}

TEST(QuantizeModel, CancelledInTheMiddleLeavesNothing) {
  const TempDir dir;
  std::stop_source source;
  QuantizationJob job{.model = kGolden + "moondream2-tiny", .out = dir / "out"};
  job.progress = [&](auto done, auto of) {
    if (done > of / 2) source.request_stop();
  };
  const Error error = error_of([&] { quantize_model(job, source.get_token()); });
  EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

// Each damage to a tensor of the layout is an error that names it.
TEST(QuantizeModel, WhatIsWrongInItsLayoutIsNamed) {
  const TempDir dir;
  quantize_model(
      {.model = kGolden + "moondream2-tiny", .out = dir / "out", .precision = Precision::kInt4});
  const std::string whole = test::file_contents(dir / "out" / "model.safetensors");
  const std::string name = "text.blocks.0.attn.qkv.weight.int4";
  const auto broken = [&](const std::string &from, const std::string &to) {
    std::string contents = whole;
    const std::size_t at = contents.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    contents.replace(at, from.size(), to);
    write_file(dir / "out" / "model.safetensors", contents);
    return error_of([&] { load_checkpoint(dir / "out"); });
  };
  for (const auto &[from, to] : {std::pair{name + ".zeros", name + ".zerox"},
                                 std::pair{name + ".scales", name + ".scalex"}}) {
    const Error error = broken(from, to);
    EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
    EXPECT_TRUE(says(error, "\"" + from + "\" is missing")) << error.what();
  }
  const Error error = broken("\"" + name + ".scales\":{\"dtype\":\"BF16\"",
                             "\"" + name + ".scales\":{\"dtype\":\"F16\" ");
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  EXPECT_TRUE(says(error, name + ".scales\" is ")) << error.what();
  EXPECT_TRUE(says(error, "Half")) << error.what();
}

TEST(QuantizeModel, AnotherPrecisionIsAnError) {
  const TempDir dir;
  const Error error = error_of([&] {
    quantize_model({.model = kGolden + "moondream2-tiny",
                    .out = dir / "out",
                    .precision = Precision::kFloat32});
  });
  EXPECT_EQ(error.kind(), ErrorKind::kSettings);
}

}  // namespace
}  // namespace moondream
