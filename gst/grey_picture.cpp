#include "grey_picture.h"

#include <algorithm>

#include "gstmoondreamerror.h"
#include "mapped_frame.h"

namespace moondream {
namespace {

// Whether brightness is in bytes of plane 0, one or three of them at a regular distance.
bool is_readable(const GstVideoInfo &info) {
  const GstVideoFormatInfo *format = info.finfo;
  if (GST_VIDEO_FORMAT_INFO_IS_COMPLEX(format) || GST_VIDEO_FORMAT_INFO_IS_TILED(format) ||
      GST_VIDEO_FORMAT_INFO_HAS_PALETTE(format)) {
    return false;
  }
  const bool rgb = GST_VIDEO_FORMAT_INFO_IS_RGB(format);
  if (!rgb && !GST_VIDEO_FORMAT_INFO_IS_YUV(format) && !GST_VIDEO_FORMAT_INFO_IS_GRAY(format)) {
    return false;
  }
  for (guint component = 0; component < (rgb ? 3u : 1u); ++component) {
    if (GST_VIDEO_FORMAT_INFO_DEPTH(format, component) != 8 ||
        GST_VIDEO_FORMAT_INFO_SHIFT(format, component) != 0 ||
        GST_VIDEO_FORMAT_INFO_PLANE(format, component) != 0 ||
        GST_VIDEO_FORMAT_INFO_W_SUB(format, component) != 0 ||
        GST_VIDEO_FORMAT_INFO_H_SUB(format, component) != 0 ||
        GST_VIDEO_FORMAT_INFO_PSTRIDE(format, component) < 1) {
      return false;
    }
  }
  return true;
}

}  // namespace

GreyPicture::GreyPicture(const GstVideoInfo &info) : info_(info) {
  const int width = GST_VIDEO_INFO_WIDTH(&info), height = GST_VIDEO_INFO_HEIGHT(&info);
  square_ = (std::max(width, height) + kMaxSize - 1) / kMaxSize;
  // A frame may be far wider than high.
  size_ = {std::max(width / square_, 1), std::max(height / square_, 1)};
  if (is_readable(info)) return;
  gst_video_info_set_interlaced_format(&grey_, GST_VIDEO_FORMAT_GRAY8,
                                       GST_VIDEO_INFO_INTERLACE_MODE(&info),
                                       static_cast<guint>(width), static_cast<guint>(height));
  // The converter refuses two infos that differ in these.
  grey_.fps_n = info.fps_n;
  grey_.fps_d = info.fps_d;
  converter_.reset(gst_video_converter_new(&info_, &grey_, nullptr));
  if (!converter_) throw FrameError("GStreamer cannot convert " + describe(info) + " to grey.");
  converted_.reset(gst_buffer_new_allocate(nullptr, grey_.size, nullptr));
}

cv::Mat GreyPicture::of(GstBuffer *buffer) {
  MappedFrame frame(info_, buffer, GST_MAP_READ);
  if (!converter_) return reduce(*frame.get());
  MappedFrame grey(grey_, converted_.get(), GST_MAP_READWRITE);
  gst_video_converter_frame(converter_.get(), frame.get(), grey.get());
  return reduce(*grey.get());
}

// Sums whole rows first, which the compiler makes vector code of, whatever the bytes are.
cv::Mat GreyPicture::reduce(const GstVideoFrame &frame) {
  const GstVideoFormatInfo *format = frame.info.finfo;
  const bool rgb = GST_VIDEO_FORMAT_INFO_IS_RGB(format);
  const auto *pixels = static_cast<const std::uint8_t *>(GST_VIDEO_FRAME_PLANE_DATA(&frame, 0));
  const auto stride = static_cast<std::size_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0));
  const auto step = static_cast<std::size_t>(GST_VIDEO_FORMAT_INFO_PSTRIDE(format, 0));
  const int frame_width = GST_VIDEO_FRAME_WIDTH(&frame),
            frame_height = GST_VIDEO_FRAME_HEIGHT(&frame);
  // Where a square is wider or higher than the frame, the frame is all that there is of it.
  const int wide = std::min(square_, frame_width);
  // 257 bytes are what 16 bits hold the sum of; no frame is so large that it has higher squares.
  const int high = std::min({square_, frame_height, 257});
  std::size_t offsets[3] = {};
  for (std::size_t i = 0; i < (rgb ? 3u : 1u); ++i) {
    offsets[i] = static_cast<std::size_t>(GST_VIDEO_FORMAT_INFO_POFFSET(format, i));
  }
  const std::size_t last = *std::max_element(offsets, offsets + 3);
  const std::size_t row_bytes = step * static_cast<std::size_t>(size_.width * wide - 1) + last + 1;
  sums_.resize(row_bytes);
  const auto area = static_cast<std::uint32_t>(wide * high);
  cv::Mat small(size_, CV_8U);
  for (int y = 0; y < size_.height; ++y) {
    std::fill(sums_.begin(), sums_.end(), 0);
    for (int i = 0; i < high; ++i) {
      const std::uint8_t *row = pixels + static_cast<std::size_t>(y * high + i) * stride;
      for (std::size_t x = 0; x < row_bytes; ++x)
        sums_[x] = static_cast<std::uint16_t>(sums_[x] + row[x]);
    }
    auto *out = small.ptr<std::uint8_t>(y);
    const std::uint16_t *sum = sums_.data();
    const auto total_at = [&](std::size_t offset) {
      std::uint32_t total = 0;
      for (int i = 0; i < wide; ++i) total += sum[static_cast<std::size_t>(i) * step + offset];
      return total;
    };
    for (int x = 0; x < size_.width; ++x, sum += step * static_cast<std::size_t>(wide)) {
      // Shares of red, green and blue in brightness, of 256; a square has less than 2^16 pixels.
      const std::uint32_t total =
          rgb ? (77 * (total_at(offsets[0]) / area) + 150 * (total_at(offsets[1]) / area) +
                 29 * (total_at(offsets[2]) / area)) /
                    256
              : total_at(offsets[0]) / area;
      out[x] = static_cast<std::uint8_t>(total);
    }
  }
  return small;
}

}  // namespace moondream
