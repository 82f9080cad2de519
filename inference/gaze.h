// Where a face looks, as the mean of many looks. Port of the accuracy mode of detect_gaze in
// moondream/torch/moondream.py @ 44146f1.
// Thread-safety: all functions are safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "types.h"

namespace moondream {

// How many points of a face are asked about in the picture, and as many again in its mirror image.
inline constexpr int kGazeLooks = 10;

// 2 * kGazeLooks points, evenly spread over the face at random: equal seeds give equal points. The
// second half is for the mirrored picture, and mirrored.
std::vector<Point> gaze_eyes(const Box &face, std::uint64_t seed);

// The point in the mirrored picture.
Point mirrored(const Point &point);

// The mean of what the looks found, in the picture's coordinates, without those that are far from
// all others. Nothing if fewer than kGazeLooks found something: the gaze leaves the picture.
std::optional<Point> mean_gaze(std::span<const Point> found);

// The points whose nearest neighbour is at most twice as far away as that of the median point.
// Port of remove_outlier_points with k_nearest 2, where a point counts as its own neighbour.
std::vector<Point> remove_outlier_points(std::span<const Point> points);

// A picture whose left is the other's right.
Image mirrored(const ImageView &image);

}  // namespace moondream
