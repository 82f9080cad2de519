// What a buffer of some caps holds: a frame, or, with interlace-mode alternate, a single field.
// Thread-safety: safe.
#pragma once

#include <gst/video/video.h>

namespace moondream {

struct StoredFrame {
  GstVideoInfo info;     // of a field: a progressive frame of half the rows, whose pixels are as
                         // high as two of the picture; of so many a second as there are fields
  int whole_height = 0;  // of the picture, rows. Metas may say this of a field, too
};

StoredFrame stored_frame(const GstVideoInfo &caps);

}  // namespace moondream
