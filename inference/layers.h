// Linear layers and layer norms with their weights. Port of moondream/torch/layers.py @ 44146f1.
// Thread-safety: const after loading; safe.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "checkpoint.h"
#include "ops.h"

namespace moondream {

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out]

  at::Tensor operator()(const at::Tensor &x) const { return ops::linear(x, weight, bias); }
};

struct LayerNorm {
  at::Tensor weight;  // [D]
  at::Tensor bias;    // [D]

  at::Tensor operator()(const at::Tensor &x) const { return ops::layer_norm(x, weight, bias); }
};

// Two linear layers with a GELU (tanh) between them.
struct Mlp {
  Linear fc1;
  Linear fc2;

  at::Tensor operator()(const at::Tensor &x) const { return fc2(ops::gelu_tanh(fc1(x))); }
};

// Takes weights out of a checkpoint to where and as what they are computed with. A tensor that has
// the type already stays a view of the mapped file.
class WeightSource {
 public:
  WeightSource(const Checkpoint &checkpoint, c10::Device device, c10::ScalarType dtype)
      : checkpoint_(checkpoint), device_(device), dtype_(dtype) {}

  at::Tensor tensor(const std::string &name) const {
    return checkpoint_.tensor(name).to(device_, dtype_).contiguous();
  }
  Linear linear(const std::string &name) const {
    return {tensor(name + ".weight"), tensor(name + ".bias")};
  }
  LayerNorm layer_norm(const std::string &name) const {
    return {tensor(name + ".weight"), tensor(name + ".bias")};
  }
  Mlp mlp(const std::string &name) const { return {linear(name + ".fc1"), linear(name + ".fc2")}; }

  const Config &config() const { return checkpoint_.config(); }
  c10::Device device() const { return device_; }
  c10::ScalarType dtype() const { return dtype_; }

 private:
  const Checkpoint &checkpoint_;
  const c10::Device device_;
  const c10::ScalarType dtype_;
};

}  // namespace moondream
