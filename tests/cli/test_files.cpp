// inspect, quantize and bench.
#include <sys/stat.h>

#include <algorithm>

#include "models.h"

namespace moondream::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json inspected(const std::string &path, int status, const std::string &release = {}) {
  std::vector<std::string> arguments = {"inspect", "--json", path};
  if (!release.empty()) arguments.insert(arguments.end(), {"--release", release});
  const Finished finished = run_command(arguments);
  EXPECT_EQ(finished.status, status) << finished.out << finished.err;
  EXPECT_EQ(finished.err, "");
  return json::parse(finished.out);
}

bool has_problem(const json &report, const std::string &part) {
  return std::any_of(report["problems"].begin(), report["problems"].end(),
                     [&](const json &problem) {
                       return problem.get<std::string>().find(part) != std::string::npos;
                     });
}

// A copy of the tiny model to break.
class Copy {
 public:
  Copy() {
    for (const char *name : {"config.json", "model.safetensors", "tokenizer.json"}) {
      fs::copy_file(fs::path(kTiny) / name, dir_ / name);
    }
  }
  std::string path() const { return dir_.path().string(); }
  fs::path operator/(const std::string &name) const { return dir_ / name; }

 private:
  const TempDir dir_;
};

TEST(Inspect, SaysWhatEachGoldenModelIs) {
  struct Known {
    const char *name, *kind, *layout;
    std::size_t files;
  };
  for (const Known &known : {
           Known{"moondream2-tiny", "Moondream 2, small", "published, names with \"model.\"", 1},
           Known{"moondream2-tiny-gqa", "Moondream 2, small", "training code", 2},
           Known{"moondream2-tiny-int4", "Moondream 2, small", "packed to 4 bits", 1},
           Known{"moondream3-tiny", "Moondream 3", "published", 1},
           Known{"moondream3-tiny-fp8", "Moondream 3", "experts in FP8", 1},
       }) {
    SCOPED_TRACE(known.name);
    const json report = inspected(kGolden + known.name, 0);
    EXPECT_EQ(report["kind"], known.kind);
    EXPECT_NE(report["layout"].get<std::string>().find(known.layout), std::string::npos)
        << report["layout"];
    EXPECT_EQ(report["files"].size(), known.files);
    EXPECT_TRUE(report["problems"].empty()) << report["problems"];
    EXPECT_TRUE(std::count(report["skills"].begin(), report["skills"].end(), "detect"));
    const json config = json::parse(file_contents(kGolden + known.name + "/config.json"));
    const json &text = config.contains("config") ? config["config"]["text"] : config["text"];
    EXPECT_EQ(report["dimensions"]["text"]["dim"], text["dim"]);
    EXPECT_EQ(report["dimensions"]["text"]["n_layers"], text["n_layers"]);
    EXPECT_GT(report["tokenizer"]["tokens"], 100);
  }
}

TEST(Inspect, PrintsLinesForPeople) {
  const Finished finished = run_command({"inspect", kTiny, kGolden + "moondream3-tiny"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  for (const char *part : {"Moondream 2, small", "Moondream 3", "problems    none", "tensors",
                           "skills      caption, query"}) {
    EXPECT_NE(finished.out.find(part), std::string::npos) << part << " in\n" << finished.out;
  }
}

TEST(Inspect, SaysWhatIsWrongWithABrokenOne) {
  {
    const Copy copy;
    fs::remove(copy / "tokenizer.json");
    const json report = inspected(copy.path(), 1);
    EXPECT_TRUE(has_problem(report, "tokenizer")) << report["problems"];
    EXPECT_EQ(report["kind"], "Moondream 2, small");
  }
  {
    const Copy copy;
    fs::resize_file(copy / "model.safetensors", 1'000'000);
    const json report = inspected(copy.path(), 1);
    EXPECT_TRUE(has_problem(report, "model.safetensors")) << report["problems"];
    EXPECT_TRUE(has_problem(report, "truncated")) << report["problems"];
    EXPECT_GT(report["tokenizer"]["tokens"], 100) << "the rest is looked at all the same";
  }
  {
    const Copy copy;
    write_file(copy / "config.json", "{\"text\": {\"n_layers\": 7}}");
    const json report = inspected(copy.path(), 1);
    EXPECT_EQ(report["problems"].size(), 1u) << report["problems"];
    EXPECT_TRUE(report.contains("kind"));
  }
  {
    const Copy copy;
    write_file(copy / "config.json", "{");
    EXPECT_TRUE(has_problem(inspected(copy.path(), 1), "config.json"));
  }
  {
    const Copy copy;
    fs::remove(copy / "config.json");
    const json report = inspected(copy.path(), 1);
    EXPECT_TRUE(has_problem(report, "vision.enc_n_heads")) << report["problems"];
    EXPECT_TRUE(report["dimensions"]["vision"]["enc_n_heads"].is_null()) << "no shape says it";
    EXPECT_EQ(report["dimensions"]["vision"]["enc_dim"], 32);
    const std::string text = run_command({"inspect", copy.path()}).out;
    EXPECT_NE(text.find("width 32, an unknown number of heads"), std::string::npos) << text;
  }
  {
    const json report = inspected("/nowhere/at-all", 1);
    EXPECT_EQ(report["problems"].size(), 1u);
    EXPECT_TRUE(has_problem(report, "/nowhere/at-all")) << report["problems"];
  }
}

TEST(Inspect, TakesAModelForTheReleaseThatIsNamed) {
  const json other = inspected(kTiny, 1, "moondream3");
  EXPECT_TRUE(has_problem(other, "no Moondream 3")) << other["problems"];
  const json none = inspected(kTiny, 1, "2026");
  EXPECT_TRUE(has_problem(none, "\"2026\"")) << none["problems"];
}

TEST(Inspect, OneBrokenModelOfSeveralIsInTheExitStatus) {
  const Finished finished = run_command({"inspect", "--json", "/nowhere", kTiny});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(lines_of(finished.out).size(), 2u);
}

// What a model answers to three kinds of prompts.
std::vector<json> answers_of(const std::string &model, const std::string &precision) {
  std::vector<json> answers;
  for (std::vector<std::string> arguments : std::vector<std::vector<std::string>>{
           {"caption", "--max-tokens", "8"},
           {"detect", "-O", "face", "--max-objects", "4"},
           {"query", "-q", "What is in this image?", "--max-tokens", "6"}}) {
    arguments.insert(arguments.end(), {"--model", model, "--json", kPicture});
    if (!precision.empty()) arguments.insert(arguments.end(), {"--precision", precision});
    json answer = json_of(run_command(arguments));
    answer.erase("model");
    answers.push_back(std::move(answer));
  }
  return answers;
}

class Quantize : public testing::TestWithParam<std::tuple<const char *, const char *>> {};

// What is written gives, to the last bit of a score, what quantizing while loading gives.
TEST_P(Quantize, TheWrittenModelAnswersAsTheOneQuantizedWhileLoading) {
  const auto &[name, precision] = GetParam();
  const TempDir dir;
  const std::string out = (dir / "out").string();
  const json report =
      json_of(run_command({"quantize", kGolden + name, out, "--precision", precision, "--json"}));
  EXPECT_EQ(answers_of(out, ""), answers_of(kGolden + name, precision));

  const json inspection = inspected(out, 0);
  EXPECT_EQ(inspection["layout"], "quantized by moondream quantize");
  EXPECT_LT(report["bytes_after"], report["bytes_before"]);
  EXPECT_GT(report["total"]["relative_rms_error"], 0.0);
  // Groups of normal numbers: 15 steps over 4 to 5 deviations make about a tenth, 254 a hundredth.
  const double most = precision == std::string("int4") ? 0.15 : 0.012;
  EXPECT_LT(report["total"]["relative_rms_error"], most);
  ASSERT_GT(report["weights"].size(), 0u);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1)
      << "nothing else is left";
}

INSTANTIATE_TEST_SUITE_P(Models, Quantize,
                         testing::Combine(testing::Values("moondream2-tiny", "moondream2-tiny-gqa",
                                                          "moondream3-tiny", "moondream3-tiny-fp8"),
                                          testing::Values("int8", "int4")),
                         [](const auto &test) {
                           std::string name =
                               std::string(std::get<0>(test.param)) + std::get<1>(test.param);
                           name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
                           return name;
                         });

TEST(Quantize, OfWhatIsQuantizedAlreadyIsAnError) {
  const TempDir dir;
  const std::string once = (dir / "once").string(), twice = (dir / "twice").string();
  ASSERT_EQ(run_command({"quantize", kTiny, once, "--precision", "int8"}).status, 0);
  const Finished finished = run_command({"quantize", once, twice, "--precision", "int4"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.err.find("quantized already"), std::string::npos) << finished.err;
  EXPECT_FALSE(fs::exists(twice));
}

TEST(Quantize, TakesAModelForTheReleaseThatIsNamed) {
  const TempDir dir;
  const Finished finished = run_command({"quantize", kTiny, (dir / "out").string(), "--precision",
                                         "int8", "--release", "moondream3"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.err.find("no Moondream 3"), std::string::npos) << finished.err;
}

TEST(Quantize, NothingIsOverwritten) {
  const TempDir dir;
  write_file(dir / "precious", "words");
  const Finished finished =
      run_command({"quantize", kTiny, dir.path().string(), "--precision", "int8"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.err.find("exists already"), std::string::npos) << finished.err;
  EXPECT_EQ(file_contents(dir / "precious"), "words");
}

TEST(Quantize, AFailureLeavesNothing) {
  const TempDir dir;
  const Copy copy;
  fs::resize_file(copy / "model.safetensors", 1'000'000);
  const std::string out = (dir / "out").string();
  EXPECT_EQ(run_command({"quantize", copy.path(), out, "--precision", "int8"}).status, 1);
  EXPECT_TRUE(fs::is_empty(dir.path()));
  const Finished finished = run_command({"quantize", kTiny, "/nowhere/out", "--precision", "int8"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_NE(finished.err.find("/nowhere/out: cannot be written"), std::string::npos)
      << finished.err;
}

// Wherever the signal comes, also while it writes: it is over, and nothing is left, or it was done.
TEST(Quantize, AnInterruptLeavesNothingOrAll) {
  int interrupted = 0;
  // Of some of the rounds the signal comes before the last weight is written.
  for (int round = 0; round < 30 && interrupted < 5; ++round) {
    const TempDir dir;
    const int signal = round % 2 ? SIGTERM : SIGINT;
    Started command({"quantize", kTiny, (dir / "out").string(), "--precision", "int4"});
    while (fs::is_empty(dir.path())) usleep(500);  // it appears, whole or not
    command.signal(signal);
    const Finished finished = command.wait();
    if (finished.status == 0) {
      EXPECT_EQ(inspected((dir / "out").string(), 0)["problems"].size(), 0u);
      continue;
    }
    ++interrupted;
    EXPECT_EQ(finished.status, 130) << finished.err;
    EXPECT_NE(finished.err.find("cancelled"), std::string::npos) << finished.err;
    EXPECT_TRUE(fs::is_empty(dir.path()));
  }
  EXPECT_GT(interrupted, 0);
}

TEST(Quantize, ItsReportIsATableForPeople) {
  const TempDir dir;
  const Finished finished =
      run_command({"quantize", kTiny, (dir / "out").string(), "--precision", "int4"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_NE(finished.out.find("text.blocks.0.attn.qkv.weight int4"), std::string::npos);
  EXPECT_NE(finished.out.find("text.lm_head.weight int8"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("  all\n"), std::string::npos);
  EXPECT_NE(finished.out.find(" MB -> "), std::string::npos);
}

TEST(Bench, MeasuresEachStage) {
  const json report = json_of(run_command(
      {"bench", "-m", kTiny, "-n", "2", "--tokens", "3", "--threads", "1", "--json", kPicture}));
  EXPECT_EQ(report["repetitions"], 2);
  EXPECT_EQ(report["threads"], 1);
  for (const char *key : {"processor", "libtorch", "compiler", "moondream"}) {
    EXPECT_FALSE(report[key].get<std::string>().empty()) << key;
  }
  ASSERT_EQ(report["stages"].size(), 4u);
  const char *names[] = {"vision", "prefill", "decode", "detect"};
  for (std::size_t i = 0; i < 4; ++i) {
    const json &stage = report["stages"][i];
    EXPECT_EQ(stage["name"], names[i]);
    EXPECT_GE(stage["median_ms"], stage["fastest_ms"]);
  }
  EXPECT_EQ(report["stages"][0]["items"], 1) << "the picture is one crop";
  EXPECT_EQ(report["stages"][2]["items"], 3);
}

TEST(Bench, DrawsItsOwnPictureAndPrintsATable) {
  const Finished finished =
      run_command({"bench", "-m", kTiny, "-n", "1", "--tokens", "1", "-O", "cat"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_NE(finished.out.find("1280"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("decode"), std::string::npos) << finished.out;
}

}  // namespace
}  // namespace moondream::test
