// What the shapes of a model's tensors tell about its configuration.
#pragma once

#include "config.h"
#include "tensor_sources.h"

namespace moondream {

// The published configuration with everything that the shapes tell. They do not tell the numbers of
// heads: these follow from the head sizes that all published models have, and are 0 if they cannot.
// What a config.json says goes before this; nothing here is validated.
Config config_from_shapes(const TensorSources &sources);

}  // namespace moondream
