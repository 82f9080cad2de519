// The debug category "moondream": what happens in the library, as opposed to in an element.
#pragma once

#include <gst/gst.h>

namespace moondream {

// Made at the first call. Thread-safety: safe.
GstDebugCategory *inference_category();

}  // namespace moondream
