#include "image_crops.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "resize.h"

namespace moondream {

Tiling select_tiling(int height, int width, int crop_size, int max_crops) {
  if (height <= crop_size || width <= crop_size) return {1, 1};
  const int min_h = (height + crop_size - 1) / crop_size;
  const int min_w = (width + crop_size - 1) / crop_size;
  if (static_cast<long>(min_h) * min_w > max_crops) {
    const double ratio = std::sqrt(max_crops / (static_cast<double>(min_h) * min_w));
    return {std::max(1, static_cast<int>(std::floor(min_h * ratio))),
            std::max(1, static_cast<int>(std::floor(min_w * ratio)))};
  }
  int rows =
      static_cast<int>(std::floor(std::sqrt(static_cast<double>(max_crops) * height / width)));
  int columns =
      static_cast<int>(std::floor(std::sqrt(static_cast<double>(max_crops) * width / height)));
  rows = std::max(rows, min_h);
  columns = std::max(columns, min_w);
  if (rows * columns > max_crops) {
    if (columns > rows) {
      columns = max_crops / rows;
    } else {
      rows = max_crops / columns;
    }
  }
  return {std::max(1, rows), std::max(1, columns)};
}

Crops overlap_crop_image(const ImageView &image, const VisionConfig &config) {
  const int size = static_cast<int>(config.crop_size);
  const int patch = static_cast<int>(config.enc_patch_size);
  const int margins = 2 * patch * static_cast<int>(config.overlap_margin);
  const int window = size - margins;
  Crops crops;
  crops.tiling = select_tiling(image.height - margins, image.width - margins, window,
                               static_cast<int>(config.max_crops));
  const auto [rows, columns] = crops.tiling;
  const bool one = rows == 1 && columns == 1;
  crops.count = one ? 1 : 1 + rows * columns;

  const std::size_t row_bytes = std::size_t{3} * size;
  const std::size_t crop_bytes = row_bytes * size;
  Image global = resize_lanczos(image, size, size);
  crops.pixels = std::move(global.pixels);
  if (one) return crops;

  crops.pixels.resize(crop_bytes * crops.count);
  const Image local = resize_lanczos(image, columns * window + margins, rows * window + margins);
  const std::size_t local_row_bytes = std::size_t{3} * local.width;
  std::uint8_t *out = crops.pixels.data() + crop_bytes;
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const std::uint8_t *in =
          local.pixels.data() + local_row_bytes * (row * window) + std::size_t{3} * column * window;
      for (int y = 0; y < size; ++y, out += row_bytes, in += local_row_bytes) {
        std::memcpy(out, in, row_bytes);
      }
    }
  }
  return crops;
}

at::Tensor reconstruct_from_crops(const at::Tensor &features, Tiling tiling, int overlap_margin) {
  const std::int64_t grid = features.size(1);
  // The outer crops keep their outer margin; between neighbours both lose theirs.
  const auto kept = [&](const at::Tensor &crop, int dim, int index, int count) {
    const std::int64_t begin = index == 0 ? 0 : overlap_margin;
    const std::int64_t end = index == count - 1 ? grid : grid - overlap_margin;
    return crop.narrow(dim, begin, end - begin);
  };
  std::vector<at::Tensor> rows;
  for (int row = 0; row < tiling.rows; ++row) {
    std::vector<at::Tensor> columns;
    for (int column = 0; column < tiling.columns; ++column) {
      const at::Tensor crop = features[row * tiling.columns + column];
      columns.push_back(kept(kept(crop, 0, row, tiling.rows), 1, column, tiling.columns));
    }
    rows.push_back(at::cat(columns, 1));
  }
  return at::cat(rows, 0);
}

}  // namespace moondream
