// Outlines by a small Moondream 3: the loop against a slow one that knows no caches, and who cannot
// draw any.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "checkpoint.h"
#include "decoder.h"
#include "engine_test.h"
#include "layers.h"
#include "region.h"
#include "skills.h"
#include "svg_path.h"
#include "test_support.h"
#include "text.h"

namespace moondream {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(MOONDREAM_TEST_DATA) / "golden";

// Texts of outlines, whatever the id. The letters of a prompt are ids above the commands'.
class OutlineTokenizer : public Tokenizer {
 public:
  std::vector<int> encode(std::string_view text) const override {
    std::vector<int> ids;
    for (const char letter : text) ids.push_back(100 + static_cast<unsigned char>(letter));
    return ids;
  }
  std::string decode(std::span<const int> ids, bool) const override {
    static const char *const kTexts[] = {"M", " L", "480 ", "96", "\n", "-", "960", "C"};
    std::string text;
    for (const int id : ids) text += kTexts[static_cast<std::size_t>(id) % std::size(kTexts)];
    return text;
  }
  bool contains(int id) const override { return id >= 0 && id < 1000; }
  int vocab_size() const override { return 1000; }
};

// What was found, and everything chosen on the way.
struct Drawn {
  SegmentResult result;
  std::vector<std::int64_t> tokens;
};

class Segment : public testing::Test {
 protected:
  // Chooses, of the tokens that this model of random weights says, which ones mean a coordinate and
  // a size, so that all kinds come.
  Segment() {
    config.templates.segment = AffixTemplate{{1, 17, 2}, {3}};
    config.coord_id = config.size_id = kNoId;
    settings.max_tokens = 24;
  }

  Drawn draw(const SegmentPrompt &prompt) const {
    const c10::InferenceMode guard;
    Drawn drawn;
    const Trace trace = [&](std::string_view name, std::size_t, const at::Tensor &value) {
      if (name == "token") drawn.tokens.push_back(value.item<std::int64_t>());
    };
    const Skills skills(config, tokenizer, text, region);
    Sequence sequence(text, nullptr, {}, trace, 0);
    Sequence *const sequences[] = {&sequence};
    const SinglePrompt single = prompt;
    const TextListener nobody;
    Task<PromptResult> tasks[] = {skills.run(single, settings, nobody, sequence)};
    const Generated generated = Decoder(text, region).run(tasks, sequences)[0];
    if (const Error *error = std::get_if<Error>(&generated)) throw *error;
    drawn.result = std::get<SegmentResult>(std::get<PromptResult>(generated));
    return drawn;
  }

  // The same, with all that came before computed again for each token.
  Drawn draw_slowly(const SegmentPrompt &prompt) const {
    const c10::InferenceMode guard;
    const auto embed = [&](std::int64_t id) { return text.embed({&id, 1}); };
    std::vector<at::Tensor> seen;
    for (const std::int64_t id : {1, 17, 2}) seen.push_back(embed(id));
    for (const auto &ref : prompt.spatial_refs) {
      if (const auto *point = std::get_if<Point>(&ref)) {
        seen.push_back(region.encode_coordinate(point->x));
        seen.push_back(region.encode_coordinate(point->y));
      } else {
        const Box &box = std::get<Box>(ref);
        seen.push_back(region.encode_coordinate((box.x_min + box.x_max) / 2));
        seen.push_back(region.encode_coordinate((box.y_min + box.y_max) / 2));
        seen.push_back(region.encode_size(box.x_max - box.x_min, box.y_max - box.y_min));
      }
    }
    for (const int id : tokenizer.encode(prompt.object)) seen.push_back(embed(id));
    seen.push_back(embed(3));

    Drawn drawn;
    std::vector<double> coordinates, sizes;
    std::vector<std::string> texts;
    while (std::ssize(drawn.tokens) < settings.max_tokens) {
      KvCache cache(static_cast<std::size_t>(text.config().n_layers));
      const TextSegment all{nullptr, &cache, std::ssize(seen)};
      const at::Tensor hidden = text.forward(at::cat(seen), {&all, 1});
      const at::Tensor logits = text.lm_head(hidden)[0];
      std::int64_t token = 0;  // the best that has a text or a meaning
      const at::Tensor order = logits.argsort(-1, true);
      for (std::int64_t i = 0;; ++i) {
        token = order[i].item<std::int64_t>();
        if (tokenizer.contains(static_cast<int>(token))) break;
      }
      drawn.tokens.push_back(token);
      if (token == config.eos_id) break;
      if (token == config.coord_id) {
        const at::Tensor bins = region.decode_coordinate(hidden)[0];
        coordinates.push_back(region.coordinate_of_bin(bins.argmax().item<std::int64_t>()));
        seen.push_back(region.encode_coordinate(coordinates.back()));
      } else if (token == config.size_id) {
        const at::Tensor bins = region.decode_size(hidden)[0];
        const double width = region.size_of_bin(bins[0].argmax().item<std::int64_t>());
        const double height = region.size_of_bin(bins[1].argmax().item<std::int64_t>());
        if (sizes.empty()) sizes = {width, height};
        seen.push_back(region.encode_size(width, height));
      } else {
        const int id = static_cast<int>(token);
        std::string one = tokenizer.decode({&id, 1}, true);
        std::erase_if(one, [](char c) { return c == ' ' || c == '\n'; });
        if (id > 20 && !one.empty()) texts.push_back(one);
        seen.push_back(embed(token));
      }
    }
    drawn.result.path = svg_path_of_tokens(texts).value_or("");
    if (coordinates.size() >= 2 && !sizes.empty()) {
      drawn.result.box = Box{coordinates[0] - sizes[0] / 2, coordinates[1] - sizes[1] / 2,
                             coordinates[0] + sizes[0] / 2, coordinates[1] + sizes[1] / 2};
    }
    return drawn;
  }

  // Makes the tokens that are said most the coordinate's and the size's, by and by.
  void give_meaning(const std::vector<SegmentPrompt> &prompts) {
    for (std::int64_t *id : {&config.coord_id, &config.size_id}) {
      std::map<std::int64_t, int> counts;
      for (const SegmentPrompt &prompt : prompts) {
        const Drawn drawn = draw(prompt);
        for (const std::int64_t token : drawn.tokens) {
          if (token != config.coord_id && token != config.eos_id) ++counts[token];
        }
      }
      *id = std::ranges::max_element(counts, {}, [](const auto &c) { return c.second; })->first;
    }
  }

  const Checkpoint checkpoint = load_checkpoint(kGolden / "moondream3-tiny");
  const WeightSource weights{checkpoint, c10::Device(c10::kCPU), c10::kFloat};
  const TextModel text{weights};
  const RegionModel region{weights};
  const OutlineTokenizer tokenizer;
  TokenizerConfig config = checkpoint.config().tokenizer;
  GenerationSettings settings;
};

TEST_F(Segment, IsWhatASlowLoopDraws) {
  const std::vector<SegmentPrompt> prompts = {
      {"cat", {}},
      {"the red car", {}},
      {"a", {Point{0.25, 0.5}}},
      {"left hand", {Box{0.1, 0.2, 0.5, 0.9}}},
      {"roof", {Box{0.3, 0.3, 0.4, 0.4}, Point{0.9, 0.1}}},
      {"door", {}},
      {"x", {}},
      {"snow", {Point{0.5, 0.5}}},
  };
  give_meaning(prompts);
  int boxes = 0, paths = 0;
  for (const SegmentPrompt &prompt : prompts) {
    const Drawn found = draw(prompt), expected = draw_slowly(prompt);
    EXPECT_EQ(found.tokens, expected.tokens) << prompt.object;
    EXPECT_EQ(found.result.box, expected.result.box) << prompt.object;
    EXPECT_EQ(found.result.path, expected.result.path) << prompt.object;
    boxes += found.result.box.has_value();
    paths += !found.result.path.empty();
  }
  EXPECT_GT(boxes, 0);
  EXPECT_GT(paths, 0);
}

TEST_F(Segment, EndsAfterTheTokensThatItMayHave) {
  settings.max_tokens = 3;
  EXPECT_LE(draw({"cat", {}}).tokens.size(), 3u);
}

TEST_F(Segment, NeedsAnObjectAndAModelThatWasTrainedForIt) {
  EXPECT_TRUE(test::says(test::error_of([&] { draw({"", {}}); }), "object is empty"));
  config.templates.segment.reset();
  const Error error = test::error_of([&] { draw({"cat", {}}); });
  EXPECT_EQ(error.kind(), ErrorKind::kSettings);
  EXPECT_TRUE(test::says(error, "only Moondream 3")) << error.what();
}

// From file to callback: a Moondream 3 whose config has the template, and a Moondream 2.
TEST(SegmentEngine, OnlyMoondream3Draws) {
  const test::TempDir dir;
  for (const char *file : {"model.safetensors", "tokenizer.json"}) {
    std::filesystem::copy_file(kGolden / "moondream3-tiny" / file, dir / file);
  }
  std::string json = test::file_contents(kGolden / "moondream3-tiny" / "config.json");
  const std::string key = "\"templates\": {";
  json.insert(json.find(key) + key.size(), R"("segment": {"prefix": [1, 17, 2], "suffix": [3]},)");
  test::write_file(dir / "config.json", json);

  const auto outcome = [](const std::filesystem::path &model) {
    const auto engine = Engine::acquire(
        {.model = model.string(), .device = "cpu", .precision = Precision::kFloat32});
    const auto stream = engine->open_stream();
    Request request = about_image({SegmentPrompt{"cat", {Point{0.5, 0.5}}}});
    request.settings.max_tokens = 5;
    const Inbox inbox;
    stream->submit(request, inbox.callback());
    return inbox.letter().outcome;
  };
  EXPECT_TRUE(std::holds_alternative<Result>(outcome(dir.path())));
  for (const char *other : {"moondream2-tiny", "moondream3-tiny"}) {
    const Outcome refused = outcome(kGolden / other);
    ASSERT_TRUE(std::holds_alternative<Error>(refused)) << other;
    EXPECT_TRUE(test::says(std::get<Error>(refused), "only Moondream 3")) << other;
  }
}

}  // namespace
}  // namespace moondream
