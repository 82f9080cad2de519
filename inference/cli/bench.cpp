// `moondream bench`: how fast a model is on this machine.
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "commands.h"
#include "device.h"
#include "model.h"
#include "model_options.h"
#include "output.h"
#include "pictures.h"
#include "result_json.h"

namespace moondream::cli {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Setup {
  ModelSpec spec;
  int repetitions = 5, threads = 0, tokens = 32;
  std::string object = "face";
  bool json = false;
};

double milliseconds_of(const std::function<void()> &work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// One stage: its times, and how many items (crops, positions, tokens, objects) each run made.
struct Stage {
  std::string name, unit;
  double items = 0;
  std::vector<double> milliseconds;
};

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

PromptResult generate(const Model &model, const Generation &generation, const Trace &trace = {}) {
  auto results = model.generate({&generation, 1}, trace);
  if (const Error *error = std::get_if<Error>(&results[0])) throw *error;
  return std::get<PromptResult>(results[0]);
}

// A picture that needs several crops, where none is given.
Image gradient() {
  Image image{1280, 720, std::vector<std::uint8_t>(std::size_t{3} * 1280 * 720)};
  std::size_t i = 0;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      image.pixels[i++] = static_cast<std::uint8_t>(x * 255 / image.width);
      image.pixels[i++] = static_cast<std::uint8_t>(y * 255 / image.height);
      image.pixels[i++] = static_cast<std::uint8_t>((x / 40 + y / 40) % 2 * 128);
    }
  }
  return image;
}

// vision and prefill: a picture that is encoded with and without its crops' features known.
std::shared_ptr<const EncodedImage> time_encoding(const Model &model, const Image &image,
                                                  int repetitions, std::vector<Stage> &stages) {
  const Crops crops = model.crop(image.view());
  Picture picture{&crops, {}, {}};
  const auto encode = [&](bool with_features) {
    if (!with_features) picture.features.clear();
    return model.encode({&picture, 1})[0];
  };
  std::shared_ptr<const EncodedImage> encoded = encode(false);
  encode(true);
  Stage vision{"vision", "crops", static_cast<double>(crops.count), {}};
  Stage prefill{"prefill", "pictures", 1, {}};
  for (int i = 0; i < repetitions; ++i) {
    const double both = milliseconds_of([&] { encode(false); });
    prefill.milliseconds.push_back(milliseconds_of([&] { encode(true); }));
    vision.milliseconds.push_back(std::max(0.0, both - prefill.milliseconds.back()));
  }
  stages.push_back(std::move(vision));
  stages.push_back(std::move(prefill));
  return encoded;
}

// The prompt again and again; `items` of its result.
void time_prompt(const Model &model, const Generation &generation, int repetitions, Stage stage,
                 std::vector<Stage> &stages) {
  for (int i = 0; i < repetitions; ++i) {
    stage.milliseconds.push_back(milliseconds_of([&] { generate(model, generation); }));
  }
  stages.push_back(std::move(stage));
}

std::vector<Stage> measure(const Model &model, const Image &image, const Setup &setup,
                           Progress &progress) {
  std::vector<Stage> stages;
  progress.show("Encoding ...");
  const auto encoded = time_encoding(model, image, setup.repetitions, stages);

  progress.show("Decoding ...");
  Generation text{encoded, CaptionPrompt{}, {.max_tokens = setup.tokens}, {}};
  int tokens = 0;
  try {
    generate(model, text, [&](std::string_view name, std::size_t, const at::Tensor &) {
      tokens += name == "token";
    });
  } catch (const Error &) {  // a model without captions
    text.prompt = QueryPrompt{.question = "What is in this picture?"};
    generate(model, text, [&](std::string_view name, std::size_t, const at::Tensor &) {
      tokens += name == "token";
    });
  }
  time_prompt(model, text, setup.repetitions, {"decode", "tokens", static_cast<double>(tokens), {}},
              stages);

  progress.show("Detecting ...");
  const Generation detect{encoded, DetectPrompt{setup.object}, {}, {}};
  try {
    const auto found = std::get<DetectResult>(generate(model, detect));
    time_prompt(model, detect, setup.repetitions,
                {"detect", "objects", static_cast<double>(found.objects.size()), {}}, stages);
  } catch (const Error &error) {
    if (error.kind() != ErrorKind::kSettings) throw;  // else a model without boxes
  }
  return stages;
}

Json machine_json(const ModelInfo &info, int threads) {
  return {{"model", info.name},
          {"precision", info.precision},
          {"device", info.device},
          {"weight_bytes", info.weight_bytes},
          {"processor", processor()},
          {"threads", threads},
          {"moondream", MOONDREAM_VERSION},
          {"libtorch", TORCH_VERSION},
          {"compiler", "GCC-compatible " __VERSION__}};
}

int run(const Setup &setup, const std::vector<std::string> &operands) {
  Progress progress;
  progress.show("Loading " + setup.spec.model + " ...");
  const int threads = setup.threads > 0
                          ? setup.threads
                          : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  use_cpu_threads(threads);
  const Image image = operands.empty() ? gradient() : read_picture(operands[0]);
  const auto model = Model::load(setup.spec);
  const std::vector<Stage> stages = measure(*model, image, setup, progress);
  progress.clear();

  Json json = machine_json(model->info(), threads);
  json["width"] = image.width;
  json["height"] = image.height;
  json["repetitions"] = setup.repetitions;
  char line[160];
  std::string text;
  for (const auto &[key, value] : json.items()) {
    const std::string name = key;
    text += name + std::string(14 - std::min<std::size_t>(name.size(), 13), ' ') +
            (value.is_string() ? value.get<std::string>() : value.dump()) + "\n";
  }
  text += "\nstage    median ms   fastest ms     items/s\n";
  json["stages"] = Json::array();
  for (const Stage &stage : stages) {
    const double middle = median(stage.milliseconds);
    const double fastest = *std::min_element(stage.milliseconds.begin(), stage.milliseconds.end());
    const double rate = middle > 0 ? 1000 * stage.items / middle : 0;
    std::snprintf(line, sizeof line, "%-7s %10.2f %12.2f %11.2f  (%g %s)\n", stage.name.c_str(),
                  middle, fastest, rate, stage.items, stage.unit.c_str());
    text += line;
    json["stages"].push_back({{"name", stage.name},
                              {"median_ms", middle},
                              {"fastest_ms", fastest},
                              {"items", stage.items},
                              {"unit", stage.unit},
                              {"items_per_second", rate}});
  }
  print(setup.json ? to_line(json) + "\n" : text);
  return kOk;
}

}  // namespace

Command bench_command() {
  const auto setup = std::make_shared<Setup>();
  const auto whole = [](const char *name, int &value) {
    return [name, &value](const std::string &text) {
      value = static_cast<int>(integer_between(name, text, 1, 100000));
    };
  };
  Page page{.name = "bench",
            .summary = "measures how fast a model is here",
            .operands = "[IMAGE]",
            .description =
                "Prints the median time of each stage, after one run that is not counted: vision "
                "(all crops of the picture), prefill (the picture through the text model), decode "
                "(a text) and detect (one prompt, all objects); and the machine and versions. "
                "Without IMAGE the picture is a drawn one of 1280x720.",
            .options = {{"repetitions", 'n', "N", "How often each stage is measured (5).",
                         whole("repetitions", setup->repetitions)},
                        {"threads", 0, "N", "Threads of the CPU (all).",
                         whole("threads", setup->threads)},
                        {"tokens", 0, "N", "The most tokens of the text (32).",
                         whole("tokens", setup->tokens)},
                        {"object", 'O', "TEXT", "What is detected (face).",
                         [setup](const std::string &value) { setup->object = value; }},
                        flag("json", 'j', "Prints one JSON object.", setup->json)},
            .examples = " moondream bench -m moondream2 --precision int8"};
  for (Option &option : model_options(setup->spec)) page.options.push_back(std::move(option));
  return {std::move(page), [setup](const std::vector<std::string> &operands) {
            if (operands.size() > 1) throw UsageError("more than one picture is named");
            complete(setup->spec);
            return run(*setup, operands);
          }};
}

}  // namespace moondream::cli
