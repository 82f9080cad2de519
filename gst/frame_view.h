// How a model is shown a frame, and what its coordinates mean in the frame as it is stored.
// Thread-safety: values; functions are safe.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <optional>

#include "types.h"

namespace moondream {

// What has to be done to stored pictures to see them upright: first mirrored left to right, or not,
// then turned clockwise by so many quarters.
struct Orientation {
  bool mirrored = false;
  int turns = 0;  // [0, 3]

  bool operator==(const Orientation &) const = default;
};

// That of a tag list. Nothing if it has none that is known.
std::optional<Orientation> orientation_of(const GstTagList *tags);

// Whole pixels of a picture.
struct PixelRect {
  int x = 0, y = 0, width = 0, height = 0;

  bool operator==(const PixelRect &) const = default;
};

// The model sees what a player shows: of a stored frame the part that is not cropped away, with
// square pixels, upright.
struct FrameView {
  int width = 0, height = 0;  // of the stored frame, pixels, >= 1
  PixelRect part;             // of it that is shown: inside it and not empty
  double pixel_aspect = 1;    // width of a pixel over its height, > 0
  Orientation orientation;

  // All of a frame.
  static FrameView whole(int width, int height) { return {width, height, {0, 0, width, height}}; }

  bool operator==(const FrameView &) const = default;

  // The shown part in square pixels, not turned yet. The side that is too short is stretched, up to
  // twice; what is missing then is taken from the other one, so that the picture has at most twice
  // the pixels, whatever the aspect.
  int square_width() const;
  int square_height() const;

  // From fractions of the picture that the model sees to those of the stored frame. Exact if the
  // view is of the whole frame and upright.
  Point to_frame(const Point &point) const;
  Box to_frame(const Box &box) const;
};

// What the model sees of `frame`, which has the view's size.
std::shared_ptr<const Image> look(std::shared_ptr<const Image> frame, const FrameView &view);

}  // namespace moondream
