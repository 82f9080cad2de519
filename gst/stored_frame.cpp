#include "stored_frame.h"

namespace moondream {

StoredFrame stored_frame(const GstVideoInfo &caps) {
  StoredFrame stored{caps, GST_VIDEO_INFO_HEIGHT(&caps)};
  if (GST_VIDEO_INFO_INTERLACE_MODE(&caps) != GST_VIDEO_INTERLACE_MODE_ALTERNATE) return stored;
  GstVideoInfo &field = stored.info;
  gst_video_info_set_format(&field, GST_VIDEO_INFO_FORMAT(&caps),
                            static_cast<guint>(GST_VIDEO_INFO_WIDTH(&caps)),
                            static_cast<guint>(GST_VIDEO_INFO_FIELD_HEIGHT(&caps)));
  field.colorimetry = caps.colorimetry;
  field.chroma_site = caps.chroma_site;
  field.par_n = caps.par_n;
  field.par_d = 2 * caps.par_d;
  field.fps_n = GST_VIDEO_INFO_FIELD_RATE_N(&caps);
  field.fps_d = caps.fps_d;
  return stored;
}

}  // namespace moondream
