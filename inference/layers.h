// Linear layers and layer norms with their weights. Port of moondream/torch/layers.py @ 44146f1.
// Thread-safety: const after loading; safe. A WeightSource is for one thread.
#pragma once

#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>

#include "checkpoint.h"
#include "lora.h"
#include "ops.h"

namespace moondream {

struct Linear {
  Matrix weight;    // [out, in]
  at::Tensor bias;  // [out]
  LowRank more;     // what a variant adds

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

// Two linear layers with a GELU between them.
struct Mlp {
  Linear fc1;
  Linear fc2;
  bool exact_gelu = false;  // not its tanh approximation

  at::Tensor operator()(const at::Tensor &x) const {
    return fc2(exact_gelu ? at::gelu(fc1(x)) : ops::gelu_tanh(fc1(x)));
  }
};

// Takes weights out of a checkpoint, and the additions of a variant to them, to where and as what
// they are computed with. A tensor that has the type already stays a view of the mapped file.
class WeightSource {
 public:
  // quantized: what the text model's linear layers become; empty: they stay as they are.
  // variant: null: none. It and the checkpoint must outlive this.
  WeightSource(const Checkpoint &checkpoint, c10::Device device, c10::ScalarType dtype,
               std::optional<QuantizedFormat> quantized = std::nullopt,
               const LoraTensors *variant = nullptr)
      : checkpoint_(checkpoint),
        device_(device),
        dtype_(dtype),
        quantized_(quantized),
        variant_(variant) {}

  at::Tensor tensor(const std::string &name) const {
    return counted(convert(checkpoint_.tensor(name)));
  }
  Linear linear(const std::string &name) const {
    return {matrix(name + ".weight"), tensor(name + ".bias"), low_rank(name)};
  }
  LayerNorm layer_norm(const std::string &name) const {
    return {tensor(name + ".weight"), tensor(name + ".bias")};
  }
  // The experts' weights of one layer, each [out, in].
  std::vector<Matrix> experts(const std::string &name) const;
  // What a variant adds to each of `count` experts; empty: nothing.
  std::vector<LowRank> expert_additions(const std::string &name, std::size_t count) const;
  Mlp mlp(const std::string &name, bool exact_gelu = false) const {
    return {linear(name + ".fc1"), linear(name + ".fc2"), exact_gelu};
  }

  const Config &config() const { return checkpoint_.config(); }
  c10::Device device() const { return device_; }
  c10::ScalarType dtype() const { return dtype_; }

  // Of all that was taken so far.
  std::uint64_t bytes() const { return bytes_; }

 private:
  Matrix matrix(const std::string &name) const;
  // `weight` as it is to be computed with.
  Matrix matrix_of(const at::Tensor &weight, const std::string &name) const;

  at::Tensor counted(at::Tensor tensor) const {
    bytes_ += tensor.nbytes();
    return tensor;
  }

  LowRank low_rank(const std::string &name) const {
    if (!variant_ || !variant_->contains(name + ".A")) return {};
    return {counted(convert(variant_->at(name + ".A"))),
            counted(convert(variant_->at(name + ".B")))};
  }

  at::Tensor convert(const at::Tensor &tensor) const {
    return tensor.to(device_, dtype_).contiguous();
  }

  const Checkpoint &checkpoint_;
  const c10::Device device_;
  const c10::ScalarType dtype_;
  const std::optional<QuantizedFormat> quantized_;
  const LoraTensors *const variant_;
  mutable std::uint64_t bytes_ = 0;
};

}  // namespace moondream
