// Everything that a batch of jobs asks of its pictures, on a Model: encodes what a stream's memory
// does not know, runs the prompts, follows faces' gazes, joins what the parts of a picture showed.
// Thread-safety: all functions are safe.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "backend.h"
#include "model.h"

namespace moondream {

// A request's picture as the model sees it: whole and, if a prompt of it looks for objects, the
// parts of its grid; mirrored, if a prompt asks for the gaze of a face.
class CutPicture : public Preparation {
 public:
  // Throws Error{kSettings}: the picture has no pixels, or a side of the grid is out of its range.
  CutPicture(const Model &model, const Request &request, const Image &image);

  std::uint64_t bytes() const override;

  // In the order of parts_of(), and last the mirrored picture, whose place is from 1 to 0.
  const std::vector<Box> &places() const { return places_; }
  const std::vector<Crops> &crops() const { return crops_; }  // as many
  // The places without the mirrored picture.
  std::span<const Box> parts() const { return std::span(places_).first(parts_); }

 private:
  std::vector<Box> places_;
  std::vector<Crops> crops_;
  std::size_t parts_ = 0;
};

// As Backend::run(). Preparations are CutPictures, memories are CropMemories.
//
// Detect and point prompts look at the parts of the picture too, all others at the whole one alone.
// A face's gaze begins in the middle of its box's width and at 2/5 of its height, clamped to the
// picture: in a box from hairline to chin the eyes are a little above the middle. The model has
// been trained for any point of the face.
std::vector<Outcome> look(const Model &model, std::span<const Job> jobs);

}  // namespace moondream
