// Frames with rows of any length and space between planes, and where each of their samples is.
#pragma once

#include <gst/video/video.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "frame_rows.h"
#include "mapped_frame.h"
#include "pointers.h"

namespace moondream::test {

using Random = std::mt19937;

inline int between(Random &random, int least, int most) {
  return std::uniform_int_distribution<int>(least, most)(random);
}

// Whether a component's samples stand in one or two bytes of their own.
inline bool has_plain_samples(const GstVideoFormatInfo *format) {
  if (GST_VIDEO_FORMAT_INFO_IS_COMPLEX(format) || GST_VIDEO_FORMAT_INFO_IS_TILED(format) ||
      GST_VIDEO_FORMAT_INFO_HAS_PALETTE(format))
    return false;
  for (guint c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format); ++c) {
    if (GST_VIDEO_FORMAT_INFO_PSTRIDE(format, c) <= 0) return false;
    for (guint other = 0; other < c; ++other)
      if (GST_VIDEO_FORMAT_INFO_PLANE(format, c) == GST_VIDEO_FORMAT_INFO_PLANE(format, other) &&
          GST_VIDEO_FORMAT_INFO_POFFSET(format, c) == GST_VIDEO_FORMAT_INFO_POFFSET(format, other))
        return false;
  }
  return true;
}

// A buffer of random bytes with a GstVideoMeta that describes a frame in it. Where the format
// allows it, rows are longer than they need to be and planes are apart, by random amounts.
class PaddedFrame {
 public:
  PaddedFrame(const GstVideoInfo &info, Random &random) : info_(info) {
    gsize offsets[GST_VIDEO_MAX_PLANES] = {};
    gint strides[GST_VIDEO_MAX_PLANES] = {};
    const int unit = GST_VIDEO_FORMAT_INFO_IS_COMPLEX(info.finfo) ? 16 : 2;
    const bool fixed = GST_VIDEO_FORMAT_INFO_IS_TILED(info.finfo) || between(random, 0, 3) == 0;
    gsize end = fixed ? 0 : static_cast<gsize>(unit * between(random, 0, 3));
    for (guint p = 0; p < GST_VIDEO_INFO_N_PLANES(&info); ++p) {
      const gsize next = p + 1 < GST_VIDEO_INFO_N_PLANES(&info) ? info.offset[p + 1] : info.size;
      const gsize size = next - info.offset[p];
      const auto stride = static_cast<gsize>(info.stride[p]);
      const bool palette = GST_VIDEO_FORMAT_INFO_HAS_PALETTE(info.finfo) && p == 1;
      const gsize more = fixed || palette ? 0 : static_cast<gsize>(unit * between(random, 0, 9));
      offsets[p] = end;
      strides[p] = static_cast<gint>(stride + more);
      end += palette || stride == 0 ? size : (size + stride - 1) / stride * (stride + more);
      if (!fixed) end += static_cast<gsize>(unit * between(random, 0, 5));
    }
    buffer_.reset(gst_buffer_new_allocate(nullptr, end, nullptr));
    std::vector<std::uint8_t> bytes(end);
    for (std::uint8_t &byte : bytes) byte = static_cast<std::uint8_t>(random());
    gst_buffer_fill(buffer_.get(), 0, bytes.data(), bytes.size());
    gst_buffer_add_video_meta_full(buffer_.get(), GST_VIDEO_FRAME_FLAG_NONE,
                                   GST_VIDEO_INFO_FORMAT(&info),
                                   static_cast<guint>(GST_VIDEO_INFO_WIDTH(&info)),
                                   static_cast<guint>(GST_VIDEO_INFO_HEIGHT(&info)),
                                   GST_VIDEO_INFO_N_PLANES(&info), offsets, strides);
    frame_.emplace(info_, buffer_.get(), GST_MAP_READWRITE);
  }

  GstVideoFrame *get() { return frame_->get(); }
  const GstVideoInfo &info() const { return info_; }
  const GstVideoFormatInfo *format() const { return info_.finfo; }

  // All of the buffer's memory.
  std::span<std::uint8_t> memory() {
    return {static_cast<std::uint8_t *>(get()->map[0].data), get()->map[0].size};
  }

  // Where in memory() sample (x, y) of component c is, of formats with plain samples.
  std::size_t place(guint c, int x, int y) {
    const guint8 *row = static_cast<guint8 *>(GST_VIDEO_FRAME_COMP_DATA(get(), c)) +
                        static_cast<std::ptrdiff_t>(y) * GST_VIDEO_FRAME_COMP_STRIDE(get(), c);
    // GStreamer says that V of P010 and its kind is one byte from U; it means one sample.
    if (GST_VIDEO_FRAME_COMP_POFFSET(get(), c) % sample_bytes() != 0) ++row;
    return static_cast<std::size_t>(row - memory().data()) +
           static_cast<std::size_t>(x) * GST_VIDEO_FRAME_COMP_PSTRIDE(get(), c);
  }
  int sample_bytes() const { return GST_VIDEO_FORMAT_INFO_DEPTH(info_.finfo, 0) > 8 ? 2 : 1; }

  // The number that stands at a place, of formats with plain samples.
  std::uint32_t sample_at(std::size_t place) {
    const std::uint8_t *p = memory().data() + place;
    if (sample_bytes() == 1) return *p;
    return GST_VIDEO_FORMAT_INFO_IS_LE(format()) ? GST_READ_UINT16_LE(p) : GST_READ_UINT16_BE(p);
  }
  std::uint32_t sample(guint c, int x, int y) { return sample_at(place(c, x, y)); }

 private:
  GstVideoInfo info_;
  BufferPtr buffer_;
  std::optional<MappedFrame> frame_;
};

// The pixels as the format unpacks them: four components each, of 8 or 16 bits.
inline std::vector<std::uint16_t> unpacked(GstVideoFrame *frame) {
  const FrameRows rows(frame);
  const bool wide = unpacked_bits(frame->info) == 16;
  std::vector<std::uint16_t> pixels;
  std::vector<std::uint64_t> line(line_pixels(frame->info));
  for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT(frame); ++y) {
    rows.unpack(0, y, rows.width(), line.data());
    for (int i = 0; i < 4 * rows.width(); ++i)
      pixels.push_back(wide ? reinterpret_cast<const std::uint16_t *>(line.data())[i]
                            : reinterpret_cast<const guint8 *>(line.data())[i]);
  }
  return pixels;
}

}  // namespace moondream::test
