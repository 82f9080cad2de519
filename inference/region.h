// Coordinates and sizes to and from the text model's space. Port of moondream/torch/region.py @
// 44146f1.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <variant>

#include "layers.h"
#include "types.h"

namespace moondream {

// D: text dim. Thread-safety: safe; weights are only read.
class RegionModel {
 public:
  explicit RegionModel(const WeightSource &weights);

  // Whether the model knows places at all: if not, nothing else may be called.
  bool exists() const { return heads_.has_value(); }

  // A coordinate, as a fraction of the picture -> [1, D].
  at::Tensor encode_coordinate(double coordinate) const;

  // A width and height, as fractions of the picture -> [1, D].
  at::Tensor encode_size(double width, double height) const;

  // hidden: [B, D], raw outputs of the text model -> float32 logits [B, coord_bins].
  at::Tensor decode_coordinate(const at::Tensor &hidden) const;

  // -> float32 logits [B, 2, size_bins]: of the width, then of the height.
  at::Tensor decode_size(const at::Tensor &hidden) const;

  // What a bin stands for, as a fraction of the picture, rounded to float32 as in the reference.
  double coordinate_of_bin(std::int64_t bin) const;
  double size_of_bin(std::int64_t bin) const;

 private:
  using Decoder = std::variant<Mlp, Linear>;

  struct Heads {
    explicit Heads(const WeightSource &weights);

    at::Tensor coord_features;  // [1, coord_feat_dim / 2]
    Linear coord_encoder;
    Decoder coord_decoder;
    at::Tensor size_features;  // [2, size_feat_dim / 2]
    Linear size_encoder;
    Decoder size_decoder;
    std::optional<LayerNorm> ln;  // before the decoders
  };

  static Decoder decoder(const WeightSource &weights, const std::string &name);
  at::Tensor decode(const Decoder &decoder, const at::Tensor &hidden) const;
  at::Tensor fourier_features(const at::Tensor &x, const at::Tensor &w) const;

  const RegionConfig config_;
  const std::optional<const Heads> heads_;
};

}  // namespace moondream
