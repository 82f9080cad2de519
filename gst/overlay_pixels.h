// Arithmetic on pixels of four components, alpha first, of 8 or 16 bits each (T).
// Thread-safety: safe.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace moondream::overlay {

constexpr int kMaxGroupRows = 4;  // that share a chroma sample in any format

// a * b / (maximum of T), rounded to nearest, for a and b up to that maximum: the series of
// 1 / (2^n - 1) to its second term, which is exact here.
template <typename T>
constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  constexpr int kBits = std::numeric_limits<T>::digits;
  const std::uint32_t product = a * b + (1u << (kBits - 1));
  return (product + (product >> kBits)) >> kBits;
}

// Blends a row of premultiplied pixels, none of whose components exceeds its alpha, over one of
// opaque pixels. A target alpha that means nothing is nothing sensible afterwards, either.
template <typename T>
void blend_over_opaque(const T *source, T *target, int width) {
  constexpr std::uint32_t kMax = std::numeric_limits<T>::max();
  for (int i = 0; i < 4 * width; i += 4) {
    const std::uint32_t rest = kMax - source[i];
    for (int c = 0; c < 4; ++c)
      target[i + c] = static_cast<T>(source[i + c] + multiply<T>(target[i + c], rest));
  }
}

// The same over pixels with alpha, which are not premultiplied. A target alpha of at least `opaque`
// is full: formats with few bits of alpha do not reach the maximum.
template <typename T>
void blend_over_alpha(const T *source, T *target, int width, std::uint32_t opaque) {
  constexpr std::uint32_t kMax = std::numeric_limits<T>::max();
  for (int i = 0; i < 4 * width; i += 4) {
    if (source[i] == 0) continue;
    const std::uint32_t ground = target[i] >= opaque ? kMax : target[i];
    const std::uint32_t below = multiply<T>(ground, kMax - source[i]);
    const std::uint32_t alpha = source[i] + below;
    for (int c = 1; c < 4; ++c) {
      const std::uint64_t sum =
          std::uint64_t{source[i + c]} * kMax + std::uint64_t{target[i + c]} * below;
      target[i + c] = static_cast<T>((sum + alpha / 2) / alpha);
    }
    target[i] = static_cast<T>(alpha);
  }
}

// Gives the pixels of each group of `columns` in `rows` the mean of their second and third colour
// component, where `sources` (the same rows before blending) cover one of them. `width` is a
// multiple of `columns`. Sizes known to the compiler are std::integral_constant.
template <typename T>
void average_groups(const T *const *sources, T *const *rows, int width, auto row_count,
                    auto columns) {
  const auto count = static_cast<std::uint32_t>(row_count * columns);
  for (int x_min = 0; x_min < 4 * width; x_min += 4 * columns) {
    std::uint32_t covered = 0, sum_u = count / 2, sum_v = count / 2;
    for (int row = 0; row < row_count; ++row) {
      for (int x = x_min; x < x_min + 4 * columns; x += 4) {
        covered |= sources[row][x];
        sum_u += rows[row][x + 2];
        sum_v += rows[row][x + 3];
      }
    }
    if (covered == 0) continue;
    for (int row = 0; row < row_count; ++row) {
      for (int x = x_min; x < x_min + 4 * columns; x += 4) {
        rows[row][x + 2] = static_cast<T>(sum_u / count);
        rows[row][x + 3] = static_cast<T>(sum_v / count);
      }
    }
  }
}

// Gives pixels that share a chroma sample, up to `columns` in each of `row_count` rows, the mean of
// what they would have, as above. The last sample of a row may have fewer pixels.
template <typename T>
void average_chroma(const T *const *sources, T *const *rows, int row_count, int width,
                    int columns) {
  using One = std::integral_constant<int, 1>;
  using Two = std::integral_constant<int, 2>;
  const int rest = width % columns;
  const int whole = width - rest;
  // The usual subsamplings, with sizes that need no division.
  if (row_count == 2 && columns == 2)
    average_groups(sources, rows, whole, Two(), Two());
  else if (row_count == 1 && columns == 2)
    average_groups(sources, rows, whole, One(), Two());
  else
    average_groups(sources, rows, whole, row_count, columns);
  if (rest == 0) return;
  std::array<const T *, kMaxGroupRows> rest_sources;
  std::array<T *, kMaxGroupRows> rest_rows;
  for (int row = 0; row < row_count; ++row) {
    rest_sources[row] = sources[row] + 4 * whole;
    rest_rows[row] = rows[row] + 4 * whole;
  }
  average_groups(rest_sources.data(), rest_rows.data(), rest, row_count, rest);
}

}  // namespace moondream::overlay
