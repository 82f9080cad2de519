// Destroys what regions of a video frame show, in the frame's own planes.
//
// A region is grown to whole groups: the smallest blocks of pixels that share no sample with others
// (2x2 pixels in 4:2:0). Nothing outside of those is written. Inside of them nothing is left of the
// picture but, for pixelate() and blur(), means of cells of a known size.
//
// Formats whose samples stand in bytes or words of their own are written where they are; the few
// others (v210, UYVP, tiles, palettes, 5-6-5 and 10-10-10 bits) are unpacked and packed row by row,
// which costs several times as much.
#pragma once

#include <gst/video/video.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "redact_layout.h"
#include "redact_painters.h"
#include "redact_region.h"

namespace moondream::redact {

// Writes to frames of one GstVideoInfo. All frames are mapped READWRITE by MappedFrame with that
// info, which has checked that their memory is as large as it should be.
// Thread-safety: one thread at a time; it keeps scratch memory.
class PlaneWriter {
 public:
  // Throws FrameError if can_write() is false for the format.
  explicit PlaneWriter(const GstVideoInfo &info);

  // `rgb`: 0xRRGGBB, shown with the frame's matrix and range. Opaque where the format has alpha. A
  // palette is kept, and the nearest of its colours taken.
  void fill(GstVideoFrame *frame, const Region &region, std::uint32_t rgb);
  // The whole frame.
  void cover(GstVideoFrame *frame, std::uint32_t rgb);

  // Cells of at least `side` pixels (>= 1) become their mean, alpha too. No cell is a part of one:
  // they divide the box around the region evenly.
  void pixelate(GstVideoFrame *frame, const Region &region, int side);

  // The means of such cells, each mixed with its neighbours by three passes of weights 1, 2, 1,
  // with smooth transitions: like a Gaussian of a deviation of 1.3 sides. Pixels outside of the box
  // around the region have no part in it.
  void blur(GstVideoFrame *frame, const Region &region, int side);

  // What a region is grown to, pixels: the box around it.
  Region grown(const Region &region) const;

 private:
  using MakePainter = std::function<std::unique_ptr<RowPainter>(const Sheet &, SheetRows *)>;
  void write(GstVideoFrame *frame, const Footprint &print, const MakePainter &make_painter);
  void make_swatch(std::uint32_t rgb);

  const GstVideoInfo info_;
  const FrameLayout layout_;
  std::vector<std::uint64_t> scratch_;
  std::uint32_t swatch_rgb_ = 0;
  // Of each sheet, a group of that colour.
  std::vector<std::vector<std::uint16_t>> swatch_;  // empty until it is needed
};

}  // namespace moondream::redact
