// What a buffer says is to be redacted, and whether it says enough.
// Thread-safety: safe.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <string>
#include <vector>

#include "gstmoondreammeta.h"
#include "redact_settings.h"

namespace moondream::redact {

// Why too little is known of a frame.
enum class Missing {
  kNothing,     // enough is known
  kNoSentinel,  // no moondreamfilter upstream, or something took its meta off
  kNoMeta,      // none of the other sources has a meta on it, and moondream is not a source
  kMalformed,   // the sentinel cannot be read
  kPending,     // nothing was found out yet
  kFailed,      // the newest sample failed
  kTooOld,      // the result is older than max-age
  kUnplaced,    // an element in between may have cropped, flipped or padded the picture
  kNoRoom,      // the frame had to leave before hold-before was over: max-bytes
  kCutShort,    // the same, because of what came behind it in the stream
};
constexpr int kMissingKinds = 10;

// "pending" and so on. Static.
const char *to_string(Missing missing);

struct Finding {
  Box box;  // fractions of the frame; of a point, without extent
  bool is_point = false;
  std::string label;
  double score = 1;
  guint id = 0;
};

struct Findings {
  Missing missing = Missing::kNothing;
  const char *status = nullptr;  // the sentinel's; null: none. Static
  guint64 serial = 0;            // of the result; 0: of this frame only
  bool moves = false;            // boxes were predicted for this very frame
  GstClockTime age = 0;          // of the result; 0 if unknown
  bool age_is_unknown = false;
  std::vector<Finding> found;  // what labels, scores and sizes let through
};

// Reads the metas of `buffer`, a frame of `info`.
Findings find(GstBuffer *buffer, const GstVideoInfo &info, const Settings &settings);

}  // namespace moondream::redact
