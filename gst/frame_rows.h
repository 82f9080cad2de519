// Reads and writes parts of rows of a mapped frame as the components that its format unpacks to.
#pragma once

#include <gst/video/video.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace moondream {

// 8 or 16: bits of a component of an unpacked pixel, which has four: alpha, then Y, U, V or R, G,
// B.
int unpacked_bits(const GstVideoInfo &info);

// Pixels that a buffer for an unpacked row must have room for: a row's, and some that functions
// which work on several pixels at once may touch.
std::size_t line_pixels(const GstVideoInfo &info);

// Thread-safety: one thread at a time.
class FrameRows {
 public:
  // Borrows `frame`, mapped READWRITE, of a format that has functions to pack and unpack.
  explicit FrameRows(GstVideoFrame *frame);

  int width() const { return GST_VIDEO_FRAME_WIDTH(frame_); }

  // Whether unpack() and pack() may begin at any pixel that begins a chroma sample; else at 0 only,
  // with whole rows.
  bool addressable() const { return addressable_; }

  // Whether row y, of a format whose chroma has half the rows, shares chroma with the next but one
  // of its group of four, for they are of one field; else with the next of its pair. The last two
  // rows of 4n + 2 are a pair: not every frame has a chroma row for each of them.
  bool in_field(int y) const { return interlaced_ && !(y >= height() - 2 && height() % 4 == 2); }

  // Whether an unpacked pixel's alpha means something. Else it may be anything.
  bool has_alpha() const { return has_alpha_; }

  // The least unpacked alpha that is of an opaque pixel: formats with few bits of it may fill the
  // others with zeros.
  std::uint32_t opaque_alpha() const { return opaque_alpha_; }

  // `line` is aligned to eight bytes. Chroma is repeated for all pixels of its sample.
  void unpack(int x, int y, int width, void *line) const;

  // The reverse. A chroma sample is taken from one of its pixels. Of a format with a palette each
  // pixel becomes the nearest of its colours, and pixels that have not changed keep theirs. Rows
  // that are a pair but may be read as of different fields are written for either reader.
  void pack(int x, int y, int width, const void *line) const;

 private:
  using Planes = std::array<gpointer, GST_VIDEO_MAX_PLANES>;
  int height() const { return GST_VIDEO_FRAME_HEIGHT(frame_); }
  GstVideoPackFlags flags_at(int y) const;
  GstVideoPackFlags flags(bool field) const;
  Planes planes_at(int x) const;
  void pack_palette(int y, int width, const void *line) const;

  void unpack_at(const Planes &planes, int y, int width, void *line) const;
  void pack_at(const Planes &planes, GstVideoPackFlags flags, int y, int width,
               const void *line) const;

  GstVideoFrame *frame_;
  bool short_rows_;  // see unpack() in the source file
  bool interlaced_;
  bool spare_row_;  // there is a row of chroma for a last pair in fields
  bool addressable_, has_alpha_;
  std::uint32_t opaque_alpha_;
};

}  // namespace moondream
