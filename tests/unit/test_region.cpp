// The region heads against their definitions, in double.
#include "region.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "small_config.h"

namespace moondream {
namespace {

constexpr int kDim = 8;

Config region_config(bool linear, bool layer_norm) {
  Config config = test::small_config(kDim);
  config.region.linear_decoders = linear;
  config.region.layer_norm = layer_norm;
  return config;
}

// Moondream 2 has two layers, Moondream 3 one, and that with a layer norm before it or without.
TEST(Region, DecodersAreOfTheKindThatTheWeightsAre) {
  for (const auto &[linear, layer_norm] :
       {std::pair{false, false}, {true, false}, {true, true}, {false, true}}) {
    at::manual_seed(1);
    const Config config = region_config(linear, layer_norm);
    std::map<std::string, at::Tensor> tensors;
    for (const ExpectedTensor &expected : expected_tensors(config)) {
      tensors.emplace(expected.name, at::randn(expected.shape));
    }
    const Checkpoint checkpoint(config, tensors);
    const auto weight = [&](const std::string &name) {
      return tensors.at("region." + name).to(at::kDouble);
    };
    const auto linear_layer = [&](const at::Tensor &x, const std::string &name) {
      return at::mv(weight(name + ".weight"), x) + weight(name + ".bias");
    };
    // Far from mean 0 and variance 1, so that a norm shows.
    const at::Tensor hidden = at::randn({3, kDim}) * 5 + 2;
    const RegionModel region(WeightSource(checkpoint, c10::Device(c10::kCPU), c10::kFloat));
    const at::Tensor coordinates = region.decode_coordinate(hidden);
    const at::Tensor sizes = region.decode_size(hidden);
    ASSERT_EQ(coordinates.sizes(), (at::IntArrayRef{3, 6}));
    ASSERT_EQ(sizes.sizes(), (at::IntArrayRef{3, 2, 5}));
    for (std::int64_t row = 0; row < 3; ++row) {
      at::Tensor x = hidden[row].to(at::kDouble);
      if (layer_norm) {
        const at::Tensor centred = x - x.mean();
        x = centred / (centred.square().mean() + 1e-5).sqrt() * weight("ln.weight") +
            weight("ln.bias");
      }
      const auto decoded = [&](const std::string &name) {
        if (linear) return linear_layer(x, name);
        const at::Tensor inner = linear_layer(x, name + ".fc1");
        const at::Tensor gelu =
            inner * 0.5 * (1 + at::tanh(std::sqrt(2 / M_PI) * (inner + 0.044715 * inner.pow(3))));
        return linear_layer(gelu, name + ".fc2");
      };
      // Sums of some tens of float32 products of numbers of some tens.
      EXPECT_TRUE(
          at::allclose(coordinates[row].to(at::kDouble), decoded("coord_decoder"), 1e-5, 1e-4));
      EXPECT_TRUE(
          at::allclose(sizes[row].flatten().to(at::kDouble), decoded("size_decoder"), 1e-5, 1e-4));
    }
  }
}

TEST(Region, BinsAreFractionsOfThePicture) {
  for (const auto scale : {SizeScale::kLog2, SizeScale::kLinear}) {
    Config config = region_config(false, false);
    config.region.size_scale = scale;
    std::map<std::string, at::Tensor> tensors;
    for (const ExpectedTensor &expected : expected_tensors(config)) {
      tensors.emplace(expected.name, at::zeros(expected.shape));
    }
    const RegionModel region(
        WeightSource(Checkpoint(config, tensors), c10::Device(c10::kCPU), c10::kFloat));
    EXPECT_FLOAT_EQ(region.coordinate_of_bin(3), 0.5);
    if (scale == SizeScale::kLinear) {
      EXPECT_FLOAT_EQ(region.size_of_bin(2), 0.4);
    } else {
      EXPECT_FLOAT_EQ(region.size_of_bin(0), 1.0 / 1024);
      EXPECT_FLOAT_EQ(region.size_of_bin(2), 1.0 / 32);
      EXPECT_FLOAT_EQ(region.size_of_bin(4), 1);
    }
  }
}

}  // namespace
}  // namespace moondream
