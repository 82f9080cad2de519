// Linear layers and layer norms with their weights. Port of moondream/torch/layers.py @ 44146f1.
// Thread-safety: const after loading; safe.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "checkpoint.h"
#include "lora.h"
#include "ops.h"

namespace moondream {

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out]
  LowRank more;       // what a variant adds

  at::Tensor operator()(const at::Tensor &x) const { return (*this)(x, x); }

  // With another input for what a variant adds: [..., in] as x.
  at::Tensor operator()(const at::Tensor &x, const at::Tensor &x_more) const {
    at::Tensor y = ops::linear(x, weight, bias);
    return more ? y.add_(more(x_more)) : y;
  }
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

// Takes weights out of a checkpoint, and the additions of a variant to them, to where and as what
// they are computed with. A tensor that has the type already stays a view of the mapped file.
class WeightSource {
 public:
  // variant: null: none. It and the checkpoint must outlive this.
  WeightSource(const Checkpoint &checkpoint, c10::Device device, c10::ScalarType dtype,
               const LoraTensors *variant = nullptr)
      : checkpoint_(checkpoint), device_(device), dtype_(dtype), variant_(variant) {}

  at::Tensor tensor(const std::string &name) const { return convert(checkpoint_.tensor(name)); }
  Linear linear(const std::string &name) const {
    return {tensor(name + ".weight"), tensor(name + ".bias"), low_rank(name)};
  }
  LayerNorm layer_norm(const std::string &name) const {
    return {tensor(name + ".weight"), tensor(name + ".bias")};
  }
  Mlp mlp(const std::string &name) const { return {linear(name + ".fc1"), linear(name + ".fc2")}; }

  const Config &config() const { return checkpoint_.config(); }
  c10::Device device() const { return device_; }
  c10::ScalarType dtype() const { return dtype_; }

 private:
  LowRank low_rank(const std::string &name) const {
    if (!variant_ || !variant_->contains(name + ".A")) return {};
    return {convert(variant_->at(name + ".A")), convert(variant_->at(name + ".B"))};
  }

  at::Tensor convert(const at::Tensor &tensor) const {
    return tensor.to(device_, dtype_).contiguous();
  }

  const Checkpoint &checkpoint_;
  const c10::Device device_;
  const c10::ScalarType dtype_;
  const LoraTensors *const variant_;
};

}  // namespace moondream
