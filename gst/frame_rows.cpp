#include "frame_rows.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "mapped_frame.h"

namespace moondream {
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

// UYVP packs two pixels in five bytes. A row of an odd number of them is half a byte longer than
// its share of a pair, but may end there, while GStreamer's functions touch the whole pair. So the
// last pair of such rows is handled in a copy.
constexpr int kPairBytes = 5;

bool rows_end_within_a_pair(const GstVideoFrame *frame) {
  return GST_VIDEO_FRAME_FORMAT(frame) == GST_VIDEO_FORMAT_UYVP &&
         frame->info.stride[0] < (GST_VIDEO_FRAME_WIDTH(frame) + 1) / 2 * kPairBytes;
}

// What rows of UYVP have of their last pair, if they end within it.
struct CutPair {
  guint8 *bytes;  // in the frame
  int count;
  int pixel;  // its first one's number in the row

  CutPair(const GstVideoFrame *frame, int y) : pixel(GST_VIDEO_FRAME_WIDTH(frame) / 2 * 2) {
    const int offset = pixel / 2 * kPairBytes;
    count = frame->info.stride[0] - offset;
    bytes = static_cast<guint8 *>(frame->data[0]) +
            static_cast<std::ptrdiff_t>(y) * frame->info.stride[0] + offset;
  }
};

// Whether the last two rows of a frame in fields, of height 4n + 2, have a row of chroma each.
bool has_spare_row(const GstVideoFrame *frame) {
  const GstVideoFormatInfo *format = frame->info.finfo;
  if (!GST_VIDEO_FRAME_IS_INTERLACED(frame) || GST_VIDEO_FRAME_HEIGHT(frame) % 4 != 2) return false;
  for (guint c = 1; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format); ++c) {
    if (GST_VIDEO_FORMAT_INFO_H_SUB(format, c) != 1) continue;
    const int rows = GST_VIDEO_FRAME_COMP_HEIGHT(frame, c) + 1;
    // The rows of a tile are an even number.
    if (!GST_VIDEO_FORMAT_INFO_IS_TILED(format) &&
        !has_rows(*frame, static_cast<int>(GST_VIDEO_FORMAT_INFO_PLANE(format, c)), rows))
      return false;
  }
  return GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format) > 1 &&
         GST_VIDEO_FORMAT_INFO_H_SUB(format, 1) == 1;
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
      short_rows_(rows_end_within_a_pair(frame)),
      interlaced_(GST_VIDEO_FRAME_IS_INTERLACED(frame)),
      spare_row_(has_spare_row(frame)),
      addressable_(has_addressable_pixels(frame->info.finfo)),
      has_alpha_(GST_VIDEO_FORMAT_INFO_HAS_ALPHA(frame->info.finfo) ||
                 // Not every format with a fourth component is flagged as one with alpha.
                 GST_VIDEO_FORMAT_INFO_N_COMPONENTS(frame->info.finfo) == 4),
      opaque_alpha_(least_opaque_alpha(frame->info)) {}

GstVideoPackFlags FrameRows::flags_at(int y) const { return flags(in_field(y)); }

GstVideoPackFlags FrameRows::flags(bool field) const {
  unsigned bits = GST_VIDEO_PACK_FLAG_NONE;
  // As GstVideoConverter does: more bits of a full range are made by repeating, else by zeros.
  if (frame_->info.colorimetry.range != GST_VIDEO_COLOR_RANGE_0_255)
    bits |= GST_VIDEO_PACK_FLAG_TRUNCATE_RANGE;
  if (field) bits |= GST_VIDEO_PACK_FLAG_INTERLACED;
  return static_cast<GstVideoPackFlags>(bits);
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

void FrameRows::unpack_at(const Planes &planes, int y, int width, void *line) const {
  Planes copy = planes;
  frame_->info.finfo->unpack_func(frame_->info.finfo, flags_at(y), line, copy.data(),
                                  frame_->info.stride, 0, y, width);
}

void FrameRows::pack_at(const Planes &planes, GstVideoPackFlags flags, int y, int width,
                        const void *line) const {
  Planes copy = planes;
  frame_->info.finfo->pack_func(frame_->info.finfo, flags, const_cast<void *>(line), 0, copy.data(),
                                frame_->info.stride, frame_->info.chroma_site, y, width);
}

void FrameRows::unpack(int x, int y, int width, void *line) const {
  if (!short_rows_) {
    unpack_at(planes_at(x), y, width, line);
    return;
  }
  const CutPair cut(frame_, y);
  std::array<guint8, 8> pair = {};
  std::copy_n(cut.bytes, cut.count, pair.begin());
  unpack_at(planes_at(0), y, cut.pixel, line);
  unpack_at({pair.data()}, 0, 1, static_cast<std::uint16_t *>(line) + 4 * cut.pixel);
}

void FrameRows::pack(int x, int y, int width, const void *line) const {
  if (GST_VIDEO_FORMAT_INFO_HAS_PALETTE(frame_->info.finfo)) {
    pack_palette(y, width, static_cast<const std::uint32_t *>(line));
    return;
  }
  if (!short_rows_) {
    pack_at(planes_at(x), flags_at(y), y, width, line);
    if (spare_row_ && y >= height() - 2) pack_at(planes_at(x), flags(true), y, width, line);
    return;
  }
  const CutPair cut(frame_, y);
  std::array<guint8, 8> pair = {};
  // As wide as a pair, for a function that takes two pixels.
  std::array<std::uint16_t, 8> pixels;
  std::copy_n(static_cast<const std::uint16_t *>(line) + 4 * cut.pixel, 4, pixels.begin());
  std::copy_n(pixels.begin(), 4, pixels.begin() + 4);
  pack_at(planes_at(0), flags_at(y), y, cut.pixel, line);
  pack_at({pair.data()}, flags_at(0), 0, 1, pixels.data());
  std::copy_n(pair.begin(), cut.count, cut.bytes);
}

void FrameRows::pack_palette(int y, int width, const void *line) const {
  // 256 colours in the byte order of the machine, A the highest byte, behind any number of indices.
  std::array<std::uint32_t, 256> palette;
  std::memcpy(palette.data(), frame_->data[1], sizeof palette);
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
      nearest = nearest_colour(palette.data(), wanted);
      last = wanted;
    }
    indices[x] = static_cast<guint8>(nearest);
  }
}

}  // namespace moondream
