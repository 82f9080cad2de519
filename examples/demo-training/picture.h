// Pictures to learn from: things in all sizes that overlap, are cut off by the frame, blurred and
// compressed, and where everything is.
//
//   const Picture picture = random_picture(7);
//   for (const Thing &thing : picture.things) ... thing.label(), thing.box
#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sprite.h"
#include "types.h"

namespace scenes {

struct Thing {
  std::string kind;            // "circle", "face", "license plate"
  std::optional<Color> color;  // of shapes
  moondream::Box box;          // what of it is inside the frame, fractions [0, 1]
  // Of faces: between the eyes, and the middle of what they look at, if that is in the picture.
  moondream::Point eyes;
  std::optional<moondream::Point> gaze;

  std::string label() const;  // "red circle", "face"
  moondream::Point center() const {
    return {(box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2};
  }
};

struct Picture {
  cv::Mat pixels;             // 8-bit RGB
  std::vector<Thing> things;  // the later ones are in front of the earlier ones
};

// What random_picture() may choose from.
struct PictureOptions {
  cv::Size size;  // of the frame; empty: one of several that videos often have
  int max_things = 8;
  double min_height = 0.04, max_height = 0.55;  // of a thing, fractions of the frame's height
};

// Equal seeds and options give equal pictures. Of each thing at least half is inside the frame and
// nearly two thirds are not hidden, and its colour differs from what is around it.
// Thread-safety: safe.
Picture random_picture(std::uint64_t seed, const PictureOptions &options = {});

}  // namespace scenes
