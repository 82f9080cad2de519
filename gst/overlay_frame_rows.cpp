#include "overlay_frame_rows.h"

#include <algorithm>
#include <limits>

namespace moondream::overlay {
namespace {

// Bytes from a plane's pixel 0 to pixel x, for component c.
std::ptrdiff_t offset_in_plane(const GstVideoFormatInfo *format, int c, int x) {
  return static_cast<std::ptrdiff_t>(x >> GST_VIDEO_FORMAT_INFO_W_SUB(format, c)) *
         GST_VIDEO_FORMAT_INFO_PSTRIDE(format, c);
}

// Whether a pixel that begins a chroma sample stands at the same whole number of bytes from the
// start of its row for all components of a plane.
bool has_addressable_pixels(const GstVideoFormatInfo *format) {
  if (GST_VIDEO_FORMAT_INFO_IS_COMPLEX(format) || GST_VIDEO_FORMAT_INFO_IS_TILED(format) ||
      GST_VIDEO_FORMAT_INFO_HAS_PALETTE(format))
    return false;
  const int components = GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format);
  int group = 1;
  for (int c = 0; c < components; ++c)
    group = std::max(group, 1 << GST_VIDEO_FORMAT_INFO_W_SUB(format, c));
  std::array<std::ptrdiff_t, GST_VIDEO_MAX_PLANES> bytes = {};
  for (int c = 0; c < components; ++c) {
    const std::ptrdiff_t offset = offset_in_plane(format, c, group);
    std::ptrdiff_t &of_plane = bytes[GST_VIDEO_FORMAT_INFO_PLANE(format, c)];
    if (offset <= 0 || (of_plane != 0 && of_plane != offset)) return false;
    of_plane = offset;
  }
  return true;
}

// See FrameRows::opaque_alpha().
std::uint32_t least_opaque_alpha(const GstVideoInfo &info) {
  const int unpacked = unpacked_bits(info);
  int bits = unpacked;
  if (GST_VIDEO_FORMAT_INFO_N_COMPONENTS(info.finfo) == 4)
    bits = std::min<int>(bits, GST_VIDEO_FORMAT_INFO_DEPTH(info.finfo, GST_VIDEO_COMP_A));
  return ((1u << bits) - 1) << (unpacked - bits);
}

// See FrameRows::width(). UYVP packs two pixels in five bytes, but a row of n pixels has 2.5 n
// bytes, and GStreamer's functions for it touch the fifth byte of the last pair all the same.
int usable_width(const GstVideoFrame *frame) {
  const int width = GST_VIDEO_FRAME_WIDTH(frame);
  const bool too_short = GST_VIDEO_FRAME_FORMAT(frame) == GST_VIDEO_FORMAT_UYVP &&
                         frame->info.stride[0] < (width + 1) / 2 * 5;
  return too_short ? width - 1 : width;
}

int nearest_colour(const std::uint32_t *palette, std::uint32_t wanted) {
  int nearest = 0, least = std::numeric_limits<int>::max();
  for (int i = 0; i < 256; ++i) {
    int distance = 0;
    for (int shift = 0; shift < 32; shift += 8) {
      const int d =
          static_cast<int>(palette[i] >> shift & 255) - static_cast<int>(wanted >> shift & 255);
      distance += d * d;
    }
    if (distance < least) {
      least = distance;
      nearest = i;
    }
  }
  return nearest;
}

}  // namespace

int unpacked_bits(const GstVideoInfo &info) {
  return GST_VIDEO_FORMAT_INFO_BITS(gst_video_format_get_info(info.finfo->unpack_format));
}

std::size_t line_pixels(const GstVideoInfo &info) {
  return static_cast<std::size_t>(GST_VIDEO_INFO_WIDTH(&info)) / 16 * 16 + 32;
}

FrameRows::FrameRows(GstVideoFrame *frame)
    : frame_(frame),
      width_(usable_width(frame)),
      interlaced_(GST_VIDEO_FRAME_IS_INTERLACED(frame)),
      addressable_(has_addressable_pixels(frame->info.finfo)),
      has_alpha_(GST_VIDEO_FORMAT_INFO_HAS_ALPHA(frame->info.finfo) ||
                 // Not every format with a fourth component is flagged as one with alpha.
                 GST_VIDEO_FORMAT_INFO_N_COMPONENTS(frame->info.finfo) == 4),
      opaque_alpha_(least_opaque_alpha(frame->info)) {}

GstVideoPackFlags FrameRows::flags_at(int y) const {
  unsigned flags = GST_VIDEO_PACK_FLAG_NONE;
  // As GstVideoConverter does: more bits of a full range are made by repeating, else by zeros.
  if (frame_->info.colorimetry.range != GST_VIDEO_COLOR_RANGE_0_255)
    flags |= GST_VIDEO_PACK_FLAG_TRUNCATE_RANGE;
  if (in_field(y)) flags |= GST_VIDEO_PACK_FLAG_INTERLACED;
  return static_cast<GstVideoPackFlags>(flags);
}

FrameRows::Planes FrameRows::planes_at(int x) const {
  const GstVideoFormatInfo *format = frame_->info.finfo;
  Planes planes;
  std::copy(std::begin(frame_->data), std::end(frame_->data), planes.begin());
  if (x == 0) return planes;
  std::array<std::ptrdiff_t, GST_VIDEO_MAX_PLANES> offsets = {};
  for (unsigned c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format); ++c)
    offsets[GST_VIDEO_FORMAT_INFO_PLANE(format, c)] =
        offset_in_plane(format, static_cast<int>(c), x);
  for (std::size_t p = 0; p < planes.size(); ++p)
    planes[p] = static_cast<guint8 *>(planes[p]) + offsets[p];
  return planes;
}

void FrameRows::unpack(int x, int y, int width, void *line) const {
  Planes planes = planes_at(x);
  frame_->info.finfo->unpack_func(frame_->info.finfo, flags_at(y), line, planes.data(),
                                  frame_->info.stride, 0, y, width);
}

void FrameRows::pack(int x, int y, int width, const void *line) const {
  if (GST_VIDEO_FORMAT_INFO_HAS_PALETTE(frame_->info.finfo)) {
    pack_palette(y, width, static_cast<const std::uint32_t *>(line));
    return;
  }
  Planes planes = planes_at(x);
  frame_->info.finfo->pack_func(frame_->info.finfo, flags_at(y), const_cast<void *>(line), 0,
                                planes.data(), frame_->info.stride, frame_->info.chroma_site, y,
                                width);
}

void FrameRows::pack_palette(int y, int width, const void *line) const {
  // 256 colours in the byte order of the machine, A the highest byte.
  const auto *palette = static_cast<const std::uint32_t *>(frame_->data[1]);
  auto *indices = static_cast<guint8 *>(frame_->data[0]) +
                  static_cast<std::ptrdiff_t>(y) * frame_->info.stride[0];
  const auto *pixel = static_cast<const guint8 *>(line);
  // Neighbours are often equal, and a search takes 256 steps.
  std::uint32_t last = 0;
  int nearest = -1;
  for (int x = 0; x < width; ++x, pixel += 4) {
    const std::uint32_t wanted = std::uint32_t{pixel[0]} << 24 | std::uint32_t{pixel[1]} << 16 |
                                 std::uint32_t{pixel[2]} << 8 | pixel[3];
    if (wanted == palette[indices[x]]) continue;
    if (nearest < 0 || wanted != last) {
      nearest = nearest_colour(palette, wanted);
      last = wanted;
    }
    indices[x] = static_cast<guint8>(nearest);
  }
}

}  // namespace moondream::overlay
