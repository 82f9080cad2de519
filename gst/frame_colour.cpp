#include "frame_colour.h"

namespace moondream {

FrameColour::FrameColour(const GstVideoInfo &info) {
  const GstVideoFormatInfo *unpacked = gst_video_format_get_info(info.finfo->unpack_format);
  int offsets[GST_VIDEO_MAX_COMPONENTS], scales[GST_VIDEO_MAX_COMPONENTS];
  gst_video_color_range_offsets(info.colorimetry.range, unpacked, offsets, scales);
  std::array<std::array<double, 3>, 3> matrix = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  if (GST_VIDEO_FORMAT_INFO_IS_YUV(unpacked)) {
    double kr, kb;
    // Matrices that are unknown or not of a YUV kind are taken for high definition's.
    if (!gst_video_color_matrix_get_Kr_Kb(info.colorimetry.matrix, &kr, &kb))
      gst_video_color_matrix_get_Kr_Kb(GST_VIDEO_COLOR_MATRIX_BT709, &kr, &kb);
    const double kg = 1 - kr - kb;
    const double u = 0.5 / (1 - kb), v = 0.5 / (1 - kr);
    matrix = {{{kr, kg, kb}, {-kr * u, -kg * u, 0.5}, {0.5, -kg * v, -kb * v}}};
  }
  for (int c = 0; c < 3; ++c) {
    offset_[c] = offsets[c];
    for (int i = 0; i < 3; ++i) weights_[c][i] = matrix[c][i] * scales[c] / 255;
  }
}

}  // namespace moondream
