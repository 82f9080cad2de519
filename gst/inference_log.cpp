#include "inference_log.h"

namespace moondream {

GstDebugCategory *inference_category() {
  static GstDebugCategory *const made = [] {
    GstDebugCategory *category = nullptr;
    // Another module of this process that holds this code gets the same one.
    GST_DEBUG_CATEGORY_INIT(category, "moondream", 0,
                            "Models: loading, devices, results and their times");
    return category;
  }();
  return made;
}

}  // namespace moondream
