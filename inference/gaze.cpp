#include "gaze.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace moondream {

std::vector<Point> gaze_eyes(const Box &face, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  // 53 random bits make a double in [0, 1) the same way with every standard library.
  const auto between = [&](double low, double high) {
    return low + (high - low) * static_cast<double>(random() >> 11) * 0x1.0p-53;
  };
  std::vector<Point> eyes;
  for (int i = 0; i < 2 * kGazeLooks; ++i) {
    const double x = between(face.x_min, face.x_max), y = between(face.y_min, face.y_max);
    const Point eye{std::clamp(x, 0.0, 1.0), std::clamp(y, 0.0, 1.0)};
    eyes.push_back(i < kGazeLooks ? eye : mirrored(eye));
  }
  return eyes;
}

Point mirrored(const Point &point) { return {1 - point.x, point.y}; }

std::optional<Point> mean_gaze(std::span<const Point> found) {
  if (found.size() < kGazeLooks) return std::nullopt;
  const std::vector<Point> kept = remove_outlier_points(found);
  Point mean;
  for (const Point &point : kept) {
    mean.x += point.x / static_cast<double>(kept.size());
    mean.y += point.y / static_cast<double>(kept.size());
  }
  return mean;
}

std::vector<Point> remove_outlier_points(std::span<const Point> points) {
  if (points.size() < 2) return {points.begin(), points.end()};
  std::vector<double> nearest;
  for (std::size_t i = 0; i < points.size(); ++i) {
    double least = INFINITY;
    for (std::size_t j = 0; j < points.size(); ++j) {
      if (i == j) continue;
      least = std::min(least, std::hypot(points[i].x - points[j].x, points[i].y - points[j].y));
    }
    nearest.push_back(least);
  }
  std::vector<double> sorted = nearest;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  const double median =
      sorted.size() % 2 != 0 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  std::vector<Point> kept;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (nearest[i] <= 2 * median) kept.push_back(points[i]);
  }
  return kept;
}

Image mirrored(const ImageView &image) {
  Image out{image.width, image.height, {}};
  out.pixels.reserve(std::size_t{3} * image.width * image.height);
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t *row = image.data + y * image.stride;
    for (int x = image.width - 1; x >= 0; --x) {
      out.pixels.insert(out.pixels.end(), row + std::ptrdiff_t{3} * x,
                        row + std::ptrdiff_t{3} * (x + 1));
    }
  }
  return out;
}

}  // namespace moondream
