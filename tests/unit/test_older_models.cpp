// Models of 2024, from files of their layouts with few layers: what they are told by, and that they
// answer as they did.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>

#include "checkpoint.h"
#include "checkpoint_support.h"
#include "kv_cache.h"
#include "model.h"
#include "release.h"
#include "vision.h"

namespace moondream {
namespace {

using test::error_of;
using test::raw;
using test::RawTensor;
using test::safetensors_of;
using test::says;
using test::TempDir;
using test::write_file;

const std::filesystem::path kTokenizers = std::filesystem::path(MOONDREAM_TEST_DATA) / "tokenizers";

// Rows of the vocabulary: more than GPT-2's tokenizer has tokens, 50295, as in the published ones.
constexpr std::int64_t kRows = 50400;
constexpr std::int64_t kThe = 262, kLess = 27;  // " the" and "<"

struct Layout {
  Cropping cropping = Cropping::kQuarters;
  bool region = true;
  const char *program = "";  // moondream.py
};

Config config_of(const Layout &layout) {
  Config config;
  config.text = {
      .dim = 64, .ff_dim = 32, .n_layers = 2, .vocab_size = kRows, .n_heads = 1, .n_kv_heads = 1};
  config.vision = {.enc_dim = 72,
                   .enc_n_layers = 1,
                   .enc_ff_dim = 40,
                   .enc_n_heads = 1,
                   .proj_out_dim = 64,
                   .proj_inner_dim = 32,
                   .cropping = layout.cropping};
  config.region = {.dim = 64,
                   .coord_feat_dim = 8,
                   .coord_out_dim = 16,
                   .size_feat_dim = 8,
                   .size_out_dim = 32,
                   .inner_dim = 24};
  config.has_region = layout.region;
  return config;
}

// A directory as it can be downloaded. likeliest: the next tokens that the model sees, in order.
void write_snapshot(const TempDir &dir, const Layout &layout,
                    const std::vector<std::int64_t> &likeliest) {
  at::manual_seed(1);
  std::vector<RawTensor> tensors;
  for (const ExpectedTensor &expected : expected_tensors(config_of(layout))) {
    at::Tensor tensor = at::randn(expected.shape) * 0.05;
    if (expected.name == "text.lm_head.bias") {
      for (std::size_t i = 0; i < likeliest.size(); ++i) {
        tensor[likeliest[i]] = 1000.0 / static_cast<double>(i + 1);
      }
    }
    const at::Tensor half = tensor.to(at::kHalf);
    tensors.push_back(test::in_training_layout(expected.name, half));
    tensors.back().dtype = "F16";
  }
  if (!layout.region) {
    for (const char *name :
         {"region_model.position_encoder.weight", "region_model.size_features.weight",
          "region_model.size_encoder.bias"}) {
      tensors.push_back(raw(name, at::ones({2, 3}).to(at::kHalf), "F16"));
    }
  }
  write_file(dir / "model.safetensors", safetensors_of(tensors));
  write_file(dir / "config.json",
             R"({"architectures": ["Moondream"], "model_type": "moondream1", "phi_config": {}})");
  if (*layout.program) write_file(dir / "moondream.py", layout.program);
  std::filesystem::copy_file(kTokenizers / "gpt2-codegen.json", dir / "tokenizer.json");
}

std::unique_ptr<const Model> load(const TempDir &dir) {
  return Model::load(
      {.model = dir.path().string(), .device = "cpu", .precision = Precision::kFloat32});
}

std::shared_ptr<const EncodedImage> encode(const Model &model, int width = 800, int height = 600) {
  const Image image{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height, 100)};
  const ImageView view = image.view();
  return model.encode({&view, 1})[0];
}

// The answer, or the text of the error, which must be of a setting.
std::string ask(const Model &model, const SinglePrompt &prompt) {
  GenerationSettings settings;
  settings.max_tokens = 3;
  settings.max_objects = 2;
  const Generation generation{encode(model), prompt, settings, {}};
  const auto result = model.generate({&generation, 1})[0];
  if (const auto *error = std::get_if<Error>(&result)) {
    EXPECT_EQ(error->kind(), ErrorKind::kSettings);
    return std::string("error: ") + error->what();
  }
  struct Text {
    std::string operator()(const CaptionResult &r) { return r.text; }
    std::string operator()(const QueryResult &r) { return r.answer; }
    std::string operator()(const DetectResult &r) { return std::to_string(r.objects.size()); }
    std::string operator()(const PointResult &r) { return std::to_string(r.points.size()); }
    std::string operator()(const GazeResult &) { return "gaze"; }
    std::string operator()(const FaceGazeResult &) { return "faces"; }
    std::string operator()(const SegmentResult &) { return "outline"; }
  };
  return std::visit(Text(), std::get<PromptResult>(result));
}

const char *const kTags = "f\"</image>{after}\" eos_text=\"<END>\" split(\"<image>\")";
const char *const kPlain = "before, after = prompt.split(\"<image>\")";

TEST(OlderModels, OfAugust2024DescribesAndDetects) {
  const TempDir dir;
  write_snapshot(dir, {.program = kPlain}, {kThe});
  const Config config = load_checkpoint(dir.path()).config();
  EXPECT_TRUE(config.text.causal_prefix);
  EXPECT_EQ(config.vision.cropping, Cropping::kQuarters);
  EXPECT_EQ(config.region.size_scale, SizeScale::kLinear);
  const auto model = load(dir);
  EXPECT_EQ(ask(*model, CaptionPrompt{}), "the the the");  // its answers are stripped
  EXPECT_EQ(ask(*model, QueryPrompt{"What?", false, {}}), "the the the");
  EXPECT_EQ(ask(*model, DetectPrompt{"face"}), "2");
  EXPECT_TRUE(ask(*model, PointPrompt{"face"}).starts_with("error: this model has no template"));
  EXPECT_TRUE(ask(*model, CaptionPrompt{CaptionLength::kLong}).starts_with("error: "));
  EXPECT_TRUE(ask(*model, QueryPrompt{"What?", true, {}}).starts_with("error: "));
}

TEST(OlderModels, OfMay2024AnswersQuestionsOnly) {
  const TempDir dir;
  write_snapshot(dir, {.region = false}, {kThe});
  const auto model = load(dir);
  EXPECT_EQ(ask(*model, QueryPrompt{"What?", false, {}}), "the the the");
  for (const SinglePrompt &prompt :
       {SinglePrompt(CaptionPrompt{}), SinglePrompt(DetectPrompt{"face"}),
        SinglePrompt(PointPrompt{"face"}), SinglePrompt(GazePrompt{}),
        SinglePrompt(QueryPrompt{"What?", false, {Point{0.5, 0.5}}})}) {
    EXPECT_TRUE(ask(*model, prompt).starts_with("error: this model ")) << ask(*model, prompt);
  }
}

TEST(OlderModels, OfApril2024SeesThePictureAsOneCrop) {
  const TempDir dir;
  write_snapshot(dir, {Cropping::kWhole, false, kPlain}, {kThe});
  EXPECT_FALSE(load_checkpoint(dir.path()).config().vision.exact_gelu);
  const auto model = load(dir);
  const Image image{800, 600, std::vector<std::uint8_t>(std::size_t{3} * 800 * 600)};
  EXPECT_EQ(model->crop(image.view()).count, 1);
  EXPECT_EQ(encode(*model)->cache().length(), 730);
  EXPECT_EQ(ask(*model, QueryPrompt{"What?", false, {}}), "the the the");
}

TEST(OlderModels, TheFirstHaveTagsAroundThePictureAndEndWithEnd) {
  const TempDir dir;
  write_snapshot(dir, {Cropping::kWhole, false, kTags}, {kLess});
  EXPECT_TRUE(load_checkpoint(dir.path()).config().vision.exact_gelu);
  const auto model = load(dir);
  EXPECT_EQ(encode(*model)->cache().length(), 730 + 6);
  EXPECT_EQ(ask(*model, QueryPrompt{"What?", false, {}}), "");
}

TEST(OlderModels, AreNotGuessed) {
  const TempDir dir;
  write_snapshot(dir, {Cropping::kWhole, false, ""}, {kThe});
  const Error error = error_of([&] { load(dir); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  for (const char *words : {"moondream.py", "release", "2024-04-02", "config.json"}) {
    EXPECT_TRUE(says(error, words)) << error.what();
  }
  const auto told = Model::load({.model = dir.path().string(),
                                 .device = "cpu",
                                 .precision = Precision::kFloat32,
                                 .release = "2024-04-02"});
  EXPECT_EQ(ask(*told, QueryPrompt{"What?", false, {}}), "the the the");
  write_file(dir / "config.json", R"({"tokenizer": {"release": "2024-03-13"}})");
  EXPECT_TRUE(load_checkpoint(dir.path()).config().vision.exact_gelu);
  // With places but without a word from anywhere: the prompts of the last release, and so its
  // vocabulary, which this is not.
  const TempDir other;
  write_snapshot(other, {}, {kThe});
  EXPECT_TRUE(says(error_of([&] { load(other); }), "starmie-v1"));
}

// The published models have hundreds of rows more than their tokenizer has tokens. Trained ones
// choose none of them; one that does goes on as the reference would.
TEST(OlderModels, RowsWithoutATokenHaveNoText) {
  for (const std::int64_t row : {kRows - 1, std::int64_t{50295}}) {
    const TempDir dir;
    write_snapshot(dir, {.program = kPlain}, {row, kThe});
    EXPECT_EQ(ask(*load(dir), QueryPrompt{"What?", false, {}}), "");
  }
}

TEST(OlderModels, ProjectionIsOfTheWholePictureAloneWithItsGelu) {
  for (const bool exact : {false, true}) {
    at::manual_seed(3);
    Config config = config_of({Cropping::kWhole, false, ""});
    config.text.vocab_size = 64;
    config.tokenizer.templates = {{}, {}, {}, {}};
    config.vision.exact_gelu = exact;
    std::map<std::string, at::Tensor> tensors;
    for (const ExpectedTensor &expected : expected_tensors(config)) {
      tensors.emplace(expected.name, at::randn(expected.shape));
    }
    const Checkpoint checkpoint(config, tensors);
    const VisionEncoder vision(WeightSource(checkpoint, c10::Device(c10::kCPU), c10::kFloat));
    const at::Tensor features = at::randn({1, 729, 72}) * 0.1;
    const auto linear = [&](const at::Tensor &x, const std::string &name) {
      const auto part = [&](const char *which) {
        return tensors.at("vision.proj_mlp." + name + which).to(at::kDouble);
      };
      return at::matmul(x, part(".weight").t()) + part(".bias");
    };
    const at::Tensor x = linear(features[0].to(at::kDouble), "fc1");
    const at::Tensor gelu =
        exact ? x * 0.5 * (1 + at::erf(x * M_SQRT1_2))
              : x * 0.5 * (1 + at::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x.pow(3))));
    // Sums of some tens of float32 products; the two kinds differ by 1e-4 and more.
    EXPECT_TRUE(at::allclose(vision.project(features, {1, 1}).to(at::kDouble), linear(gelu, "fc2"),
                             1e-5, 1e-5));
  }
}

}  // namespace
}  // namespace moondream
