// `moondream inspect`: what a checkpoint is, also where it is broken.
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "checkpoint.h"
#include "commands.h"
#include "config_from_shapes.h"
#include "config_json.h"
#include "model_options.h"
#include "model_path.h"
#include "output.h"
#include "result_json.h"
#include "tensor_sources.h"
#include "tokenizer.h"
#include "tokenizer_check.h"
#include "weight_files.h"

namespace moondream::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string size_text(std::uint64_t bytes) {
  char text[32];
  const double megabytes = static_cast<double>(bytes) / 1e6;
  if (megabytes >= 1000) {
    std::snprintf(text, sizeof text, "%.2f GB", megabytes / 1000);
  } else {
    std::snprintf(text, sizeof text, "%.2f MB", megabytes);
  }
  return text;
}

// Runs one step of looking; what it throws is a problem, which is not said twice.
template <typename Step>
bool attempt(Json &problems, Step step) {
  try {
    step();
    return true;
  } catch (const Error &error) {
    const std::string text = error.what();
    if (std::find(problems.begin(), problems.end(), text) == problems.end()) {
      problems.push_back(text);
    }
    return false;
  }
}

// The file is of its own directory's, so the name says which.
Json files_json(const std::vector<TensorFile> &files) {
  Json list = Json::array();
  for (const TensorFile &file : files) {
    std::error_code ignored;
    list.push_back({{"name", file.path().filename().string()},
                    {"bytes", fs::file_size(file.path(), ignored)},
                    {"tensors", file.tensors().size()}});
  }
  return list;
}

Json types_json(const std::vector<TensorFile> &files) {
  std::map<std::string, std::uint64_t> bytes;
  for (const TensorFile &file : files) {
    for (const auto &[name, entry] : file.tensors()) {
      bytes[dtype_name(entry.dtype)] += entry.end - entry.begin;
    }
  }
  return bytes;
}

std::string layout_of(const TensorSources &sources) {
  const auto any = [&](auto holds) { return std::any_of(sources.begin(), sources.end(), holds); };
  if (any([](const auto &s) {
        return s.first.ends_with(".weight.int8") || s.first.ends_with(".weight.int4");
      })) {
    return "quantized by moondream quantize";
  }
  if (any([](const auto &s) { return s.first.ends_with(".weight.affine"); })) return "MLX, 4 bits";
  std::string layout = has_training_names(sources) ? "training code" : "published";
  if (any([](const auto &s) { return s.second.key->find("_orig_mod.") != std::string::npos; })) {
    layout += ", compiled";
  }
  if (any([](const auto &s) { return s.second.key->starts_with("model."); })) {
    layout += ", names with \"model.\"";
  }
  if (any([](const auto &s) { return s.first.ends_with(".weight.packed"); })) {
    layout += ", packed to 4 bits";
  }
  if (any([](const auto &s) { return s.second.entry->dtype == DType::kF8E4M3; })) {
    layout += ", experts in FP8";
  }
  return layout;
}

std::string kind_of(const Config &config) {
  if (config.text.tau_attn || config.text.moe) return "Moondream 3";
  if (config.vision.cropping == Cropping::kWhole) return "Moondream 1 or 2 of early 2024";
  if (config.vision.cropping == Cropping::kQuarters) return "Moondream 2 of 2024";
  return config.text.dim < 2048 ? "Moondream 2, small" : "Moondream 2";
}

Json skills_json(const Config &config) {
  const Templates &templates = config.tokenizer.templates;
  Json skills = Json::array();
  if (templates.caption) skills.push_back("caption");
  if (templates.query) skills.push_back("query");
  if (templates.query && config.tokenizer.thinking_id != kNoId) skills.push_back("reasoning");
  if (!config.has_region) return skills;
  if (templates.detect) skills.push_back("detect");
  if (templates.point) skills.push_back("point");
  if (templates.segment) skills.push_back("segment");
  if (templates.detect && config.tokenizer.coord_id != kNoId) skills.push_back("gaze");
  return skills;
}

Json inspect(const ModelSpec &spec) {
  Json report, problems = Json::array();
  report["model"] = spec.model;
  ModelPath place{spec.model, {}};
  if (!attempt(problems, [&] { place = find_model(spec.model); })) {
    report["problems"] = problems;
    return report;
  }
  report["name"] = place.name;
  report["path"] = place.path.string();

  std::error_code ignored;
  std::vector<TensorFile> files;
  std::optional<Config> config;
  attempt(problems, [&] {
    files = open_weights(place.path);
    report["files"] = files_json(files);
    report["types"] = types_json(files);
    const TensorSources sources = find_sources(files, place.path);
    check_kind(sources, place.path);
    report["layout"] = layout_of(sources);
    // Until the whole is found right, what the shapes say.
    config = config_from_shapes(sources);
  });
  // Then there is nothing beside it either.
  if (!fs::exists(place.path, ignored)) {
    report["problems"] = problems;
    return report;
  }
  const bool loads = config && attempt(problems, [&] {
                       config = load_checkpoint(place.path, spec.release).config();
                     });
  if (config) {
    report["kind"] = kind_of(*config);
    if (loads) report["skills"] = skills_json(*config);
    Json dimensions = config_json(*config);
    dimensions.erase("tokenizer");
    // The shapes do not say it.
    Json &heads = dimensions["vision"]["enc_n_heads"];
    if (heads == 0) heads = nullptr;
    report["dimensions"] = dimensions;
  }

  fs::path tokens = spec.tokenizer;
  if (tokens.empty()) {
    tokens = fs::is_directory(place.path, ignored) ? place.path : place.path.parent_path();
  }
  for (const char *name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(tokens / name, ignored)) tokens /= name;
  }
  attempt(problems, [&] {
    const auto tokenizer = load_tokenizer(tokens);
    report["tokenizer"] = {{"path", tokens.string()}, {"tokens", tokenizer->vocab_size()}};
    if (!loads) return;
    check_tokenizer(config->tokenizer, *tokenizer, spec.model);
    if (tokenizer->vocab_size() > config->text.vocab_size) {
      throw Error(ErrorKind::kMismatch,
                  "the tokenizer has " + std::to_string(tokenizer->vocab_size()) +
                      " tokens, the model only " + std::to_string(config->text.vocab_size));
    }
  });
  report["problems"] = problems;
  return report;
}

void add_line(std::string &text, const std::string &name, const std::string &value) {
  text += name + std::string(12 - std::min<std::size_t>(name.size(), 11), ' ') + value + "\n";
}

std::string text_dimensions(const Json &text) {
  const auto number = [&](const char *key) {
    return std::to_string(text[key].get<std::int64_t>());
  };
  std::string line = number("n_layers") + " blocks, width " + number("dim") + ", " +
                     number("n_heads") + " heads (" + number("n_kv_heads") +
                     " of keys), vocabulary " + number("vocab_size") + ", context " +
                     number("max_context");
  if (!text["moe"].is_null()) {
    line += ", " + std::to_string(text["moe"]["num_experts"].get<std::int64_t>()) +
            " experts from block " + std::to_string(text["moe"]["start_layer"].get<std::int64_t>());
  }
  return line;
}

std::string vision_dimensions(const Json &vision) {
  const auto number = [&](const char *key) {
    return std::to_string(vision[key].get<std::int64_t>());
  };
  const std::string heads =
      vision["enc_n_heads"].is_null() ? "an unknown number of" : number("enc_n_heads");
  return number("enc_n_layers") + " blocks, width " + number("enc_dim") + ", " + heads +
         " heads, crops of " + number("crop_size") + " pixels (" +
         vision["cropping"].get<std::string>() + ")";
}

// For people.
std::string report_text(const Json &report) {
  std::string text;
  add_line(text, "model", report["model"]);
  if (report.contains("kind")) add_line(text, "kind", report["kind"]);
  if (report.contains("layout")) add_line(text, "layout", report["layout"]);
  if (report.contains("files")) {
    for (const Json &file : report["files"]) {
      add_line(text, "file",
               file["name"].get<std::string>() + ", " + size_text(file["bytes"]) + ", " +
                   std::to_string(file["tensors"].get<std::size_t>()) + " tensors");
    }
    std::string types;
    for (const auto &[type, bytes] : report["types"].items()) {
      types += (types.empty() ? "" : ", ") + type + " " + size_text(bytes);
    }
    add_line(text, "types", types);
  }
  if (report.contains("dimensions")) {
    add_line(text, "text", text_dimensions(report["dimensions"]["text"]));
    add_line(text, "vision", vision_dimensions(report["dimensions"]["vision"]));
  }
  if (report.contains("skills")) {
    std::string skills;
    for (const Json &skill : report["skills"]) {
      skills += (skills.empty() ? "" : ", ") + skill.get<std::string>();
    }
    add_line(text, "skills", skills);
  }
  if (report.contains("tokenizer")) {
    add_line(text, "tokenizer",
             std::to_string(report["tokenizer"]["tokens"].get<int>()) + " tokens, from " +
                 report["tokenizer"]["path"].get<std::string>());
  }
  for (const Json &problem : report["problems"]) add_line(text, "problem", problem);
  if (report["problems"].empty()) add_line(text, "problems", "none");
  return text;
}

}  // namespace

Command inspect_command() {
  struct State {
    ModelSpec spec;
    bool json = false;
  };
  const auto state = std::make_shared<State>();
  Page page{
      .name = "inspect",
      .summary = "says what a model's files are, and what is wrong with them",
      .operands = "PATH...",
      .description =
          "Prints for each model which one it is, the layout of its names, files, number formats, "
          "dimensions, skills and its tokenizer, and every problem that would keep it from "
          "loading: "
          "missing, misshapen or unknown tensors, damaged files, a tokenizer that is not the "
          "model's. PATH is what --model of other commands takes. Where there are problems the "
          "exit status is 1.",
      .options = {flag("json", 'j', "Prints one JSON object a line for each model.", state->json),
                  tokenizer_option(state->spec.tokenizer), release_option(state->spec.release)},
      .examples = " moondream inspect ~/.cache/huggingface/hub/models--vikhyatk--moondream2"};
  return {std::move(page), [state](const std::vector<std::string> &paths) {
            if (paths.empty()) throw UsageError("no model is named");
            int status = kOk;
            for (const std::string &path : paths) {
              state->spec.model = path;
              const Json report = inspect(state->spec);
              if (!report["problems"].empty()) status = kFailure;
              if (state->json) {
                print(to_line(report) + "\n");
              } else {
                print((path == paths.front() ? "" : "\n") + report_text(report));
              }
            }
            return status;
          }};
}

}  // namespace moondream::cli
