// Moondream 2's real dimensions with random weights, for timing: speed does not depend on what the
// weights say.
#pragma once

#include <c10/core/ScalarType.h>

#include <memory>

#include "checkpoint.h"
#include "model.h"
#include "text.h"
#include "vision.h"

namespace moondream::bench {

// The stages of one model over the same weights. Not copied: 3.7 GB in bfloat16.
struct FullSizeModel {
  explicit FullSizeModel(c10::ScalarType dtype);

  Checkpoint checkpoint;
  VisionEncoder vision;
  TextModel text;
  Model model;
};

// The model in float32 or bfloat16, made at the first call; asking for the other type frees it.
const FullSizeModel &full_size_model(c10::ScalarType dtype);

}  // namespace moondream::bench
