#include "image_crops.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "resize.h"
#include "resize_vips.h"

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
  const auto resize = config.resizer == Resizer::kVips ? resize_vips : resize_lanczos;
  Image global = resize(image, size, size);
  crops.pixels = std::move(global.pixels);
  if (one) return crops;

  crops.pixels.resize(crop_bytes * crops.count);
  const Image local = resize(image, columns * window + margins, rows * window + margins);
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

Crops quarter_crop_image(const ImageView &image, const VisionConfig &config) {
  const int size = static_cast<int>(config.crop_size);
  Crops crops;
  // Smaller pictures are one crop.
  constexpr int kSmallest = 512;
  if (std::max(image.width, image.height) >= kSmallest) {
    const double aspect = static_cast<double>(image.width) / image.height;
    std::pair<double, int> best{std::numeric_limits<double>::infinity(), 0};
    for (const Tiling tiling : {Tiling{1, 1}, {1, 2}, {2, 1}, {2, 2}}) {
      const int height = tiling.rows * size, width = tiling.columns * size;
      // The reference compares heights with widths here, and its models were trained so.
      const std::pair<double, int> key{
          std::abs(static_cast<double>(width) / height - aspect),
          std::abs(height - image.width) + std::abs(width - image.height)};
      if (key >= best) continue;
      best = key;
      crops.tiling = tiling;
    }
  }
  const auto [rows, columns] = crops.tiling;
  Image whole = resize_bicubic(image, columns * size, rows * size);
  const bool one = rows == 1 && columns == 1;
  crops.count = one ? 1 : 1 + rows * columns;
  if (one) {
    crops.pixels = std::move(whole.pixels);
    return crops;
  }

  const std::size_t row_bytes = std::size_t{3} * size, whole_row_bytes = row_bytes * columns;
  crops.pixels.resize(row_bytes * size * crops.count);
  std::uint8_t *out = crops.pixels.data();
  // Bilinear at exactly one or two pixels for one is the mean of these.
  const unsigned count = static_cast<unsigned>(rows * columns);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      for (int c = 0; c < 3; ++c) {
        unsigned sum = count / 2;
        for (int row = 0; row < rows; ++row) {
          for (int column = 0; column < columns; ++column) {
            sum += whole.pixels[whole_row_bytes * (rows * y + row) +
                                std::size_t{3} * (columns * x + column) + c];
          }
        }
        *out++ = static_cast<std::uint8_t>(sum / count);
      }
    }
  }
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const std::uint8_t *in =
          whole.pixels.data() + whole_row_bytes * (row * size) + row_bytes * column;
      for (int y = 0; y < size; ++y, out += row_bytes, in += whole_row_bytes) {
        std::memcpy(out, in, row_bytes);
      }
    }
  }
  return crops;
}

Crops whole_crop_image(const ImageView &image, const VisionConfig &config) {
  const int size = static_cast<int>(config.crop_size);
  return {.tiling = {1, 1}, .count = 1, .pixels = resize_bicubic(image, size, size).pixels};
}

Crops crop_image(const ImageView &image, const VisionConfig &config) {
  switch (config.cropping) {
    case Cropping::kQuarters:
      return quarter_crop_image(image, config);
    case Cropping::kWhole:
      return whole_crop_image(image, config);
    case Cropping::kOverlapping:
      break;
  }
  return overlap_crop_image(image, config);
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
