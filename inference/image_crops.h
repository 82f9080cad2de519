// Cuts a picture into overlapping crops for the vision encoder, and puts their features together
// again. Port of moondream/torch/image_crops.py @ 44146f1.
// Thread-safety: all functions are safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "config.h"
#include "types.h"

namespace moondream {

struct Tiling {
  int rows = 1, columns = 1;

  bool operator==(const Tiling &) const = default;
};

// How many crop windows of `crop_size` pixels a picture of height x width pixels (its margins
// already taken off) is cut into. Port of select_tiling.
Tiling select_tiling(int height, int width, int crop_size, int max_crops);

struct Crops {
  Tiling tiling;
  // Global crop first, then the local ones row by row: [count, crop_size, crop_size, 3]. For a 1x1
  // tiling the one local crop has the pixels of the global one, and is left out: count is 1.
  int count = 0;
  std::vector<std::uint8_t> pixels;

  std::size_t crop_bytes() const { return pixels.size() / count; }  // of each
};

// Port of overlap_crop_image with Pillow's Lanczos filter, or what libvips does.
// Throws Error{kSettings} for a picture without pixels.
Crops overlap_crop_image(const ImageView &image, const VisionConfig &config);

// Port of VisionEncoder.preprocess and create_patches in hf/vision_encoder.py @ 5ce4fe8, which the
// models of 2024-05-20 to 2024-08-26 have: the picture in one of four sizes, with Pillow's bicubic
// filter, is cut into crops that do not overlap; the global crop is that again, scaled down to one
// crop, and rounded to 8 bits, which the reference does not. Throws as overlap_crop_image() does.
Crops quarter_crop_image(const ImageView &image, const VisionConfig &config);

// The picture as one crop, with Pillow's bicubic filter, as in the models before. Throws the same.
Crops whole_crop_image(const ImageView &image, const VisionConfig &config);

// What the model of this configuration sees of a picture: one of the above.
Crops crop_image(const ImageView &image, const VisionConfig &config);

// Joins the features of local crops without their margins, which overlap.
// features: [rows * columns, grid, grid, D]
// return:   [rows * (grid - 2 * margin) + 2 * margin, columns * (...) + ..., D]
// Port of reconstruct_from_crops with patch_size 1.
at::Tensor reconstruct_from_crops(const at::Tensor &features, Tiling tiling, int overlap_margin);

}  // namespace moondream
