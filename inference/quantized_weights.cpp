#include "quantized_weights.h"

#include <ATen/ATen.h>

#include "tensor_file.h"

namespace moondream {
namespace {

bool is_int4(const std::string &form) { return form == "int4"; }

// Under their names in files.
std::vector<std::string> part_names(const std::string &name, const std::string &form) {
  const std::string values = name + "." + form;
  std::vector<std::string> names = {values, values + ".scales"};
  if (is_int4(form)) names.push_back(values + ".zeros");
  return names;
}

}  // namespace

std::optional<QuantizedFormat> format_of_weight(const std::string &name,
                                                std::optional<QuantizedFormat> requested) {
  if (!requested || !name.starts_with("text.") || name.ends_with(".router.weight")) {
    return std::nullopt;
  }
  return name == "text.lm_head.weight" ? QuantizedFormat::kInt8 : *requested;
}

std::vector<QuantizedPart> quantized_parts(const std::string &name,
                                           const std::vector<QuantizedMatrix> &matrices) {
  const bool int4 = matrices[0].format == QuantizedFormat::kInt4;
  const std::vector<std::string> names = part_names(name, int4 ? "int4" : "int8");
  std::vector<at::Tensor> values, scales, zeros;
  for (const QuantizedMatrix &matrix : matrices) {
    values.push_back(matrix.values);
    scales.push_back(matrix.scales);
    zeros.push_back(matrix.zeros);
  }
  const auto joined = [](const std::vector<at::Tensor> &tensors) {
    return tensors.size() == 1 ? tensors[0] : at::stack(tensors);
  };
  std::vector<QuantizedPart> parts = {{names[0], joined(values)}, {names[1], joined(scales)}};
  if (int4) parts.push_back({names[2], joined(zeros)});
  return parts;
}

std::optional<std::string> quantized_form(const NamedTensors &tensors, const std::string &name) {
  for (const char *form : {"int8", "int4"}) {
    if (tensors.contains(name + "." + form)) return form;
  }
  return std::nullopt;
}

std::string check_quantized(const NamedTensors &tensors, const std::string &name,
                            const std::vector<std::int64_t> &shape,
                            std::vector<std::string> &names) {
  const std::string form = *quantized_form(tensors, name);
  names = part_names(name, form);
  for (const std::string &part : names) {
    if (!tensors.contains(part)) return "\"" + part + "\" is missing";
  }
  const std::int64_t out = shape[shape.size() - 2], in = shape.back();
  if (is_int4(form) && (out % 2 != 0 || in % 16 != 0)) {
    return "\"" + names[0] + "\" cannot be of 4 bits: it is " + shape_text(shape);
  }
  std::vector<std::int64_t> expected = shape;
  if (is_int4(form)) expected[shape.size() - 2] = out / 2;
  const auto fault = [&](const std::string &part, const char *type) {
    const at::Tensor &tensor = tensors.at(part);
    return "\"" + part + "\" is " + shape_text(tensor.sizes()) + " of " +
           c10::toString(tensor.scalar_type()) + ", expected " + shape_text(expected) + " of " +
           type;
  };
  const at::Tensor &values = tensors.at(names[0]);
  if (values.scalar_type() != at::kByte || values.sizes() != at::IntArrayRef(expected)) {
    return fault(names[0], "bytes");
  }
  // The size of the groups is what the scales say.
  const at::Tensor &scales = tensors.at(names[1]);
  const std::int64_t groups = scales.dim() == values.dim() ? scales.size(-1) : 0;
  const bool fits = groups > 0 && in % groups == 0 && (groups == 1 || in / groups % 16 == 0);
  expected = shape;
  expected.back() = fits ? groups : (in % 64 == 0 ? in / 64 : 1);
  for (std::size_t i = 1; i < names.size(); ++i) {
    const at::Tensor &tensor = tensors.at(names[i]);
    if (tensor.scalar_type() != at::kBFloat16 || tensor.sizes() != at::IntArrayRef(expected)) {
      return fault(names[i], "BFloat16");
    }
  }
  return {};
}

std::vector<QuantizedMatrix> quantized_matrices(const NamedTensors &tensors,
                                                const std::string &name, c10::Device device) {
  const std::string form = *quantized_form(tensors, name);
  const std::vector<std::string> names = part_names(name, form);
  const auto part = [&](std::size_t i) {
    const at::Tensor tensor = tensors.at(names[i]).to(device).contiguous();
    return tensor.dim() == 3 ? tensor : tensor.unsqueeze(0);
  };
  const at::Tensor values = part(0), scales = part(1),
                   zeros = is_int4(form) ? part(2) : at::Tensor();
  std::vector<QuantizedMatrix> matrices;
  for (std::int64_t e = 0; e < values.size(0); ++e) {
    QuantizedMatrix matrix{
        .format = is_int4(form) ? QuantizedFormat::kInt4 : QuantizedFormat::kInt8,
        .out = scales.size(1),
        .in = values.size(2),
        .group = values.size(2) / scales.size(2),
        .values = values[e],
        .scales = scales[e],
        .zeros = zeros.defined() ? zeros[e] : zeros};
    matrices.push_back(std::move(matrix));
  }
  return matrices;
}

}  // namespace moondream
