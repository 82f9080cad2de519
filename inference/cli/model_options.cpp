#include "model_options.h"

#include <cstdlib>
#include <utility>

namespace moondream::cli {
namespace {

Precision precision_of(const std::string &value) {
  if (value == "auto") return Precision::kAuto;
  if (value == "float32") return Precision::kFloat32;
  if (value == "bfloat16") return Precision::kBFloat16;
  if (value == "int8") return Precision::kInt8;
  if (value == "int4") return Precision::kInt4;
  throw UsageError("--precision: \"" + value +
                   "\" is none of auto, float32, bfloat16, int8 and int4");
}

}  // namespace

Option tokenizer_option(std::string &path) {
  return {"tokenizer", 0, "PATH",
          "Its tokenizer, a tokenizer.json or .model file, in the place of the one beside the "
          "weights.",
          [&path](const std::string &value) { path = value; }};
}

Option release_option(std::string &name) {
  return {"release", 0, "NAME",
          "The release to take the model for, such as 2025-04-14, where its files do not say it.",
          [&name](const std::string &value) { name = value; }};
}

std::vector<Option> model_options(ModelSpec &spec) {
  return {
      {"model", 'm', "PATH",
       "The model: a directory, a .safetensors or .pt file, the index of shards, or a directory of "
       "the Hugging Face cache.",
       [&spec](const std::string &value) { spec.model = value; }},
      tokenizer_option(spec.tokenizer),
      release_option(spec.release),
      {"lora", 0, "PATH", "A LoRA variant of the model.",
       [&spec](const std::string &value) { spec.variant = value; }},
      {"variant", 0, "PATH", "The same as --lora.",
       [&spec](const std::string &value) { spec.variant = value; }},
      {"device", 0, "DEVICE", "auto (the first GPU, else the CPU), cpu, cuda or cuda:N.",
       [&spec](const std::string &value) { spec.device = value; }},
      {"precision", 0, "FORMAT",
       "Of the weights: auto, float32, bfloat16, int8 or int4. auto is bfloat16 where the "
       "processor "
       "multiplies it.",
       [&spec](const std::string &value) { spec.precision = precision_of(value); }},
  };
}

void complete(ModelSpec &spec) {
  if (!spec.model.empty()) return;
  const char *model = std::getenv("MOONDREAM_MODEL");
  if (!model || *model == 0) {
    throw UsageError("no model: give --model, or set the environment variable MOONDREAM_MODEL");
  }
  spec.model = model;
}

}  // namespace moondream::cli
