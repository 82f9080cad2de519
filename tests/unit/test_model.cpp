// The whole model on small weights: what goes wrong, and what must not disturb what. That its
// numbers are right is the parity suite's to show.
#include "model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "skills.h"
#include "test_support.h"

namespace moondream {
namespace {

const std::filesystem::path kTiny =
    std::filesystem::path(MOONDREAM_TEST_DATA) / "golden" / "moondream2-tiny";

const Model &tiny() {
  static const auto model = [] {
    auto loaded =
        Model::load({.model = kTiny.string(), .device = "cpu", .precision = Precision::kFloat32});
    loaded->use_cpu_threads(static_cast<int>(std::thread::hardware_concurrency()));
    return loaded;
  }();
  return *model;
}

// Noise: what this model of random weights sees in it makes it talk without end.
Image picture(int width, int height) {
  Image image{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
  unsigned value = 1;
  for (std::uint8_t &byte : image.pixels) byte = (value = value * 1664525u + 1013904223u) >> 24;
  return image;
}

std::shared_ptr<const EncodedImage> encoded(int width = 64, int height = 64) {
  const Image image = picture(width, height);
  const ImageView view = image.view();
  return tiny().encode({&view, 1})[0];
}

std::variant<PromptResult, Error> ask(const Generation &generation) {
  return tiny().generate({&generation, 1})[0];
}

ErrorKind load_error(const ModelSpec &spec, const std::string &named) {
  const Error error = test::error_of([&] { Model::load(spec); });
  EXPECT_TRUE(test::says(error, named)) << error.what();
  return error.kind();
}

// A folder of its own with some of the tiny model's files.
class Files {
 public:
  Files &take(const std::string &file) {
    std::filesystem::copy_file(kTiny / file, folder_ / file);
    return *this;
  }
  Files &write(const std::string &file, const std::string &text) {
    test::write_file(folder_ / file, text);
    return *this;
  }
  std::string path() const { return folder_.path().string(); }

 private:
  test::TempDir folder_;
};

TEST(ModelLoad, NamesWhatIsMissing) {
  EXPECT_EQ(load_error({.model = ""}, "no model"), ErrorKind::kSettings);
  EXPECT_EQ(load_error({.model = "/nowhere/at/all"}, "/nowhere/at/all"), ErrorKind::kNotFound);
  Files weights_only;
  weights_only.take("model.safetensors").take("config.json");
  EXPECT_EQ(load_error({.model = weights_only.path()}, weights_only.path()), ErrorKind::kNotFound);
  EXPECT_EQ(load_error({.model = kTiny.string(), .tokenizer = "/nowhere.json"}, "/nowhere.json"),
            ErrorKind::kNotFound);
}

TEST(ModelLoad, RefusesBrokenFilesAndTokenizersOfOtherModels) {
  Files broken;
  broken.take("model.safetensors").take("config.json").write("tokenizer.json", "{\"model\": 3");
  EXPECT_EQ(load_error({.model = broken.path()}, "tokenizer.json"), ErrorKind::kRead);
  const std::string large =
      (std::filesystem::path(MOONDREAM_TEST_DATA) / "tokenizers" / "gpt2-codegen.json").string();
  EXPECT_EQ(load_error({.model = kTiny.string(), .tokenizer = large}, "tokens"),
            ErrorKind::kMismatch);
}

TEST(ModelLoad, RefusesUnknownAndAbsentDevices) {
  EXPECT_EQ(load_error({.model = kTiny.string(), .device = "gpu"}, "gpu"), ErrorKind::kSettings);
  EXPECT_EQ(load_error({.model = kTiny.string(), .device = "cuda:x"}, "cuda:x"),
            ErrorKind::kSettings);
  EXPECT_EQ(load_error({.model = kTiny.string(), .device = "cuda:99"}, "cuda:99"),
            ErrorKind::kNoDevice);
}

TEST(ModelLoad, EndsWhenItIsCancelled) {
  std::stop_source stop;
  stop.request_stop();
  try {
    Model::load({.model = kTiny.string()}, stop.get_token());
    FAIL() << "loaded";
  } catch (const Error &error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  }
}

TEST(ModelLoad, TellsWhatItLoaded) {
  EXPECT_EQ(tiny().info().name, "moondream2-tiny");
  EXPECT_EQ(tiny().info().device, "cpu");
  EXPECT_EQ(tiny().info().precision, "float32");
  // The file is bfloat16: twice its data, less its header.
  const auto file = std::filesystem::file_size(kTiny / "model.safetensors");
  EXPECT_GT(tiny().info().weight_bytes, file);
  EXPECT_LT(tiny().info().weight_bytes, 2 * file);
}

TEST(ModelEncode, TakesPicturesOfAnyShape) {
  for (const auto &[width, height] : {std::pair{1, 1}, {3, 5}, {8192, 16}}) {
    EXPECT_NE(encoded(width, height), nullptr) << width << "x" << height;
  }
}

TEST(ModelEncode, EndsWithinABlockOnceItIsCancelled) {
  const Image image = picture(1280, 720);
  const ImageView view = image.view();
  int asked = 0;
  try {
    tiny().encode({&view, 1}, [&] { return ++asked == 3; });
    FAIL() << "encoded";
  } catch (const Error &error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCancelled);
  }
  EXPECT_EQ(asked, 3);
}

TEST(ModelEncode, RefusesAPictureWithoutPixels) {
  const ImageView none;
  EXPECT_THROW(tiny().encode({&none, 1}), Error);
}

TEST(ModelGenerate, OverlongPromptsAreRefusedWithTheirLength) {
  const std::string words(10000, 'x');
  for (const Prompt &prompt :
       {Prompt(QueryPrompt{words, false, {}}), Prompt(DetectPrompt{words})}) {
    const auto result = ask({encoded(), prompt, {}, {}});
    const Error *error = std::get_if<Error>(&result);
    ASSERT_NE(error, nullptr);
    EXPECT_EQ(error->kind(), ErrorKind::kSettings);
    EXPECT_NE(std::string(error->what()).find("too long"), std::string::npos) << error->what();
  }
}

TEST(ModelGenerate, EmptyPromptsAreRefused) {
  for (const Prompt &prompt :
       {Prompt(QueryPrompt{}), Prompt(DetectPrompt{}), Prompt(PointPrompt{})}) {
    const auto result = ask({encoded(), prompt, {}, {}});
    ASSERT_TRUE(std::holds_alternative<Error>(result));
    EXPECT_EQ(std::get<Error>(result).kind(), ErrorKind::kSettings);
  }
}

TEST(ModelGenerate, TextEndsWhereTheContextDoes) {
  GenerationSettings settings;
  settings.max_tokens = 100000;
  // 2048 positions less 730 of the picture: this model talks for ever.
  const auto result = ask({encoded(640, 480), CaptionPrompt{}, settings, {}});
  ASSERT_TRUE(std::holds_alternative<PromptResult>(result));
  EXPECT_FALSE(std::get<CaptionResult>(std::get<PromptResult>(result)).text.empty());
}

TEST(ModelGenerate, MaxTokensAndMaxObjectsAreKept) {
  const auto image = encoded();
  GenerationSettings settings;
  settings.max_tokens = 3;
  settings.max_objects = 2;
  int tokens = 0;
  const Generation caption{image, CaptionPrompt{}, settings, {}};
  tiny().generate({&caption, 1}, [&](std::string_view name, std::size_t, const at::Tensor &) {
    tokens += name == "token";
  });
  EXPECT_LE(tokens, 3);
  const auto found = ask({image, DetectPrompt{"face"}, settings, {}});
  EXPECT_LE(std::get<DetectResult>(std::get<PromptResult>(found)).objects.size(), 2u);
}

TEST(ModelGenerate, OnePromptsFailureOrCancellationLeavesTheOthersAlone) {
  const auto image = encoded();
  GenerationSettings settings;
  settings.max_tokens = 8;
  settings.max_objects = 3;
  std::stop_source stop;
  stop.request_stop();
  const std::vector<Generation> generations = {
      {image, DetectPrompt{"face"}, settings, {}},
      {image, QueryPrompt{std::string(10000, 'x'), false, {}}, settings, {}},
      {image, CaptionPrompt{}, settings, stop.get_token()},
      {image, CaptionPrompt{}, settings, {}},
  };
  const auto results = tiny().generate(generations);
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ(std::get<Error>(results[1]).kind(), ErrorKind::kSettings);
  EXPECT_EQ(std::get<Error>(results[2]).kind(), ErrorKind::kCancelled);
  const auto alone = ask(generations[3]);
  EXPECT_EQ(std::get<CaptionResult>(std::get<PromptResult>(results[3])).text,
            std::get<CaptionResult>(std::get<PromptResult>(alone)).text);
  EXPECT_TRUE(std::holds_alternative<PromptResult>(results[0]));
}

TEST(ModelGenerate, CancelStopsARunningGenerationWithinAToken) {
  GenerationSettings settings;
  settings.max_tokens = 1000;
  std::stop_source stop;
  int after = 0;
  const Generation caption{encoded(640, 480), CaptionPrompt{}, settings, stop.get_token()};
  int tokens = 0;
  const auto results =
      tiny().generate({&caption, 1}, [&](std::string_view name, std::size_t, const at::Tensor &) {
        if (name != "token") return;
        after += stop.stop_requested();
        if (++tokens == 5) stop.request_stop();
      });
  EXPECT_EQ(std::get<Error>(results[0]).kind(), ErrorKind::kCancelled);
  EXPECT_EQ(after, 0);
}

TEST(ModelGenerate, IsSafeFromSeveralThreadsAtOnce) {
  const auto image = encoded(200, 330);
  GenerationSettings settings;
  settings.max_tokens = 12;
  const Generation query{image, QueryPrompt{"What is it?", false, {}}, settings, {}};
  const auto text = [&] {
    return std::get<QueryResult>(std::get<PromptResult>(ask(query))).answer;
  };
  const std::string expected = text();
  std::vector<std::string> found(4);
  {
    std::vector<std::jthread> threads;
    for (std::string &one : found) threads.emplace_back([&] { one = text(); });
  }
  for (const std::string &one : found) EXPECT_EQ(one, expected);
}

TEST(ModelGenerate, SeededSamplingIsReproducible) {
  const auto image = encoded(200, 330);
  GenerationSettings settings;
  settings.temperature = 2;
  settings.top_p = 1;
  settings.max_tokens = 12;
  const auto text = [&](std::uint64_t seed) {
    settings.seed = seed;
    const auto result = ask({image, CaptionPrompt{}, settings, {}});
    return std::get<CaptionResult>(std::get<PromptResult>(result)).text;
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
}

TEST(Validate, NamesTheSettingThatIsOutOfRange) {
  const auto complaint = [](GenerationSettings settings) -> std::string {
    try {
      validate(settings);
    } catch (const Error &error) {
      EXPECT_EQ(error.kind(), ErrorKind::kSettings);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(complaint({}), "");
  EXPECT_NE(complaint({.temperature = -1}).find("temperature"), std::string::npos);
  EXPECT_NE(complaint({.top_p = 0}).find("top-p"), std::string::npos);
  EXPECT_NE(complaint({.top_p = 1.5}).find("top-p"), std::string::npos);
  EXPECT_NE(complaint({.max_tokens = 0}).find("max-tokens"), std::string::npos);
  EXPECT_NE(complaint({.max_objects = 0}).find("max-objects"), std::string::npos);
}

}  // namespace
}  // namespace moondream
