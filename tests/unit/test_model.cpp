// The whole model on small weights: what goes wrong, and what must not disturb what. That its
// numbers are right is the parity suite's to show.
#include "model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "device.h"
#include "kv_cache.h"
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
    use_cpu_threads(static_cast<int>(std::thread::hardware_concurrency()));
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

// As huggingface_hub keeps it: links to files in another folder, under the names of their hashes.
TEST(ModelLoad, TakesTheHuggingFaceCache) {
  namespace fs = std::filesystem;
  const test::TempDir dir;
  const fs::path repository = dir / "models--vikhyatk--moondream2";
  const fs::path snapshot = repository / "snapshots" / "9a7d4024050840e001defacec2b00727e89149e6";
  fs::create_directories(snapshot);
  fs::create_directories(repository / "blobs");
  fs::create_directories(repository / "refs");
  test::write_file(repository / "refs" / "main", snapshot.filename().string());
  for (const char *name : {"config.json", "model.safetensors", "tokenizer.json"}) {
    const fs::path blob = repository / "blobs" / (std::string("hash-of-") + name);
    fs::copy_file(kTiny / name, blob);
    fs::create_symlink(fs::path("../../blobs") / blob.filename(), snapshot / name);
  }
  for (const fs::path &path : {repository, snapshot, snapshot / "model.safetensors"}) {
    const auto model =
        Model::load({.model = path.string(), .device = "cpu", .precision = Precision::kBFloat16});
    EXPECT_EQ(model->info().name, "vikhyatk/moondream2") << path;
  }
}

TEST(ModelEncode, TakesPicturesOfAnyShape) {
  for (const auto &[width, height] : {std::pair{1, 1}, {3, 5}, {8192, 16}}) {
    EXPECT_NE(encoded(width, height), nullptr) << width << "x" << height;
  }
}

// The tiny model's blocks: 27 of the vision encoder, 3 of the text model.
constexpr int kVisionBlocks = 27, kTextBlocks = 3;

// What becomes of three pictures if one is cancelled when it is asked for the `last` time: each
// crop is asked before each vision block, and the picture before each text block.
std::vector<std::shared_ptr<const EncodedImage>> encode_with_one_cancelled(
    const std::vector<Crops> &crops, std::size_t victim, int last, int &asked) {
  std::vector<Picture> pictures;
  for (const Crops &one : crops) pictures.push_back({&one, {}, {}});
  pictures[victim].cancelled = [&asked, last] { return ++asked >= last; };
  return tiny().encode(pictures);
}

double relative_error(const at::Tensor &found, const at::Tensor &expected) {
  return ((found - expected).abs().max() / expected.abs().max()).item<double>();
}

TEST(ModelEncode, ACancelledPictureLeavesTheBatchWithinABlockAndTheOthersGoOn) {
  std::vector<Crops> crops;
  for (const auto &[width, height] : {std::pair{400, 300}, {1280, 720}, {64, 64}}) {
    crops.push_back(tiny().crop(picture(width, height).view()));
  }
  std::vector<Picture> all;
  for (const Crops &one : crops) all.push_back({&one, {}, {}});
  const auto expected = tiny().encode(all);

  ASSERT_EQ(crops[1].count, 9);
  const int in_vision = 9 * 5 + 1;                   // the first crop in the sixth block
  const int in_prefill = 9 * kVisionBlocks + 1 + 2;  // 1: between the two
  for (const int last : {1, in_vision, in_prefill}) {
    SCOPED_TRACE("cancelled when asked for the " + std::to_string(last) + "th time");
    int asked = 0;
    const auto encoded = encode_with_one_cancelled(crops, 1, last, asked);
    EXPECT_EQ(encoded[1], nullptr);
    // Nothing asks for what has left: only the other crops of its block, and the picture itself
    // once more between vision encoder and text model.
    EXPECT_LE(asked, last + 8 + 1);
    for (const std::size_t i : {0, 2}) {
      ASSERT_NE(encoded[i], nullptr);
      const KvCache &found = encoded[i]->cache(), &known = expected[i]->cache();
      // Products of other sizes may be summed in another order, as in the parity suite.
      EXPECT_LE(relative_error(found.k(0), known.k(0)), 1e-4);
      EXPECT_LE(relative_error(found.v(kTextBlocks - 1), known.v(kTextBlocks - 1)), 1e-4);
    }
  }
}

TEST(ModelEncode, NothingIsComputedForPicturesThatAreAllCancelled) {
  const std::vector<Crops> crops = {tiny().crop(picture(1280, 720).view())};
  int asked = 0;
  EXPECT_EQ(encode_with_one_cancelled(crops, 0, 1, asked)[0], nullptr);
  EXPECT_EQ(asked, 9 + 1);
}

TEST(ModelEncode, KnownFeaturesStandInForTheirCrops) {
  const Crops crops = tiny().crop(picture(1280, 720).view());
  std::vector<Picture> first = {{&crops, {}, {}}};
  const auto expected = tiny().encode(first)[0];

  std::vector<Picture> again = {{&crops, first[0].features, {}}};
  again[0].features[3] = at::Tensor();
  const Crops other = tiny().crop(picture(640, 480).view());
  again.push_back({&other, {}, {}});
  const auto found = tiny().encode(again)[0];
  EXPECT_TRUE(again[0].features[0].is_same(first[0].features[0]));
  ASSERT_TRUE(again[0].features[3].defined());
  EXPECT_LE(relative_error(again[0].features[3], first[0].features[3]), 1e-4);
  EXPECT_LE(relative_error(found->cache().v(kTextBlocks - 1), expected->cache().v(kTextBlocks - 1)),
            1e-4);

  // They are really used: other features make another picture.
  for (at::Tensor &features : again[0].features) features = features + 1;
  EXPECT_GT(relative_error(tiny().encode(again)[0]->cache().v(kTextBlocks - 1),
                           expected->cache().v(kTextBlocks - 1)),
            1e-2);
}

TEST(ModelEncode, RefusesAPictureWithoutPixels) {
  const ImageView none;
  EXPECT_THROW(tiny().encode({&none, 1}), Error);
}

TEST(ModelGenerate, OverlongPromptsAreRefusedWithTheirLength) {
  const std::string words(10000, 'x');
  for (const SinglePrompt &prompt :
       {SinglePrompt(QueryPrompt{words, false, {}}), SinglePrompt(DetectPrompt{words})}) {
    const auto result = ask({encoded(), prompt, {}, {}});
    const Error *error = std::get_if<Error>(&result);
    ASSERT_NE(error, nullptr);
    EXPECT_EQ(error->kind(), ErrorKind::kSettings);
    EXPECT_NE(std::string(error->what()).find("too long"), std::string::npos) << error->what();
  }
}

// The first logits after a prompt: every token of it is in them.
at::Tensor first_logits(const Model &model, const SinglePrompt &prompt) {
  const Image image = picture(64, 64);
  const ImageView view = image.view();
  GenerationSettings settings;
  settings.max_tokens = settings.max_objects = 1;
  const Generation generation{model.encode({&view, 1})[0], prompt, settings, {}};
  at::Tensor logits;
  model.generate({&generation, 1},
                 [&](std::string_view name, std::size_t, const at::Tensor &value) {
                   if (name == "logits") logits = value;
                 });
  return logits;
}

// Releases differ in this.
TEST(ModelGenerate, SpacesBeforeQuestionsAndObjectsAreAsTheConfigurationSays) {
  std::string config = test::file_contents(kTiny / "config.json");
  const std::string section = "\"tokenizer\": {";
  ASSERT_NE(config.find(section), config.npos);
  config.insert(config.find(section) + section.size(),
                R"("leading_space_in_query": true, "leading_space_in_object": false,)");
  Files files;
  files.take("model.safetensors").take("tokenizer.json").write("config.json", config);
  const auto other =
      Model::load({.model = files.path(), .device = "cpu", .precision = Precision::kFloat32});
  const auto same = [&](const SinglePrompt &here, const SinglePrompt &there) {
    // The same sums, or those of other tokens.
    return at::allclose(first_logits(*other, here), first_logits(tiny(), there), 1e-5, 1e-5);
  };
  const QueryPrompt plain{"What is it?", false, {}}, spaced{" What is it?", false, {}};
  EXPECT_TRUE(same(plain, spaced));
  EXPECT_FALSE(same(plain, plain));
  EXPECT_TRUE(same(DetectPrompt{" face"}, DetectPrompt{"face"}));
  EXPECT_FALSE(same(DetectPrompt{"face"}, DetectPrompt{"face"}));
  EXPECT_TRUE(same(PointPrompt{" face"}, PointPrompt{"face"}));
}

TEST(ModelGenerate, EmptyPromptsAreRefused) {
  for (const SinglePrompt &prompt :
       {SinglePrompt(QueryPrompt{}), SinglePrompt(DetectPrompt{}), SinglePrompt(PointPrompt{})}) {
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

// What is found before the first repetition, which is left out.
TEST(ModelGenerate, ASearchMayEndWithTheFirstDuplicate) {
  GenerationSettings to_the_end, to_a_duplicate;
  to_the_end.max_objects = to_a_duplicate.max_objects = 12;
  to_a_duplicate.stop_at_duplicates = true;
  bool repeated = false;
  for (const auto &[width, height] : {std::pair{64, 64}, {640, 480}, {378, 378}, {200, 330}}) {
    const auto image = encoded(width, height);
    const auto points_of = [&](const GenerationSettings &settings) {
      std::vector<Point> points;
      const auto result = ask({image, PointPrompt{"face"}, settings, {}});
      for (const ScoredPoint &found :
           std::get<PointResult>(std::get<PromptResult>(result)).points) {
        points.push_back(found.point);
      }
      return points;
    };
    std::vector<Point> expected;
    for (const Point &point : points_of(to_the_end)) {
      if (std::ranges::find(expected, point) != expected.end()) {
        repeated = true;
        break;
      }
      expected.push_back(point);
    }
    EXPECT_EQ(points_of(to_a_duplicate), expected) << width << "x" << height;
  }
  EXPECT_TRUE(repeated) << "the model never repeats itself: nothing was tested";
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

TEST(ModelGenerate, PromptsOfOneAndOfSeveralPicturesDecodeInStep) {
  const auto first = encoded(64, 64), second = encoded(640, 480);
  GenerationSettings settings;
  settings.max_tokens = 5;
  const std::vector<Generation> generations = {
      {first, CaptionPrompt{}, settings, {}},
      {first, QueryPrompt{"What is it?", false, {}}, settings, {}},
      {second, CaptionPrompt{CaptionLength::kLong}, settings, {}},
  };
  std::vector<int> tokens(generations.size(), 0), rounds;
  tiny().generate(generations, [&](std::string_view name, std::size_t index, const at::Tensor &) {
    if (name == "token") rounds.push_back(tokens[index]++);
  });
  // The first token of each, then the second of each: the weights are read once for all.
  EXPECT_TRUE(std::ranges::is_sorted(rounds));
  EXPECT_GE(std::ranges::count(rounds, 1), 2) << "nothing to be in step with";
  // The picture's keys and values are shared, not appended to.
  EXPECT_EQ(first->cache().length(), 730);
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
