#include "quantize_model.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "caught_error.h"
#include "checkpoint.h"
#include "config_json.h"
#include "device.h"
#include "files.h"
#include "model_path.h"
#include "output_folder.h"
#include "quantized_weights.h"
#include "tokenizer.h"
#include "tokenizer_check.h"

namespace moondream {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// The names of safetensors; bytes of 8-bit floating-point numbers must be known as such again.
std::string dtype_of(const std::string &name, const at::Tensor &tensor, const Config &config) {
  const bool fp8 = config.text.moe && config.text.moe->fp8 && tensor.scalar_type() == at::kByte &&
                   name.starts_with("text.") && name.ends_with(".weight");
  if (fp8) return "F8_E4M3";
  switch (tensor.scalar_type()) {
    case at::kByte:
      return "U8";
    case at::kHalf:
      return "F16";
    case at::kBFloat16:
      return "BF16";
    case at::kDouble:
      return "F64";
    default:
      return "F32";
  }
}

// What becomes of one tensor of the checkpoint.
struct Plan {
  const std::string *name;
  const at::Tensor *tensor;
  std::optional<QuantizedFormat> format;  // empty: it stays
};

class Quantizer {
 public:
  Quantizer(const Checkpoint &checkpoint, Precision precision) : checkpoint_(checkpoint) {
    std::map<std::string, bool> matrices;  // canonical weights of linear layers
    for (const auto &[name, shape, bytes] : expected_tensors(checkpoint.config())) {
      if (name.ends_with(".weight") && shape.size() >= 2) matrices[name] = bytes;
    }
    const auto requested = weight_format(precision);
    for (const auto &[name, tensor] : checkpoint.tensors()) {
      Plan plan{&name, &tensor, std::nullopt};
      const auto matrix = matrices.find(name);
      if (matrix != matrices.end()) {
        plan.format = format_of_weight(name, requested);
        // FP8 has 8 bits already.
        if (matrix->second && plan.format == QuantizedFormat::kInt8) plan.format.reset();
      }
      // The scales of experts that are no longer FP8.
      if (is_scale_of_requantized(name, matrices, requested)) continue;
      plans_.push_back(plan);
    }
  }

  bool has_work() const {
    return std::any_of(plans_.begin(), plans_.end(), [](const Plan &p) { return p.format; });
  }

  const std::vector<Plan> &plans() const { return plans_; }

  // The experts' matrices of a weight, or its only one, as numbers.
  std::vector<at::Tensor> weights_of(const Plan &plan) const {
    const at::Tensor &tensor = *plan.tensor;
    if (tensor.dim() == 2) return {tensor};
    std::vector<at::Tensor> weights;
    for (std::int64_t e = 0; e < tensor.size(0); ++e) {
      weights.push_back(tensor.scalar_type() == at::kByte ? from_fp8(plan, e) : tensor[e]);
    }
    return weights;
  }

 private:
  static std::string scale_name(const std::string &weight) {
    return weight.substr(0, weight.size() - std::string_view("weight").size()) + "scale";
  }

  static bool is_scale_of_requantized(const std::string &name,
                                      const std::map<std::string, bool> &matrices,
                                      std::optional<QuantizedFormat> requested) {
    constexpr std::string_view kScale = ".scale";
    if (!name.ends_with(kScale) || requested != QuantizedFormat::kInt4) return false;
    const auto weight = matrices.find(name.substr(0, name.size() - kScale.size()) + ".weight");
    return weight != matrices.end() && weight->second;
  }

  at::Tensor from_fp8(const Plan &plan, std::int64_t expert) const {
    const at::Tensor values = (*plan.tensor)[expert];
    const at::Tensor scales =
        checkpoint_.tensor(scale_name(*plan.name))[expert].to(at::kFloat).contiguous();
    return dequantize({.format = QuantizedFormat::kFp8,
                       .out = values.size(0),
                       .in = values.size(1),
                       .group = values.size(1),
                       .values = values.contiguous(),
                       .scales = scales.view({values.size(0), 1}),
                       .zeros = {}},
                      at::kFloat);
  }

  const Checkpoint &checkpoint_;
  std::vector<Plan> plans_;
};

// Sums over numbers, of which WeightErrors are made.
struct Sums {
  double squares = 0, error_squares = 0, largest = 0;
  std::int64_t count = 0;

  void add(const at::Tensor &weight, const QuantizedMatrix &made) {
    const at::Tensor exact = weight.to(at::kFloat);
    const at::Tensor error = exact - dequantize(made, at::kFloat);
    squares += exact.square().sum(at::kDouble).item<double>();
    error_squares += error.square().sum(at::kDouble).item<double>();
    largest = std::max(largest, error.abs().max().item<double>());
    count += weight.numel();
  }
  void add(const Sums &other) {
    squares += other.squares;
    error_squares += other.error_squares;
    largest = std::max(largest, other.largest);
    count += other.count;
  }
  WeightError error(std::string name, std::string format) const {
    return {std::move(name), std::move(format), count,
            squares > 0 ? std::sqrt(error_squares / squares) : 0, largest};
  }
};

// The shapes of the parts that quantize() makes of a weight, without the work: of one empty row
// pair's worth of memory. The header of the file comes before the numbers.
std::vector<QuantizedPart> outline(const Plan &plan) {
  const at::Tensor &tensor = *plan.tensor;
  const std::int64_t experts = tensor.dim() == 3 ? tensor.size(0) : 1;
  const std::int64_t out = tensor.size(-2), in = tensor.size(-1);
  // Two rows tell the format and the size of its groups; odd heights are told by three.
  const std::int64_t rows = out % 2 == 0 ? 2 : 3;
  const QuantizedMatrix small = quantize(at::zeros({rows, in}), *plan.format);
  std::vector<QuantizedPart> parts = quantized_parts(*plan.name, {small});
  for (QuantizedPart &part : parts) {
    const std::int64_t height = part.tensor.size(0) == rows ? out : out / 2;
    std::vector<std::int64_t> shape = {height, part.tensor.size(1)};
    if (tensor.dim() == 3) shape.insert(shape.begin(), experts);
    // No memory is behind it: it stands for its shape and type.
    part.tensor = at::zeros({1}, part.tensor.options()).expand(shape);
  }
  return parts;
}

std::string header_of(const Quantizer &quantizer, const Config &config, std::uint64_t &data_bytes) {
  Json header;
  header["__metadata__"] = {{"format", "pt"}, {"moondream", "quantized 1"}};
  data_bytes = 0;
  const auto add = [&](const std::string &name, const at::Tensor &tensor) {
    const std::uint64_t end =
        data_bytes + static_cast<std::uint64_t>(tensor.numel()) * tensor.element_size();
    header[name] = {{"dtype", dtype_of(name, tensor, config)},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {data_bytes, end}}};
    data_bytes = end;
  };
  for (const Plan &plan : quantizer.plans()) {
    if (!plan.format) {
      add(*plan.name, *plan.tensor);
      continue;
    }
    for (const QuantizedPart &part : outline(plan)) add(part.name, part.tensor);
  }
  std::string text = header.dump();
  // The numbers begin at a multiple of 64 bytes.
  text.append((64 - (text.size() + 8) % 64) % 64, ' ');
  return text;
}

fs::path tokenizer_file(const QuantizationJob &job, const fs::path &model) {
  fs::path path = !job.tokenizer.empty()    ? fs::path(job.tokenizer)
                  : fs::is_directory(model) ? model
                                            : model.parent_path();
  if (!fs::is_directory(path)) return path;
  return fs::exists(path / "tokenizer.json") ? path / "tokenizer.json" : path / "tokenizer.model";
}

QuantizationReport write_weights(const fs::path &path, const Quantizer &quantizer,
                                 const Checkpoint &checkpoint, const QuantizationJob &job,
                                 const std::stop_token &cancelled) {
  QuantizationReport report;
  for (const auto &[name, tensor] : checkpoint.tensors()) report.bytes_before += tensor.nbytes();
  std::uint64_t data_bytes = 0, done = 0;
  const std::string header = header_of(quantizer, checkpoint.config(), data_bytes);
  OutputFile file(path);
  const std::uint64_t length = header.size();
  file.write(&length, sizeof length);
  file.write(header.data(), header.size());
  const auto write = [&](const at::Tensor &tensor) {
    const at::Tensor whole = tensor.contiguous();
    file.write(whole.data_ptr(), whole.nbytes());
    done += whole.nbytes();
  };

  Sums total;
  for (const Plan &plan : quantizer.plans()) {
    if (cancelled.stop_requested()) {
      throw Error(ErrorKind::kCancelled, "quantizing " + job.model + " was cancelled");
    }
    if (!plan.format) {
      write(*plan.tensor);
    } else {
      Sums sums;
      std::vector<QuantizedMatrix> matrices;
      for (const at::Tensor &weight : quantizer.weights_of(plan)) {
        matrices.push_back(quantize(weight, *plan.format));
        sums.add(weight, matrices.back());
      }
      for (const QuantizedPart &part : quantized_parts(*plan.name, matrices)) write(part.tensor);
      total.add(sums);
      report.weights.push_back(
          sums.error(*plan.name, matrices[0].format == QuantizedFormat::kInt4 ? "int4" : "int8"));
    }
    if (job.progress) job.progress(done, data_bytes);
  }
  file.close();
  if (done != data_bytes) throw Error(ErrorKind::kFailed, "a quantized tensor has another size");
  report.total = total.error({}, job.precision == Precision::kInt4 ? "int4" : "int8");
  report.bytes_after = done;
  return report;
}

}  // namespace

QuantizationReport quantize_model(const QuantizationJob &job, std::stop_token cancelled) try {
  const c10::InferenceMode guard;
  if (job.precision != Precision::kInt8 && job.precision != Precision::kInt4) {
    throw Error(ErrorKind::kSettings, "a model can be quantized to int8 or int4");
  }
  const fs::path path = find_model(job.model).path;
  const Checkpoint checkpoint = load_checkpoint(path, job.release);
  const fs::path tokenizer = tokenizer_file(job, path);
  check_tokenizer(checkpoint.config().tokenizer, *load_tokenizer(tokenizer), job.model);

  const Quantizer quantizer(checkpoint, job.precision);
  if (!quantizer.has_work()) {
    throw Error(ErrorKind::kMismatch, job.model + ": all its weights are quantized already");
  }
  OutputFolder folder(job.out);
  QuantizationReport report =
      write_weights(folder / "model.safetensors", quantizer, checkpoint, job, cancelled);
  write_text_file(folder / "config.json", config_json(checkpoint.config()).dump(2) + "\n");
  const MappedFile text = map_file(tokenizer);
  write_text_file(folder / ("tokenizer" + tokenizer.extension().string()),
                  std::string(reinterpret_cast<const char *>(text.bytes.get()), text.size));
  folder.keep();
  return report;
} catch (...) {
  throw caught_error("quantizing " + job.model);
}

}  // namespace moondream
