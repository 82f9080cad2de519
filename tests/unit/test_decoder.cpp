// What the decoder promises of tasks, whatever they are of. Skills on it are in test_model.cpp.
#include "decoder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "checkpoint.h"
#include "layers.h"

namespace moondream {
namespace {

Task<PromptResult> fails(const char *text) {
  throw std::runtime_error(text);
  co_return CaptionResult{};
}

Task<PromptResult> says(std::string text) { co_return CaptionResult{std::move(text)}; }

TEST(Decoder, AnExceptionOfAnyTypeIsThatTasksErrorAndNobodyElses) {
  const Checkpoint checkpoint =
      load_checkpoint(std::filesystem::path(MOONDREAM_TEST_DATA) / "golden" / "moondream2-tiny");
  const WeightSource weights(checkpoint, c10::Device(c10::kCPU), c10::kFloat);
  const TextModel text(weights);
  const RegionModel region(weights);
  const Trace trace;
  Sequence first(text, nullptr, {}, trace, 0), second(text, nullptr, {}, trace, 1);
  Sequence *const sequences[] = {&first, &second};
  Task<PromptResult> tasks[] = {fails("odd"), says("well")};

  const auto results = Decoder(text, region).run(tasks, sequences);
  ASSERT_EQ(results.size(), 2u);
  ASSERT_TRUE(std::holds_alternative<Error>(results[0]));
  EXPECT_EQ(std::get<Error>(results[0]).kind(), ErrorKind::kFailed);
  EXPECT_NE(std::string(std::get<Error>(results[0]).what()).find("odd"), std::string::npos);
  ASSERT_TRUE(std::holds_alternative<PromptResult>(results[1]));
  EXPECT_EQ(std::get<CaptionResult>(std::get<PromptResult>(results[1])).text, "well");
}

}  // namespace
}  // namespace moondream
