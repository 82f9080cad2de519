// Video frames for the tests of what is drawn on them.
#pragma once

#include <gst/video/video.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "writable_formats.h"

namespace moondream::test {

// Every raw format of the GStreamer that this runs on. Starts GStreamer, for the names of tests are
// wanted before main() does.
inline std::vector<GstVideoFormat> all_formats() {
  gst_init(nullptr, nullptr);
  GstCaps *caps = gst_caps_from_string(GST_VIDEO_CAPS_MAKE(GST_VIDEO_FORMATS_ALL));
  const GValue *list = gst_structure_get_value(gst_caps_get_structure(caps, 0), "format");
  std::vector<GstVideoFormat> formats;
  for (guint i = 0; i < gst_value_list_get_size(list); ++i)
    formats.push_back(
        gst_video_format_from_string(g_value_get_string(gst_value_list_get_value(list, i))));
  gst_caps_unref(caps);
  return formats;
}

// Those that elements write, as their pad templates list them.
inline std::vector<GstVideoFormat> writable_formats() {
  std::vector<GstVideoFormat> formats = all_formats();
  std::erase_if(formats, [](GstVideoFormat format) { return !can_write(format); });
  return formats;
}

inline GstVideoInfo info_of(GstVideoFormat format, int width, int height) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, format, width, height);
  return info;
}

// A mapped frame with a guard behind its memory, for libraries that sanitizers do not look into.
class Frame {
 public:
  explicit Frame(const GstVideoInfo &info)
      : info_(info), memory_(std::make_unique<guint8[]>(info.size + kGuardSize)) {
    reset_guard();
    buffer_ = gst_buffer_new_wrapped_full(static_cast<GstMemoryFlags>(0), memory_.get(), info.size,
                                          0, info.size, nullptr, nullptr);
    gst_video_frame_map(&frame_, &info_, buffer_, GST_MAP_READWRITE);
  }
  ~Frame() {
    gst_video_frame_unmap(&frame_);
    gst_buffer_unref(buffer_);
  }
  Frame(const Frame &) = delete;
  Frame &operator=(const Frame &) = delete;

  GstVideoFrame *get() { return &frame_; }
  const GstVideoInfo &info() const { return info_; }
  guint8 *plane(int p) { return static_cast<guint8 *>(frame_.data[p]); }
  int stride(int p) const { return frame_.info.stride[p]; }

  // Whether nothing has written behind the frame since the last conversion.
  bool guard_is_intact() const {
    const guint8 *end = memory_.get() + info_.size;
    return std::all_of(end, end + kGuardSize, [](guint8 byte) { return byte == kGuard; });
  }

  // Fills the frame from one of another format, without dithering.
  void convert_from(Frame *source) {
    GstVideoConverter *converter = gst_video_converter_new(
        &source->info_, &info_,
        gst_structure_new("options", GST_VIDEO_CONVERTER_OPT_DITHER_METHOD,
                          GST_TYPE_VIDEO_DITHER_METHOD, GST_VIDEO_DITHER_NONE, nullptr));
    gst_video_converter_frame(converter, &source->frame_, &frame_);
    gst_video_converter_free(converter);
    reset_guard();
  }

  // The pixels as the format unpacks them, in 16 bits: alpha and three components each.
  std::vector<std::uint16_t> unpacked() {
    const GstVideoFormatInfo *format = info_.finfo;
    const int width = GST_VIDEO_INFO_WIDTH(&info_), height = GST_VIDEO_INFO_HEIGHT(&info_);
    const bool wide =
        GST_VIDEO_FORMAT_INFO_BITS(gst_video_format_get_info(format->unpack_format)) == 16;
    std::vector<std::uint16_t> pixels;
    std::vector<std::uint64_t> line(width + 32);
    for (int y = 0; y < height; ++y) {
      format->unpack_func(format,
                          GST_VIDEO_INFO_IS_INTERLACED(&info_) ? GST_VIDEO_PACK_FLAG_INTERLACED
                                                               : GST_VIDEO_PACK_FLAG_NONE,
                          line.data(), frame_.data, frame_.info.stride, 0, y, width);
      for (int i = 0; i < 4 * width; ++i)
        pixels.push_back(wide ? reinterpret_cast<const std::uint16_t *>(line.data())[i]
                              : reinterpret_cast<const guint8 *>(line.data())[i] * 257);
    }
    return pixels;
  }

 private:
  static constexpr std::size_t kGuardSize = 256;
  static constexpr guint8 kGuard = 0xa5;

  void reset_guard() { std::fill_n(memory_.get() + info_.size, kGuardSize, kGuard); }

  GstVideoInfo info_;
  std::unique_ptr<guint8[]> memory_;
  GstBuffer *buffer_;
  GstVideoFrame frame_;
};

// An ARGB frame of pixels 0xAARRGGBB.
inline std::unique_ptr<Frame> argb_frame(
    int width, int height, auto pixel_at,
    GstVideoInterlaceMode mode = GST_VIDEO_INTERLACE_MODE_PROGRESSIVE) {
  GstVideoInfo info;
  gst_video_info_set_interlaced_format(&info, GST_VIDEO_FORMAT_ARGB, mode, width, height);
  auto frame = std::make_unique<Frame>(info);
  for (int y = 0; y < height; ++y) {
    guint8 *p = frame->plane(0) + y * frame->stride(0);
    for (int x = 0; x < width; ++x, p += 4) GST_WRITE_UINT32_BE(p, pixel_at(x, y));
  }
  return frame;
}

}  // namespace moondream::test
