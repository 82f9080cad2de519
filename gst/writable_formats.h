// Which formats the plugin's elements write pixels in. Thread-safety: safe.
#pragma once

#include <gst/video/video.h>

namespace moondream {

// Whether frames of `format` can be written. All can but three, for GStreamer's functions that pack
// them: that of NV12_10BE_8L128 writes behind the end of frames of some widths (seen in 1.22),
// those of MT2110T and MT2110R leave chroma of the last tile of some widths as it was (seen
// in 1.26).
bool can_write(GstVideoFormat format);

// GST_MOONDREAM_FRAME_CAPS in the formats that can be written, for pad templates.
// Transfer full.
GstCaps *writable_caps();

// Gives the class pad templates "sink" and "src" of `caps`. Transfer full.
void add_pad_templates(GstElementClass *element_class, GstCaps *caps);

}  // namespace moondream
