#include "region.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>
#include <utility>

namespace moondream {

RegionModel::Heads::Heads(const WeightSource &weights)
    : coord_features(weights.tensor("region.coord_features")),
      coord_encoder(weights.linear("region.coord_encoder")),
      coord_decoder(decoder(weights, "region.coord_decoder")),
      size_features(weights.tensor("region.size_features")),
      size_encoder(weights.linear("region.size_encoder")),
      size_decoder(decoder(weights, "region.size_decoder")) {
  if (weights.config().region.layer_norm) ln = weights.layer_norm("region.ln");
}

RegionModel::RegionModel(const WeightSource &weights)
    : config_(weights.config().region),
      heads_(weights.config().has_region ? std::optional<const Heads>(std::in_place, weights)
                                         : std::nullopt) {}

RegionModel::Decoder RegionModel::decoder(const WeightSource &weights, const std::string &name) {
  if (weights.config().region.linear_decoders) return weights.linear(name);
  return weights.mlp(name);
}

at::Tensor RegionModel::decode(const Decoder &decoder, const at::Tensor &hidden) const {
  const at::Tensor x = heads_->ln ? (*heads_->ln)(hidden) : hidden;
  return std::visit([&](const auto &layers) { return layers(x); }, decoder).to(at::kFloat);
}

// x: [1, features], w: [features, dim / 2] -> [1, dim]
at::Tensor RegionModel::fourier_features(const at::Tensor &x, const at::Tensor &w) const {
  const at::Tensor f = at::matmul(2 * std::numbers::pi * x.to(w.options()), w);
  return at::cat({f.cos(), f.sin()}, -1);
}

at::Tensor RegionModel::encode_coordinate(double coordinate) const {
  const at::Tensor x = at::full({1, 1}, coordinate, at::kFloat);
  return heads_->coord_encoder(fourier_features(x, heads_->coord_features));
}

at::Tensor RegionModel::encode_size(double width, double height) const {
  const at::Tensor x = at::tensor({width, height}, at::kFloat).view({1, 2});
  return heads_->size_encoder(fourier_features(x, heads_->size_features));
}

at::Tensor RegionModel::decode_coordinate(const at::Tensor &hidden) const {
  return decode(heads_->coord_decoder, hidden);
}

at::Tensor RegionModel::decode_size(const at::Tensor &hidden) const {
  return decode(heads_->size_decoder, hidden).view({hidden.size(0), 2, config_.size_bins()});
}

double RegionModel::coordinate_of_bin(std::int64_t bin) const {
  return static_cast<float>(bin) / static_cast<float>(config_.coord_bins());
}

double RegionModel::size_of_bin(std::int64_t bin) const {
  const auto value = static_cast<float>(bin);
  const auto bins = static_cast<float>(config_.size_bins());
  switch (config_.size_scale) {
    case SizeScale::kLinear:
      return value / bins;
    case SizeScale::kLog2:
      break;
  }
  return std::exp2(value / (bins - 1) * 10.0f - 10.0f);
}

}  // namespace moondream
