#include "resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

namespace moondream {
namespace {

// Coefficients are fixed-point: 8 bits of pixel, 2 bits of headroom for the filter's overshoot.
constexpr int kPrecisionBits = 32 - 8 - 2;
constexpr int kHalf = 1 << (kPrecisionBits - 1);

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0; }

double bicubic(double x) {
  constexpr double kA = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((kA + 2.0) * x - (kA + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0.0;
}

struct Filter {
  double (*share)(double);  // of a sample so far from the centre
  double support;           // beyond which it is 0
};
constexpr Filter kLanczos{lanczos, 3.0}, kBicubic{bicubic, 2.0};

// For one axis: which input samples make each output sample, and in what shares.
struct Taps {
  int stride = 0;            // coefficients kept for each output sample
  std::vector<int> first;    // [out] first input sample
  std::vector<int> count;    // [out] input samples
  std::vector<int> weights;  // [out, stride], fixed-point
};

Taps make_taps(int in_size, int out_size, const Filter &filter) {
  const double scale = static_cast<double>(in_size) / out_size;
  const double filter_scale = std::max(scale, 1.0);
  const double support = filter.support * filter_scale;
  Taps taps;
  taps.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.first.resize(out_size);
  taps.count.resize(out_size);
  taps.weights.resize(static_cast<std::size_t>(out_size) * taps.stride);
  std::vector<double> shares(taps.stride);
  for (int out = 0; out < out_size; ++out) {
    const double center = (out + 0.5) * scale;
    // Truncation toward zero, not floor: the clamp below makes them differ nowhere.
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int last = std::min(static_cast<int>(center + support + 0.5), in_size);
    const int count = last - first;
    double sum = 0.0;
    for (int i = 0; i < count; ++i) {
      shares[i] = filter.share((i + first - center + 0.5) * (1.0 / filter_scale));
      sum += shares[i];
    }
    int *weights = &taps.weights[static_cast<std::size_t>(out) * taps.stride];
    for (int i = 0; i < count; ++i) {
      const double share = sum != 0.0 ? shares[i] / sum : shares[i];
      weights[i] = static_cast<int>(share * (1 << kPrecisionBits) + (share < 0 ? -0.5 : 0.5));
    }
    taps.first[out] = first;
    taps.count[out] = count;
  }
  return taps;
}

std::uint8_t clip8(int fixed) {
  return static_cast<std::uint8_t>(std::clamp(fixed >> kPrecisionBits, 0, 255));
}

void resample_row(const std::uint8_t *in, const Taps &taps, int out_size, std::uint8_t *out) {
  for (int x = 0; x < out_size; ++x) {
    const int *weights = &taps.weights[static_cast<std::size_t>(x) * taps.stride];
    const std::uint8_t *pixel = in + std::ptrdiff_t{3} * taps.first[x];
    int red = kHalf, green = kHalf, blue = kHalf;
    for (int i = 0; i < taps.count[x]; ++i, pixel += 3) {
      red += pixel[0] * weights[i];
      green += pixel[1] * weights[i];
      blue += pixel[2] * weights[i];
    }
    out[3 * x] = clip8(red);
    out[3 * x + 1] = clip8(green);
    out[3 * x + 2] = clip8(blue);
  }
}

Image resample_horizontal(const ImageView &image, int width, const Filter &filter) {
  const Taps taps = make_taps(image.width, width, filter);
  Image out{width, image.height,
            std::vector<std::uint8_t>(static_cast<std::size_t>(width) * image.height * 3)};
  for (int y = 0; y < image.height; ++y) {
    resample_row(image.data + y * image.stride, taps, width,
                 out.pixels.data() + std::size_t{3} * width * y);
  }
  return out;
}

Image resample_vertical(const ImageView &image, int height, const Filter &filter) {
  const Taps taps = make_taps(image.height, height, filter);
  const std::size_t row_bytes = std::size_t{3} * image.width;
  Image out{image.width, height, std::vector<std::uint8_t>(row_bytes * height)};
  // Row by row with one accumulator for each byte, so that the inner loop is a plain vector one.
  std::vector<int> sums(row_bytes);
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    const int *weights = &taps.weights[static_cast<std::size_t>(y) * taps.stride];
    for (int i = 0; i < taps.count[y]; ++i) {
      const std::uint8_t *row = image.data + (taps.first[y] + i) * image.stride;
      const int weight = weights[i];
      for (std::size_t b = 0; b < row_bytes; ++b) sums[b] += row[b] * weight;
    }
    std::uint8_t *row = out.pixels.data() + row_bytes * y;
    for (std::size_t b = 0; b < row_bytes; ++b) row[b] = clip8(sums[b]);
  }
  return out;
}

Image copy(const ImageView &image) {
  const std::size_t row_bytes = std::size_t{3} * image.width;
  Image out{image.width, image.height, std::vector<std::uint8_t>(row_bytes * image.height)};
  for (int y = 0; y < image.height; ++y) {
    std::memcpy(out.pixels.data() + row_bytes * y, image.data + y * image.stride, row_bytes);
  }
  return out;
}

Image resize(const ImageView &image, int width, int height, const Filter &filter) {
  if (image.data == nullptr || image.width < 1 || image.height < 1 || width < 1 || height < 1) {
    throw Error(ErrorKind::kSettings, "cannot resize a picture of " + std::to_string(image.width) +
                                          "x" + std::to_string(image.height) + " pixels to " +
                                          std::to_string(width) + "x" + std::to_string(height));
  }
  if (width == image.width && height == image.height) return copy(image);
  if (width == image.width) return resample_vertical(image, height, filter);
  Image wide = resample_horizontal(image, width, filter);
  if (height == image.height) return wide;
  return resample_vertical(wide.view(), height, filter);
}

}  // namespace

Image resize_lanczos(const ImageView &image, int width, int height) {
  return resize(image, width, height, kLanczos);
}

Image resize_bicubic(const ImageView &image, int width, int height) {
  return resize(image, width, height, kBicubic);
}

}  // namespace moondream
