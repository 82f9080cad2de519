// A drawn clip whose frames carry their number, and a model that is right about every one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "mock_backend.h"
#include "moving_scene.h"

namespace moondream {

// Grey frames of what `scene` gives for a number. The number is in the top left corner, 16 squares
// that are black or white.
struct KnownClip {
  static constexpr int kBits = 16, kSquare = 4;  // pixels

  std::function<MovingScene(int frame)> scene;

  std::vector<std::uint8_t> draw(int frame) const {
    const MovingScene drawn = scene(frame);
    std::vector<std::uint8_t> pixels = drawn.draw();
    for (int y = 0; y < kSquare; ++y) {
      for (int x = 0; x < kBits * kSquare; ++x) {
        pixels[static_cast<std::size_t>(y * drawn.width + x)] =
            (frame >> (x / kSquare)) & 1 ? 255 : 0;
      }
    }
    return pixels;
  }

  static int number(const Image &image) {
    int number = 0;
    for (int bit = 0; bit < kBits; ++bit) {
      const int at = kSquare / 2 * image.width + bit * kSquare + kSquare / 2;
      if (image.pixels[static_cast<std::size_t>(3 * at)] > 127) number |= 1 << bit;
    }
    return number;
  }

  // The boxes of all patches that are in the frame.
  std::vector<ScoredBox> truth(int frame) const {
    const MovingScene drawn = scene(frame);
    std::vector<ScoredBox> boxes;
    for (std::size_t i = 0; i < drawn.patches.size(); ++i) {
      const Box box = drawn.box(i);
      if (box.x_min < box.x_max && box.y_min < box.y_max) boxes.push_back({box, 1});
    }
    return boxes;
  }

  // For one detect prompt. Copies the clip.
  Behaviour model() const {
    return [clip = *this](const Job &job) -> Outcome {
      Result result;
      result.prompts.push_back(DetectResult{clip.truth(number(*job.image))});
      return result;
    };
  }
};

}  // namespace moondream
