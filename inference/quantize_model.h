// A model with weights of 8 or 4 bits, written down: what Precision::kInt8 and kInt4 make while
// loading, made once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "types.h"

namespace moondream {

// What quantizing did to one weight.
struct WeightError {
  std::string name;         // canonical, as in tensor_names.h
  std::string format;       // "int8" or "int4"
  std::int64_t count = 0;   // of numbers
  double relative_rms = 0;  // root of the mean square of the errors, over that of the weights
  double largest = 0;       // error of one number
};

struct QuantizationReport {
  std::vector<WeightError> weights;
  WeightError total;                                // of all of them; its name is empty
  std::uint64_t bytes_before = 0, bytes_after = 0;  // of all tensors
};

struct QuantizationJob {
  std::string model;      // as ModelSpec::model
  std::string tokenizer;  // as ModelSpec::tokenizer
  std::string release;    // as ModelSpec::release
  std::filesystem::path out;
  Precision precision = Precision::kInt8;  // or kInt4
  // Told after each tensor: how many of how many bytes are written. Empty: nobody.
  std::function<void(std::uint64_t done, std::uint64_t of)> progress;
};

// Makes the folder `out`: model.safetensors (its layout is in README.md), a config.json that says
// everything about the model, and its tokenizer. It is made under another name beside its place and
// gets its own once it is complete, so that there is never half of it; what is there already is
// never replaced. Loading it gives what loading the model in that precision gives. What is
// quantized already stays as it is. Uses the calling thread's loop_threads(). Throws Error:
// kSettings if `out` exists or the precision is another; kRead if it cannot be written; kMismatch
// if nothing in the model can be quantized; kCancelled; and as Model::load() does.
QuantizationReport quantize_model(const QuantizationJob &job, std::stop_token cancelled = {});

}  // namespace moondream
