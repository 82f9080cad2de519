#include "release.h"

#include <gtest/gtest.h>

#include "tokenizer.h"
#include "weights_support.h"

namespace moondream {
namespace {

using test::error_of;
using test::says;
using test::TempDir;
using test::write_file;

Config of(const std::string &name) {
  Config config;
  apply_release(release_named(name).value(), config);
  config.validate(name);
  return config;
}

std::vector<int> ids(const TokenIds &values) { return {values.begin(), values.end()}; }

// The templates are numbers; these are the words that they were published for.
TEST(Release, TemplatesOfGpt2sVocabularyAreTheirWords) {
  const auto tokenizer = load_tokenizer(std::filesystem::path(MOONDREAM_TEST_DATA) / "tokenizers" /
                                        "gpt2-codegen.json");
  const auto says = [&](const TokenIds &found, const std::string &words) {
    EXPECT_EQ(ids(found), tokenizer->encode(words)) << words;
  };
  for (const char *name : {"2024-03-13", "2024-05-08", "2024-05-20", "2024-08-26", "2025-01-09",
                           "2025-03-27", "2025-04-14"}) {
    const Config config = of(name);
    const Templates &templates = config.tokenizer.templates;
    says(templates.query->prefix, "\n\nQuestion:");
    says(templates.query->suffix, "\n\nAnswer:");
    EXPECT_EQ(config.tokenizer.eos_id, 50256);
    EXPECT_FALSE(config.tokenizer.double_query_suffix);
    EXPECT_EQ(templates.caption.has_value(), std::string_view(name) >= "2024-08-26") << name;
    EXPECT_EQ(templates.point.has_value(), std::string_view(name) >= "2025") << name;
    if (!templates.caption) continue;
    says(templates.caption->short_form, "\n\nShort caption:");
    says(templates.caption->normal, "\n\nCaption:");
    says(templates.detect->prefix, "\n\nDetect:");
    says(templates.detect->suffix, "\n\n");
    EXPECT_EQ(templates.caption->long_form.empty(), std::string_view(name) < "2025-03") << name;
  }
  const Templates &templates = of("2025-04-14").tokenizer.templates;
  says(templates.caption->long_form, "\n\nLong caption:");
  says(templates.point->prefix, "\n\nPoint:");
  const Config oldest = of("2024-03-06");
  says(oldest.tokenizer.image_prefix, "<image>");
  says(oldest.tokenizer.image_suffix, "</image>");
  says(oldest.tokenizer.stop_ids, "<END>");
  says(oldest.tokenizer.templates.query->suffix, "\n\nAnswer: ");
}

TEST(Release, EachDoesWhatItDid) {
  const Config early = of("moondream1"), april = of("2024-04-02"), may = of("2024-05-20"),
               august = of("2024-08-26"), january = of("2025-01-09"), march = of("2025-03-27"),
               june = of("2025-06-21"), three = of("moondream3");
  // Only the latest draws outlines: "segment" is its token 17374.
  EXPECT_FALSE(june.tokenizer.templates.segment);
  EXPECT_EQ(three.tokenizer.templates.segment.value().prefix, (TokenIds{1, 17374, 2}));
  EXPECT_EQ(three.tokenizer.templates.segment->suffix, TokenIds{3});
  EXPECT_TRUE(early.vision.exact_gelu);
  EXPECT_FALSE(april.vision.exact_gelu);
  EXPECT_EQ(april.vision.cropping, Cropping::kWhole);
  EXPECT_EQ(may.vision.cropping, Cropping::kQuarters);
  EXPECT_EQ(january.vision.cropping, Cropping::kOverlapping);
  EXPECT_TRUE(august.text.causal_prefix);
  EXPECT_FALSE(january.text.causal_prefix);
  EXPECT_TRUE(august.tokenizer.leading_space_in_object);
  EXPECT_FALSE(january.tokenizer.leading_space_in_object);
  EXPECT_FALSE(january.tokenizer.leading_space_in_query);
  EXPECT_TRUE(march.tokenizer.leading_space_in_query);
  EXPECT_EQ(january.region.size_scale, SizeScale::kLinear);
  EXPECT_EQ(march.region.size_scale, SizeScale::kLog2);
  EXPECT_EQ(march.tokenizer.thinking_id, kNoId);
  EXPECT_EQ(june.tokenizer.thinking_id, 4);
  EXPECT_TRUE(june.tokenizer.double_query_suffix);
  EXPECT_FALSE(june.tokenizer.leading_space_in_query);
  EXPECT_FALSE(three.tokenizer.double_query_suffix);
  EXPECT_TRUE(three.tokenizer.coord_or_eos);
}

TEST(Release, ProgramTextBesideTheWeightsTells) {
  Config whole, joined, without, tau, packed;
  whole.vision.cropping = Cropping::kWhole;
  without.has_region = false;
  tau.text.tau_attn = true;
  packed.text.group_size = 128;
  const struct {
    const Config &config;
    bool trained;
    const char *file, *text;
    std::optional<Release> expected;
  } cases[] = {
      {whole, true, "moondream.py", "f\"</image>{after}\" eos_text=\"<END>\"",
       Release::kMoondream1},
      {whole, true, "moondream.py", "split(\"<image>\") eos_text=\"<END>\"", Release::k20240313},
      {whole, true, "moondream.py", "prompt.split(\"<image>\")", Release::k20240402},
      {whole, true, "moondream.py", "", std::nullopt},
      {without, true, "README.md", "", Release::k20240520},
      {joined, true, "moondream.py", "prompt.split(\"<image>\")", Release::k20240826},
      {joined, true, "README.md", "", std::nullopt},
      {joined, false, "config.py", "\"normal\": [198, 198, 24334], \"short\": [198, 198, 16438]",
       Release::k20250109},
      {joined, false, "config.py", "\"short\": [16438], \"long\": [198, 198, 14617, 8305, 25]",
       Release::k20250327},
      {joined, false, "config.py", "\"short\": [1, 32708, 2, 12492, 3]", Release::k20250621},
      {joined, false, "config.py", "", std::nullopt},
      {tau, false, "config.py", "\"short\": [1, 32708, 2, 12492, 3]", Release::kMoondream3},
      {packed, false, "README.md", "", Release::k20250327},
  };
  for (const auto &one : cases) {
    const TempDir dir;
    write_file(dir / one.file, one.text);
    EXPECT_EQ(find_release(one.config, one.trained, dir.path()), one.expected) << one.text;
  }
}

TEST(Release, ConfigMayNameIt) {
  const Config config = parse_config(
      R"({"config": {"tokenizer": {"release": "2024-07-23", "strip_text": false}}})", "c.json");
  EXPECT_EQ(config.vision.cropping, Cropping::kQuarters);
  EXPECT_FALSE(config.tokenizer.strip_text);
  EXPECT_FALSE(config.tokenizer.templates.detect);
  const Error error =
      error_of([] { parse_config(R"({"tokenizer": {"release": "2025-06-22"}})", "c.json"); });
  EXPECT_EQ(error.kind(), ErrorKind::kMismatch);
  EXPECT_TRUE(says(error, "c.json: tokenizer.release is none of moondream1, 2024-03-04"))
      << error.what();

  const TempDir dir;
  const auto source = [&](const char *text) {
    return prompt_source(write_file(dir / "config.json", text));
  };
  EXPECT_EQ(source(R"({"tokenizer": {"release": "2025-06-21"}})"), PromptSource::kRelease);
  EXPECT_EQ(source(R"({"config": {"tokenizer": {"templates": {}}}})"), PromptSource::kTemplates);
  EXPECT_EQ(source(R"({"tokenizer": {"templates": {}, "release": "2025-06-21"}})"),
            PromptSource::kRelease);
  EXPECT_EQ(source(R"({"config": {}, "model_type": "moondream1"})"), PromptSource::kNone);
  EXPECT_EQ(source(R"({"config": null, "tokenizer": {"release": "2025-06-21"}})"),
            PromptSource::kRelease);
  EXPECT_EQ(prompt_source(dir / "gone.json"), PromptSource::kNone);
}

// Any of them tells whose they are; the long caption tells the older ones apart.
TEST(Release, TemplatesTellTheirRelease) {
  const Templates january = of("2025-01-09").tokenizer.templates,
                  march = of("2025-03-27").tokenizer.templates,
                  june = of("2025-06-21").tokenizer.templates;
  EXPECT_EQ(release_of(january), Release::k20250109);
  EXPECT_EQ(release_of(march), Release::k20250327);
  EXPECT_EQ(release_of(june), Release::k20250621);
  EXPECT_EQ(release_of(of("moondream3").tokenizer.templates), Release::k20250621);
  const Templates none{{}, {}, {}, {}, {}};
  EXPECT_EQ(release_of(none), std::nullopt);
  for (const Templates *all : {&march, &june}) {
    const Release release = all == &june ? Release::k20250621 : Release::k20250327;
    Templates one = none;
    one.caption = all->caption;
    EXPECT_EQ(release_of(one), release);
    const Release without_long = all == &june ? release : Release::k20250109;
    for (const auto skill : {&Templates::query, &Templates::detect, &Templates::point}) {
      one = none;
      one.*skill = all->*skill;
      EXPECT_EQ(release_of(one), without_long);
      (one.*skill)->prefix = {7, 8, 9};
      EXPECT_EQ(release_of(one), std::nullopt);
      (one.*skill)->prefix = {};
      EXPECT_EQ(release_of(one), std::nullopt);
    }
  }
}

}  // namespace
}  // namespace moondream
