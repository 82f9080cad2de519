#include "overlay_blend.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "frame_colour.h"
#include "frame_rows.h"
#include "overlay_pixels.h"

namespace moondream::overlay {
namespace {

// Of a frame in fields: the rows of a chroma sample of each.
constexpr std::size_t kMaxBlockRows = 2 * kMaxGroupRows;

constexpr int round_down(int value, int step) { return value - value % step; }
constexpr int round_up(int value, int step) { return round_down(value + step - 1, step); }

// `source` over `target`, both premultiplied ARGB.
std::uint32_t over(std::uint32_t source, std::uint32_t target) {
  const std::uint32_t rest = 255 - (source >> 24);
  if (rest == 0 || target == 0) return source;
  std::uint32_t result = 0;
  for (int shift = 0; shift < 32; shift += 8) {
    const std::uint32_t sum =
        (source >> shift & 255) + multiply<std::uint8_t>(target >> shift & 255, rest);
    result |= std::min(sum, 255u) << shift;
  }
  return result;
}

template <typename T>
std::vector<T> transformed(const std::vector<std::uint32_t> &argb, const GstVideoInfo &info) {
  const FrameColour colour(info);
  std::vector<T> out(argb.size() * 4);
  // Most pixels are as the one before.
  std::uint32_t last = 0;
  std::array<T, 4> value = {};
  T *p = out.data();
  for (const std::uint32_t pixel : argb) {
    if (pixel != last) value = colour.unpacked<T>(last = pixel);
    p = std::copy(value.begin(), value.end(), p);
  }
  return out;
}

}  // namespace

BlendPlan::BlendPlan(std::span<const Layer> layers, const GstVideoInfo &info) {
  group_columns_ = 1 << GST_VIDEO_FORMAT_INFO_W_SUB(info.finfo, GST_VIDEO_COMP_U);
  group_rows_ = 1 << GST_VIDEO_FORMAT_INFO_H_SUB(info.finfo, GST_VIDEO_COMP_U);
  // Fields have chroma rows of their own: two of each field are four of the frame.
  const int block_rows = GST_VIDEO_INFO_IS_INTERLACED(&info) ? 2 * group_rows_ : group_rows_;
  std::vector<std::uint32_t> argb;
  flatten(layers, info, block_rows, &argb);
  if (unpacked_bits(info) == 8)
    pixels_ = transformed<std::uint8_t>(argb, info);
  else
    pixels_ = transformed<std::uint16_t>(argb, info);
  lines_.resize(kMaxBlockRows * line_pixels(info) * 4 * unpacked_bits(info) / 8);
}

void BlendPlan::flatten(std::span<const Layer> layers, const GstVideoInfo &info, int block_rows,
                        std::vector<std::uint32_t> *argb) {
  const int width = GST_VIDEO_INFO_WIDTH(&info), height = GST_VIDEO_INFO_HEIGHT(&info);
  std::vector<const Layer *> here;  // those that reach into a block
  for (int y = 0; y < height; y += block_rows) {
    const int rows = std::min(block_rows, height - y);
    here.clear();
    for (const Layer &layer : layers)
      if (layer.y < y + rows && y < layer.y + layer.bitmap->height && layer.x < width &&
          layer.x + layer.bitmap->width > 0)
        here.push_back(&layer);
    if (here.empty()) continue;

    Block block = {.y = y, .rows = rows, .runs = runs_of(here, width)};
    for (Run &run : block.runs) {
      run.offset = argb->size();
      argb->resize(run.offset + static_cast<std::size_t>(run.width) * rows);
    }
    for (const Layer *layer : here) {
      // A layer lies within one run: the last that begins at or before its first column.
      const int x_min = std::max(0, layer->x);
      const int x_max = std::min(width, layer->x + layer->bitmap->width);
      const Run &run =
          *std::prev(std::upper_bound(block.runs.begin(), block.runs.end(), x_min,
                                      [](int x, const Run &candidate) { return x < candidate.x; }));
      const int y_max = std::min(y + rows, layer->y + layer->bitmap->height);
      for (int row = std::max(y, layer->y); row < y_max; ++row) {
        const std::uint32_t *source =
            layer->bitmap->pixels.data() +
            static_cast<std::size_t>(row - layer->y) * layer->bitmap->width + (x_min - layer->x);
        std::uint32_t *target = argb->data() + run.offset +
                                static_cast<std::size_t>(row - y) * run.width + (x_min - run.x);
        std::transform(source, source + (x_max - x_min), target, target, over);
      }
    }
    blocks_.push_back(std::move(block));
  }
}

// The columns that `layers` cover, in whole chroma samples, as runs that do not touch.
std::vector<BlendPlan::Run> BlendPlan::runs_of(std::span<const Layer *const> layers,
                                               int width) const {
  std::vector<Run> intervals;
  for (const Layer *layer : layers) {
    const int x = round_down(std::max(0, layer->x), group_columns_);
    const int end = std::min(width, round_up(layer->x + layer->bitmap->width, group_columns_));
    intervals.push_back({.x = x, .width = end - x, .offset = 0});
  }
  std::sort(intervals.begin(), intervals.end(),
            [](const Run &a, const Run &b) { return a.x < b.x; });
  std::vector<Run> runs;
  for (const Run &interval : intervals) {
    if (runs.empty() || interval.x > runs.back().x + runs.back().width)
      runs.push_back(interval);
    else
      runs.back().width = std::max(runs.back().width, interval.x + interval.width - runs.back().x);
  }
  return runs;
}

void BlendPlan::blend(GstVideoFrame *frame) noexcept {
  std::visit([&](const auto &pixels) { blend(frame, pixels); }, pixels_);
}

template <typename T>
void BlendPlan::blend(GstVideoFrame *frame, const std::vector<T> &pixels) {
  const FrameRows frame_rows(frame);
  const std::size_t line_size = 4 * line_pixels(frame->info);
  std::array<T *, kMaxBlockRows> lines, rows_of_run;
  for (std::size_t i = 0; i < lines.size(); ++i)
    lines[i] = reinterpret_cast<T *>(lines_.data()) + i * line_size;

  for (const Block &block : blocks_) {
    const bool fields = group_rows_ == 2 && frame_rows.in_field(block.y);
    const auto blend_range = [&](int x, int width, std::span<const Run> runs) {
      for (int row = 0; row < block.rows; ++row)
        frame_rows.unpack(x, block.y + row, width, lines[row]);
      for (const Run &run : runs) {
        for (int row = 0; row < block.rows; ++row) rows_of_run[row] = lines[row] + 4 * (run.x - x);
        blend_run<T>(run, pixels.data() + 4 * run.offset,
                     std::span(rows_of_run.data(), static_cast<std::size_t>(block.rows)),
                     frame_rows, fields);
      }
      for (int row = 0; row < block.rows; ++row)
        frame_rows.pack(x, block.y + row, width, lines[row]);
    };
    if (frame_rows.addressable())
      for (const Run &run : block.runs) blend_range(run.x, run.width, {&run, 1});
    else
      blend_range(0, frame_rows.width(), block.runs);
  }
}

template <typename T>
void BlendPlan::blend_run(const Run &run, const T *source, std::span<T *const> rows,
                          const FrameRows &frame_rows, bool fields) const {
  std::array<const T *, kMaxBlockRows> sources;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    sources[row] = source + 4 * row * run.width;
    if (frame_rows.has_alpha())
      blend_over_alpha(sources[row], rows[row], run.width, frame_rows.opaque_alpha());
    else
      blend_over_opaque(sources[row], rows[row], run.width);
  }
  if (group_columns_ * group_rows_ == 1) return;

  // Rows of a group: neighbours, or of one field.
  const std::size_t step = fields ? 2 : 1;
  for (std::size_t first = 0; first < rows.size(); ++first) {
    if (fields ? first >= step : first % group_rows_ != 0) continue;
    std::array<const T *, kMaxGroupRows> group_sources;
    std::array<T *, kMaxGroupRows> group;
    int count = 0;
    for (std::size_t row = first; row < rows.size() && row < first + step * group_rows_;
         row += step) {
      group_sources[count] = sources[row];
      group[count++] = rows[row];
    }
    average_chroma<T>(group_sources.data(), group.data(), count, run.width, group_columns_);
  }
}

}  // namespace moondream::overlay
