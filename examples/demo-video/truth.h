// What is where in each frame of a drawn video, as a JSON file:
// {"width":w,"height":h,"duration":ns,"frames":[{"pts":ns,"objects":[{"label":"face","x_min":..,
// "y_min":..,"x_max":..,"y_max":..,"id":1}]}]}, coordinates in fractions of the frame.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "scene.h"

namespace scenes {

struct TrueFrame {
  std::uint64_t pts = 0;  // ns
  std::vector<LabelledBox> objects;
};

struct Truth {
  int width = 0, height = 0;
  std::uint64_t duration = 0;     // ns, of the video
  std::vector<TrueFrame> frames;  // by rising PTS

  // The frame nearest to `pts`, or null if that is more than a millisecond away: containers such as
  // WebM keep times in milliseconds.
  const TrueFrame *at(std::uint64_t pts) const;
};

// Both throw std::runtime_error that names the file.
void write_truth(const std::filesystem::path &file, const Truth &truth);
Truth read_truth(const std::filesystem::path &file);

}  // namespace scenes
