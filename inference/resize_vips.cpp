#include "resize_vips.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

namespace moondream {
namespace {

constexpr int kSteps = 64;         // positions between two pixels
constexpr int kFractionBits = 12;  // of coefficients
constexpr int kOne = 1 << kFractionBits, kHalf = kOne / 2;
constexpr double kGap = 2.0;  // how much of shrinking is left to the Lanczos filter at least

// A picture as rows of `length` samples of `width` bytes: 3 along a row, a whole row along a
// column.
struct Lines {
  const std::uint8_t *data;
  int lines, length;          // how many lines, and samples of each
  std::ptrdiff_t line, step;  // bytes from one line and from one sample to the next
  int width;                  // bytes of a sample

  const std::uint8_t *sample(int at_line, int at) const {
    return data + at_line * line + std::clamp(at, 0, length - 1) * step;
  }
};

Lines rows_of(const Image &image) {
  return {image.pixels.data(), image.height, image.width, std::ptrdiff_t{3} * image.width, 3, 3};
}

// All rows as the samples of one line, so that sums of rows are sums of long vectors.
Lines columns_of(const Image &image) {
  const int row = 3 * image.width;
  return {image.pixels.data(), 1, image.height, 0, row, row};
}

Image picture(int width, int height) {
  return {width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
}

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos3(double x) { return std::abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0; }

// Position in `kSteps`ths behind a whole pixel, rounded.
int step_of(double position) {
  const auto doubled = static_cast<long>(std::floor(position * kSteps * 2));
  return static_cast<int>(((doubled & (kSteps * 2 - 1)) + 1) >> 1);
}

// Means of `factor` neighbours; the last one repeats the edge.
void average(const Lines &in, int factor, std::uint8_t *out) {
  const int length = (in.length + factor - 1) / factor;
  for (int line = 0; line < in.lines; ++line) {
    for (int i = 0; i < length; ++i) {
      for (int byte = 0; byte < in.width; ++byte) {
        int sum = factor / 2;
        for (int k = 0; k < factor; ++k) sum += in.sample(line, i * factor + k)[byte];
        *out++ = static_cast<std::uint8_t>(sum / factor);
      }
    }
  }
}

// `extra` is what the output, scaled up, is longer than the input: half of it on either side.
void reduce(const Lines &in, int length, double shrink, double extra, std::uint8_t *out) {
  const int taps = 2 * static_cast<int>(std::rint(3 * shrink)) + 1;
  std::vector<int> coefficients(static_cast<std::size_t>(taps) * (kSteps + 1));
  std::vector<double> shares(taps);
  for (int step = 0; step <= kSteps; ++step) {
    const double centre = static_cast<double>(step) / kSteps + taps / 2.0 - 1;
    double sum = 0;
    for (int i = 0; i < taps; ++i) sum += shares[i] = lanczos3((i - centre) / shrink);
    for (int i = 0; i < taps; ++i) {
      // Cut off, and not made to add up to one again.
      coefficients[static_cast<std::size_t>(step) * taps + i] =
          static_cast<int>(shares[i] / sum * kOne);
    }
  }
  const double offset = (1 + extra) / 2 - 1;
  const int before = (taps + 1) / 2 - 1;  // samples before the first one
  std::vector<int> sums(in.width);
  for (int line = 0; line < in.lines; ++line) {
    for (int i = 0; i < length; ++i) {
      const double position = (i + 0.5) * shrink - 0.5 - offset;
      const int first = static_cast<int>(std::floor(position)) - before;
      const int *c = &coefficients[static_cast<std::size_t>(step_of(position)) * taps];
      std::fill(sums.begin(), sums.end(), kHalf);
      for (int k = 0; k < taps; ++k) {
        const std::uint8_t *sample = in.sample(line, first + k);
        for (int byte = 0; byte < in.width; ++byte) sums[byte] += sample[byte] * c[k];
      }
      for (int byte = 0; byte < in.width; ++byte) {
        *out++ = static_cast<std::uint8_t>(std::clamp(sums[byte] >> kFractionBits, 0, 255));
      }
    }
  }
}

// Reduces one axis to `length`. make: makes the picture that has so many samples along that axis.
template <typename View, typename Make>
Image reduced(const Image &image, int in_length, int length, const View &view, const Make &make) {
  double shrink = static_cast<double>(in_length) / length;
  double extra = length * shrink - in_length;
  const int factor =
      std::max(1, static_cast<int>(std::floor(static_cast<double>(in_length) / length / kGap)));
  Image averaged;
  const Image *source = &image;
  if (factor > 1) {
    averaged = make((in_length + factor - 1) / factor);
    average(view(image), factor, averaged.pixels.data());
    source = &averaged;
    shrink /= factor;
    extra /= factor;
  }
  Image out = make(length);
  reduce(view(*source), length, shrink, extra, out.pixels.data());
  return out;
}

using Coefficients = std::array<std::array<int, 4>, kSteps + 1>;

Coefficients catmull_rom() {
  Coefficients all{};
  for (int step = 0; step <= kSteps; ++step) {
    const double x = static_cast<double>(step) / kSteps;
    const double shares[4] = {-0.5 * x * (1 - x) * (1 - x), 1 + x * x * (1.5 * x - 2.5),
                              x * (0.5 + x * (2 - 1.5 * x)), -0.5 * x * x * (1 - x)};
    for (int i = 0; i < 4; ++i) all[step][i] = static_cast<int>(shares[i] * kOne);
  }
  return all;
}

// Both axes at once; one that keeps its length is moved by half a pixel like the other.
Image enlarged(const Image &image, int width, int height) {
  static const Coefficients kCoefficients = catmull_rom();
  const Lines rows = rows_of(image);
  Image out = picture(width, height);
  std::uint8_t *pixel = out.pixels.data();
  for (int y = 0; y < height; ++y) {
    const double row = static_cast<double>(y) * image.height / height - 0.5;
    const auto &cy = kCoefficients[step_of(row)];
    const int first_row = static_cast<int>(std::floor(row)) - 1;
    for (int x = 0; x < width; ++x) {
      const double column = static_cast<double>(x) * image.width / width - 0.5;
      const auto &cx = kCoefficients[step_of(column)];
      const int first = static_cast<int>(std::floor(column)) - 1;
      for (int c = 0; c < 3; ++c) {
        int sum = kHalf;
        for (int j = 0; j < 4; ++j) {
          const int line = std::clamp(first_row + j, 0, image.height - 1);
          int across = kHalf;
          for (int i = 0; i < 4; ++i) across += rows.sample(line, first + i)[c] * cx[i];
          sum += (across >> kFractionBits) * cy[j];
        }
        *pixel++ = static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
      }
    }
  }
  return out;
}

}  // namespace

Image resize_vips(const ImageView &image, int width, int height) {
  if (image.data == nullptr || image.width < 1 || image.height < 1 || width < 1 || height < 1) {
    throw Error(ErrorKind::kSettings, "cannot resize a picture of " + std::to_string(image.width) +
                                          "x" + std::to_string(image.height) + " pixels to " +
                                          std::to_string(width) + "x" + std::to_string(height));
  }
  Image out = picture(image.width, image.height);
  for (int y = 0; y < image.height; ++y) {
    std::memcpy(out.pixels.data() + std::size_t{3} * image.width * y, image.data + y * image.stride,
                std::size_t{3} * image.width);
  }
  if (height < out.height) {
    out = reduced(out, out.height, height, columns_of,
                  [&](int length) { return picture(image.width, length); });
  }
  if (width < out.width) {
    const int rows = out.height;
    out =
        reduced(out, out.width, width, rows_of, [&](int length) { return picture(length, rows); });
  }
  if (width > out.width || height > out.height) out = enlarged(out, width, height);
  return out;
}

}  // namespace moondream
