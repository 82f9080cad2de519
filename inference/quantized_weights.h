// Quantized matrices among the tensors of a checkpoint, and which weights become such.
//
// In the place of a linear layer's "X.weight" [.., out, in] a file may have
//   "X.weight.int8"        bytes [.., out, in]: signed numbers q
//   "X.weight.int8.scales" bfloat16 [.., out, in / group]: weight = q * scale
// or
//   "X.weight.int4"        bytes [.., out / 2, in], as QuantizedFormat::kInt4 packs them
//   "X.weight.int4.scales", "X.weight.int4.zeros"
//                          bfloat16 [.., out, in / group]: weight = (q - zero) * scale
// with the experts of a layer, if it has these, as the first dimension.
// Thread-safety: safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "quantization.h"

namespace moondream {

// What the weight of that canonical name and that shape ([out, in], or [experts, out, in]) becomes
// where `requested` is asked for; empty: it keeps its type. Those are the text model's linear
// layers but for routers: a router is small, and an expert that it should not have chosen is wrong
// altogether. The last layer has 8 bits in any case: its errors are those of every logit.
std::optional<QuantizedFormat> format_of_weight(const std::string &name,
                                                std::optional<QuantizedFormat> requested);

// A tensor of a quantized weight, as the files have it.
struct QuantizedPart {
  std::string name;
  at::Tensor tensor;
};

// `matrices` as tensors of the weight `name`: one, or those of all experts.
std::vector<QuantizedPart> quantized_parts(const std::string &name,
                                           const std::vector<QuantizedMatrix> &matrices);

using NamedTensors = std::map<std::string, at::Tensor>;

// "int8" or "int4" where the tensors hold the weight `name` in that form, else nothing.
std::optional<std::string> quantized_form(const NamedTensors &tensors, const std::string &name);

// What is wrong with the parts of the weight `name`, which are there in a form, of this shape;
// empty: nothing. Adds the names of the parts to `names`.
std::string check_quantized(const NamedTensors &tensors, const std::string &name,
                            const std::vector<std::int64_t> &shape,
                            std::vector<std::string> &names);

// The matrices of the weight `name`, which check_quantized() found right, on `device`: one, or one
// for each expert.
std::vector<QuantizedMatrix> quantized_matrices(const NamedTensors &tensors,
                                                const std::string &name, c10::Device device);

}  // namespace moondream
