#include "redact_planes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "frame_colour.h"
#include "frame_rows.h"
#include "gstmoondreamerror.h"
#include "mapped_frame.h"
#include "pointers.h"
#include "redact_cells.h"
#include "redact_samples.h"
#include "writable_formats.h"

namespace moondream::redact {
namespace {

// A few pixels of one opaque colour, in any format that is unpacked to T. Packed by GStreamer's own
// function, so that no format's layout is written down a second time.
template <typename T>
BufferPtr make_swatch_frame(const GstVideoInfo &info, const std::array<T, 4> &colour) {
  BufferPtr buffer(gst_buffer_new_allocate(nullptr, info.size, nullptr));
  gst_buffer_memset(buffer.get(), 0, 0, info.size);
  MappedFrame frame(info, buffer.get(), GST_MAP_READWRITE);
  const FrameRows rows(frame.get());
  std::vector<std::uint64_t> line(line_pixels(info));
  auto *pixels = reinterpret_cast<T *>(line.data());
  for (int x = 0; x < rows.width(); ++x) std::copy(colour.begin(), colour.end(), pixels + 4 * x);
  for (int y = 0; y < GST_VIDEO_INFO_HEIGHT(&info); ++y) rows.pack(0, y, rows.width(), pixels);
  return buffer;
}

template <typename T>
std::vector<std::uint16_t> unpacked_group(const Sheet &sheet, const std::array<T, 4> &colour) {
  std::vector<std::uint16_t> group;
  for (int s = 0; s < sheet.samples; ++s) group.push_back(colour[sheet.sample[s].channel]);
  return group;
}

}  // namespace

PlaneWriter::PlaneWriter(const GstVideoInfo &info) : info_(info), layout_(info) {
  if (!can_write(GST_VIDEO_INFO_FORMAT(&info)))
    throw FrameError("Frames of " + describe(info) + " cannot be written safely.");
}

Region PlaneWriter::grown(const Region &region) const {
  const Footprint print = footprint_of(region, layout_.grid);
  const GroupGrid &grid = layout_.grid;
  return {.x_min = print.x * grid.columns,
          .y_min = print.y * grid.rows,
          .x_max = std::min((print.x + print.columns) * grid.columns, grid.width),
          .y_max = std::min((print.y + print.rows()) * grid.rows, grid.height),
          .shape = region.shape};
}

void PlaneWriter::write(GstVideoFrame *frame, const Footprint &print,
                        const MakePainter &make_painter) {
  const int sample_bytes = bytes_of(layout_.kind);
  for (const Sheet &sheet : layout_.sheets) {
    SheetRows rows(frame, layout_, sheet, print, &scratch_);
    const std::unique_ptr<RowPainter> painter = make_painter(sheet, &rows);
    const int samples_left = sheet.row_samples - print.x * sheet.samples;
    for (int group_row = 0; group_row < print.rows(); ++group_row) {
      const Footprint::Span &span = print.spans[group_row];
      if (span.begin >= span.end) continue;
      const int begin = span.begin * sheet.samples;
      const int end = std::min(span.end * sheet.samples, samples_left);
      for (int row = 0; row < sheet.rows; ++row) {
        const int y = (print.y + group_row) * sheet.rows + row;
        if (y >= rows.height()) break;
        const std::uint8_t *paint = painter->row(group_row, row);
        std::uint8_t *target = rows.load(y, span);
        std::memcpy(target + begin * sample_bytes, paint + begin * sample_bytes,
                    static_cast<std::size_t>(end - begin) * sample_bytes);
        rows.store(y, span);
      }
    }
  }
}

// ---- Solid -----------------------------------------------------------------------------------

void PlaneWriter::make_swatch(std::uint32_t rgb) {
  if (!swatch_.empty() && rgb == swatch_rgb_) return;
  swatch_.clear();
  swatch_rgb_ = rgb;
  const std::uint32_t opaque = rgb | 0xff000000u;
  const FrameColour colour(info_);
  const bool bytes = unpacked_bits(info_) == 8;
  if (!layout_.direct) {
    const Sheet &sheet = layout_.sheets[0];
    swatch_.push_back(bytes ? unpacked_group(sheet, colour.unpacked<std::uint8_t>(opaque))
                            : unpacked_group(sheet, colour.unpacked<std::uint16_t>(opaque)));
    return;
  }
  GstVideoInfo info;
  gst_video_info_set_format(&info, GST_VIDEO_INFO_FORMAT(&info_),
                            static_cast<guint>(layout_.grid.columns),
                            static_cast<guint>(layout_.grid.rows));
  info.colorimetry = info_.colorimetry;
  info.chroma_site = info_.chroma_site;
  const BufferPtr buffer = bytes ? make_swatch_frame(info, colour.unpacked<std::uint8_t>(opaque))
                                 : make_swatch_frame(info, colour.unpacked<std::uint16_t>(opaque));
  MappedFrame frame(info, buffer.get(), GST_MAP_READ);
  for (const Sheet &sheet : layout_.sheets) {
    const auto *row = static_cast<const std::uint8_t *>(frame.get()->data[sheet.plane]);
    std::vector<std::uint16_t> group;
    with_samples(layout_.kind, [&](auto kind) {
      for (int s = 0; s < sheet.samples; ++s) group.push_back(decltype(kind)::load(row, s));
    });
    swatch_.push_back(std::move(group));
  }
}

void PlaneWriter::fill(GstVideoFrame *frame, const Region &region, std::uint32_t rgb) {
  const Footprint print = footprint_of(region, layout_.grid);
  if (print.empty()) return;
  make_swatch(rgb);
  write(frame, print, [&](const Sheet &sheet, SheetRows *) {
    return paint_solid(layout_, sheet, print, swatch_[&sheet - layout_.sheets.data()]);
  });
}

void PlaneWriter::cover(GstVideoFrame *frame, std::uint32_t rgb) {
  fill(frame, {.x_max = layout_.grid.width, .y_max = layout_.grid.height}, rgb);
}

// ---- Cells -----------------------------------------------------------------------------------

void PlaneWriter::pixelate(GstVideoFrame *frame, const Region &region, int side) {
  const Footprint print = footprint_of(region, layout_.grid);
  if (print.empty()) return;
  const CellGrid cells(print, layout_.grid, side);
  write(frame, print, [&](const Sheet &sheet, SheetRows *rows) {
    return paint_mosaic(layout_, sheet, print, cells,
                        CellMeans(cells, layout_, sheet, print, rows));
  });
}

void PlaneWriter::blur(GstVideoFrame *frame, const Region &region, int side) {
  const Footprint print = footprint_of(region, layout_.grid);
  if (print.empty()) return;
  const CellGrid cells(print, layout_.grid, side);
  write(frame, print, [&](const Sheet &sheet, SheetRows *rows) {
    CellMeans means(cells, layout_, sheet, print, rows);
    means.smooth();
    return paint_smooth(layout_, sheet, print, cells, std::move(means));
  });
}

}  // namespace moondream::redact
