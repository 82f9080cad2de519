#include "layers.h"

#include <ATen/ATen.h>

#include "quantized_weights.h"

namespace moondream {

Matrix WeightSource::matrix_of(const at::Tensor &weight, const std::string &name) const {
  const auto format = format_of_weight(name, quantized_);
  if (!format) return counted(convert(weight));
  QuantizedMatrix made = quantize(weight.to(device_), *format);
  bytes_ += made.bytes();
  return made;
}

Matrix WeightSource::matrix(const std::string &name) const {
  if (quantized_form(checkpoint_.tensors(), name)) {
    QuantizedMatrix made = quantized_matrices(checkpoint_.tensors(), name, device_)[0];
    bytes_ += made.bytes();
    return made;
  }
  if (!checkpoint_.tensors().contains(name + ".packed")) {
    return matrix_of(checkpoint_.tensor(name), name);
  }
  const auto part = [&](const char *which) { return checkpoint_.tensor(name + which).to(device_); };
  const std::int64_t out = checkpoint_.tensor(name.substr(0, name.rfind('.')) + ".bias").size(0);
  Matrix made = packed_matrix(part(".packed"), part(".scale"), part(".zero_point"), out, dtype_);
  const auto *quantized = std::get_if<QuantizedMatrix>(&made);
  bytes_ += quantized ? quantized->bytes() : std::get<at::Tensor>(made).nbytes();
  return made;
}

std::vector<Matrix> WeightSource::experts(const std::string &name) const {
  std::vector<Matrix> matrices;
  if (quantized_form(checkpoint_.tensors(), name + ".weight")) {
    for (QuantizedMatrix &made :
         quantized_matrices(checkpoint_.tensors(), name + ".weight", device_)) {
      bytes_ += made.bytes();
      matrices.push_back(std::move(made));
    }
    return matrices;
  }
  if (const std::string affine = name + ".weight.affine"; checkpoint_.tensors().contains(affine)) {
    const at::Tensor &packed = checkpoint_.tensor(affine);
    const auto part = [&](const char *which, std::int64_t e) {
      return checkpoint_.tensor(name + which)[e].to(device_);
    };
    for (std::int64_t e = 0; e < packed.size(0); ++e) {
      matrices.push_back(affine_matrix(packed[e].to(device_), part(".weight.scales", e),
                                       part(".weight.biases", e), dtype_));
      const auto *quantized = std::get_if<QuantizedMatrix>(&matrices.back());
      bytes_ += quantized ? quantized->bytes() : std::get<at::Tensor>(matrices.back()).nbytes();
    }
    return matrices;
  }
  const at::Tensor &weights = checkpoint_.tensor(name + ".weight");
  for (std::int64_t e = 0; e < weights.size(0); ++e) {
    if (!checkpoint_.tensors().contains(name + ".scale")) {
      matrices.push_back(matrix_of(weights[e], name + ".weight"));
      continue;
    }
    const std::int64_t out = weights.size(1), in = weights.size(2);
    const at::Tensor scales = checkpoint_.tensor(name + ".scale")[e].to(device_, at::kFloat);
    QuantizedMatrix matrix{.format = QuantizedFormat::kFp8,
                           .out = out,
                           .in = in,
                           .group = in,
                           .values = weights[e].to(device_),
                           .scales = scales.contiguous().view({out, 1}),
                           .zeros = {}};
    if (quantized_ == QuantizedFormat::kInt4) {
      matrix = quantize(dequantize(matrix, at::kFloat), QuantizedFormat::kInt4);
    }
    bytes_ += matrix.bytes();
    matrices.push_back(std::move(matrix));
  }
  return matrices;
}

std::vector<LowRank> WeightSource::expert_additions(const std::string &name,
                                                    std::size_t count) const {
  const LowRank all = low_rank(name);
  std::vector<LowRank> additions;
  if (!all) return additions;
  for (std::size_t e = 0; e < count; ++e) {
    const auto expert = static_cast<std::int64_t>(e);
    additions.push_back({all.a[expert], all.b[expert]});
  }
  return additions;
}

}  // namespace moondream
