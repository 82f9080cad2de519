// Moondream 2's real dimensions with random weights, for timing: speed does not depend on what the
// weights say.
#pragma once

#include <c10/core/ScalarType.h>

#include <memory>

#include "checkpoint.h"
#include "layers.h"
#include "model.h"
#include "text.h"
#include "vision.h"

namespace moondream::bench {

// The stages of one model over the same weights. Not copied: 3.7 GB in bfloat16.
struct FullSizeModel {
  explicit FullSizeModel(Precision precision);

  Checkpoint checkpoint;
  c10::ScalarType dtype;
  WeightSource weights;
  VisionEncoder vision;
  TextModel text;
  Model model;
};

// The model in that precision (not kAuto), made at the first call; asking for another frees it.
const FullSizeModel &full_size_model(Precision precision);

}  // namespace moondream::bench
