// Drawn pictures of things whose motion is known exactly.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "types.h"

namespace moondream {

// A rectangle with a texture that moves and grows with it. Pixels of the picture.
struct Patch {
  double x = 0, y = 0, width = 0, height = 0;
  unsigned seed = 0;      // of the texture
  double scale = 1;       // of the texture: 2 is twice as coarse
  double contrast = 1;    // 0: one colour
  double brightness = 0;  // added
};

// Smooth noise in [-1, 1], the same everywhere and always.
inline double texture(unsigned seed, double u, double v) {
  const auto lattice = [seed](std::int64_t i, std::int64_t j) {
    std::uint64_t h = static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15u ^
                      static_cast<std::uint64_t>(j) * 0xc2b2ae3d27d4eb4fu ^
                      static_cast<std::uint64_t>(seed) * 0x165667b19e3779f9u;
    h = (h ^ (h >> 31)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 29)) * 0x94d049bb133111ebu;
    return static_cast<double>((h >> 32) & 0xffff) / 32767.5 - 1;
  };
  const auto octave = [&](double x, double y) {
    const double fx = std::floor(x), fy = std::floor(y);
    const auto i = static_cast<std::int64_t>(fx), j = static_cast<std::int64_t>(fy);
    const auto smooth = [](double t) { return t * t * (3 - 2 * t); };
    const double a = smooth(x - fx), b = smooth(y - fy);
    return std::lerp(std::lerp(lattice(i, j), lattice(i + 1, j), a),
                     std::lerp(lattice(i, j + 1), lattice(i + 1, j + 1), a), b);
  };
  return 0.6 * octave(u / 12, v / 12) + 0.4 * octave(u / 5 + 100, v / 5 + 100);
}

struct MovingScene {
  int width = 320, height = 180;  // pixels
  Patch background{.seed = 1};    // only its x, y, scale, contrast and brightness count
  std::vector<Patch> patches;     // later ones are in front
  double gain = 1, offset = 0;    // exposure
  double noise = 0;               // deviation, grey levels
  unsigned noise_seed = 0;

  // Grey levels, rows tightly packed.
  std::vector<std::uint8_t> draw() const {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width) *
                                     static_cast<std::size_t>(height));
    std::mt19937 random(noise_seed);
    std::normal_distribution<double> grain(0, 1);
    std::size_t at = 0;
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const Patch *patch = &background;
        for (const Patch &each : patches) {
          if (x >= each.x && x < each.x + each.width && y >= each.y && y < each.y + each.height) {
            patch = &each;
          }
        }
        double value = 128 + patch->brightness;
        if (patch->contrast != 0) {
          value +=
              80 * patch->contrast *
              texture(patch->seed, (x - patch->x) / patch->scale, (y - patch->y) / patch->scale);
        }
        value = value * gain + offset;
        if (noise > 0) value += noise * grain(random);
        pixels[at++] = static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
      }
    }
    return pixels;
  }

  // Where a patch is, clamped to the picture; empty (x_min >= x_max) when it is outside.
  Box box(std::size_t patch) const {
    const Patch &each = patches[patch];
    const auto clamped = [](double value) { return std::clamp(value, 0.0, 1.0); };
    return {clamped(each.x / width), clamped(each.y / height),
            clamped((each.x + each.width) / width), clamped((each.y + each.height) / height)};
  }
};

inline double iou(const Box &a, const Box &b) {
  const double w = std::min(a.x_max, b.x_max) - std::max(a.x_min, b.x_min);
  const double h = std::min(a.y_max, b.y_max) - std::max(a.y_min, b.y_min);
  if (w <= 0 || h <= 0) return 0;
  const auto area = [](const Box &box) {
    return (box.x_max - box.x_min) * (box.y_max - box.y_min);
  };
  return w * h / (area(a) + area(b) - w * h);
}

}  // namespace moondream
