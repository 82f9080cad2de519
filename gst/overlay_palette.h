// Colours of labels.
// Thread-safety: safe.
#pragma once

#include <string_view>

#include "overlay_layer.h"

namespace moondream::overlay {

// The colour of everything that bears `label`: always the same one for the same label, on every
// machine and in every run. Twelve colours in all, so different labels may share one.
Colour label_colour(std::string_view label);

// Black or white, whichever has the greater contrast ratio to `background` as WCAG 2 defines it.
Colour contrasting(Colour background);

}  // namespace moondream::overlay
