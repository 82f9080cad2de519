// What the tests of weights and configurations share: hand-made safetensors files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "test_support.h"

namespace moondream::test {

// A safetensors file of that header and data, right or wrong.
inline std::string raw_safetensors(const std::string &header, const std::string &data = {}) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(std::uint64_t{header.size()} >> (8 * i));
  return text + header + data;
}

struct RawTensor {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

// A valid safetensors file of these tensors, in this order, with `padding` spaces after the header.
inline std::string safetensors_of(const std::vector<RawTensor> &tensors, std::size_t padding = 0) {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}", data;
  for (const RawTensor &tensor : tensors) {
    header += ",\"" + tensor.name + "\":{\"dtype\":\"" + tensor.dtype + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      if (i > 0) header += ',';
      header += std::to_string(tensor.shape[i]);
    }
    header += "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
    data += tensor.bytes;
    header += std::to_string(data.size()) + "]}";
  }
  return raw_safetensors(header + "}" + std::string(padding, ' '), data);
}

}  // namespace moondream::test
