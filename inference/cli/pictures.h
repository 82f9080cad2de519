// Picture files: read, and written with what a model found drawn on them.
#pragma once

#include <string>
#include <vector>

#include "types.h"

namespace moondream::cli {

// The picture in the file, upright as its EXIF data says; "-" is standard input. Transparency is
// ignored. Throws Error, naming the file: kNotFound, or kRead if it is no picture or a part of one.
Image read_picture(const std::string &path);

// What is drawn. Coordinates are fractions of the picture.
struct Overlay {
  struct LabelledBox {
    std::string label;
    Box box;
  };
  struct LabelledPoint {
    std::string label;
    Point point;
  };
  struct LabelledOutline {
    std::string label;
    std::string path;  // as fill_outline() takes it
    Box box;
  };
  struct Ray {
    Point from, to;
  };
  std::vector<LabelledBox> boxes;
  std::vector<LabelledPoint> points;
  std::vector<LabelledOutline> outlines;  // what they enclose is tinted, and has an edge
  std::vector<Ray> gaze;
};

// Writes the picture as a PNG with all that drawn on it; equal labels have equal colours. The file
// appears when it is complete. Throws Error{kRead} if it cannot be written.
void save_overlay(const std::string &path, const Image &image, const Overlay &overlay);

}  // namespace moondream::cli
