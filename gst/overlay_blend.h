// Puts layers on mapped video frames of any raw format.
//
// Layers are flattened once into runs of pixels in the components and depth that the format unpacks
// to (AYUV, ARGB or their 16-bit kinds; the frame's own matrix and range). Drawing them on a frame
// then unpacks only what they cover, blends, and packs it again, so its cost is that of the covered
// area; formats whose pixels cannot be addressed one by one (v210, tiles) take whole rows.
// gst_video_overlay_composition_blend() does not serve: it takes whole rows of the frame once for
// every rectangle, drops the colour of rows that lie between two chroma rows, and replaces
// palettes.
//
// A sample of chroma that belongs to several pixels gets the mean of what they would have. Pixels
// of which no such sample is covered keep their bits. A palette is kept: pixels become the nearest
// of its colours.
#pragma once

#include <gst/video/video.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "overlay_layer.h"

namespace moondream {
class FrameRows;
}

namespace moondream::overlay {

// Layers made ready for frames of one GstVideoInfo.
// Thread-safety: one thread at a time, for blend() uses line buffers of the object.
class BlendPlan {
 public:
  BlendPlan() = default;  // of nothing

  // `layers`, bottom first, on frames of `info`, which has a format that GstVideoConverter can both
  // read and write.
  BlendPlan(std::span<const Layer> layers, const GstVideoInfo &info);

  // `frame` is of the constructor's `info` but for strides and offsets, and mapped READWRITE.
  void blend(GstVideoFrame *frame) noexcept;

  // True if blend() does nothing.
  bool empty() const { return blocks_.empty(); }

 private:
  // Pixels [x, x + width) of the rows of a block. Their values stand row by row from `offset` on.
  struct Run {
    int x, width;
    std::size_t offset;  // in pixels
  };
  // Rows that share no chroma sample with other rows, and the runs on them from left to right.
  struct Block {
    int y, rows;
    std::vector<Run> runs;
  };

  void flatten(std::span<const Layer> layers, const GstVideoInfo &info, int block_rows,
               std::vector<std::uint32_t> *argb);
  std::vector<Run> runs_of(std::span<const Layer *const> layers, int width) const;
  template <typename T>
  void blend(GstVideoFrame *frame, const std::vector<T> &pixels);
  template <typename T>
  void blend_run(const Run &run, const T *source, std::span<T *const> rows,
                 const FrameRows &frame_rows, bool fields) const;

  int group_columns_ = 1, group_rows_ = 1;  // pixels of one chroma sample
  std::vector<Block> blocks_;
  // Premultiplied A, C1, C2, C3 of each pixel, as deep as the format unpacks.
  std::variant<std::vector<std::uint8_t>, std::vector<std::uint16_t>> pixels_;
  std::vector<std::byte> lines_;  // unpacked rows of a block
};

}  // namespace moondream::overlay
