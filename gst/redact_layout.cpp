#include "redact_layout.h"

#include <algorithm>

#include "mapped_frame.h"

namespace moondream::redact {
namespace {

constexpr bool kHostIsLittleEndian = G_BYTE_ORDER == G_LITTLE_ENDIAN;

int components(const GstVideoFormatInfo *format) {
  return static_cast<int>(GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format));
}

int plane_of(const GstVideoFormatInfo *format, int c) {
  return static_cast<int>(GST_VIDEO_FORMAT_INFO_PLANE(format, c));
}

// Bytes from a pixel's first to its sample of component c. GStreamer 1.22 gives those of P010 and
// its kind in samples.
int offset_of(const GstVideoFormatInfo *format, int c, int sample_bytes) {
  const int offset = static_cast<int>(GST_VIDEO_FORMAT_INFO_POFFSET(format, c));
  return offset % sample_bytes == 0 ? offset : offset * sample_bytes;
}

// Whether every sample of `format` has one or two bytes of its own, so many for all of them.
bool has_separate_samples(const GstVideoFormatInfo *format, int *sample_bytes) {
  if (GST_VIDEO_FORMAT_INFO_IS_COMPLEX(format) || GST_VIDEO_FORMAT_INFO_IS_TILED(format) ||
      GST_VIDEO_FORMAT_INFO_HAS_PALETTE(format))
    return false;
  *sample_bytes = GST_VIDEO_FORMAT_INFO_DEPTH(format, 0) > 8 ? 2 : 1;
  for (int c = 0; c < components(format); ++c) {
    const int depth = static_cast<int>(GST_VIDEO_FORMAT_INFO_DEPTH(format, c));
    const int stride = GST_VIDEO_FORMAT_INFO_PSTRIDE(format, c);
    if (depth > 16 || (depth + 7) / 8 != *sample_bytes) return false;
    if (stride <= 0 || stride % *sample_bytes != 0) return false;
    // Bits of a byte or word that belong to another component.
    for (int other = 0; other < c; ++other)
      if (plane_of(format, other) == plane_of(format, c) &&
          GST_VIDEO_FORMAT_INFO_POFFSET(format, other) == GST_VIDEO_FORMAT_INFO_POFFSET(format, c))
        return false;
  }
  return true;
}

// `plane` of a format with samples of their own. False if its groups are not what is expected.
bool make_plane(const GstVideoInfo &info, const GroupGrid &grid, int plane, int sample_bytes,
                Sheet *sheet) {
  const GstVideoFormatInfo *format = info.finfo;
  sheet->plane = plane;
  int group_bytes = 0;
  std::array<bool, kMaxGroupSamples> known = {};
  for (int c = 0; c < components(format); ++c) {
    if (plane_of(format, c) != plane) continue;
    const int w_sub = static_cast<int>(GST_VIDEO_FORMAT_INFO_W_SUB(format, c));
    const int h_sub = static_cast<int>(GST_VIDEO_FORMAT_INFO_H_SUB(format, c));
    const int stride = GST_VIDEO_FORMAT_INFO_PSTRIDE(format, c);
    const int offset = offset_of(format, c, sample_bytes);
    const int count = grid.columns >> w_sub;
    if (count == 0 || (group_bytes != 0 && group_bytes != count * stride)) return false;
    group_bytes = count * stride;
    sheet->rows = grid.rows >> h_sub;
    sheet->samples = group_bytes / sample_bytes;
    if (sheet->samples > kMaxGroupSamples) return false;
    const int width = GST_VIDEO_INFO_COMP_WIDTH(&info, c);
    sheet->height = GST_VIDEO_INFO_COMP_HEIGHT(&info, c);
    const bool rounded = GST_VIDEO_INFO_IS_INTERLACED(&info) && h_sub > 0;
    sheet->field_height = rounded ? (sheet->height + 1) / 2 * 2 : sheet->height;
    sheet->row_samples = std::max(sheet->row_samples, width * stride / sample_bytes);
    for (int i = 0; i < count; ++i) {
      const int s = (offset + i * stride) / sample_bytes;
      if (s >= sheet->samples) return false;
      known[s] = true;
      const auto shift = GST_VIDEO_FORMAT_INFO_SHIFT(format, c);
      const auto bits = (1u << GST_VIDEO_FORMAT_INFO_DEPTH(format, c)) - 1;
      sheet->sample[s] = {.channel = c,
                          .pixel = i << w_sub,
                          .pixels = 1 << w_sub,
                          .mask = static_cast<std::uint16_t>(bits << shift)};
    }
  }
  // Bytes that mean nothing, as in xRGB, are treated alike.
  sheet->channels = components(format);
  for (int s = 0; s < sheet->samples; ++s)
    if (!known[s])
      sheet->sample[s] = {.channel = sheet->channels++, .pixel = 0, .pixels = grid.columns};
  return group_bytes > 0;
}

Sheet unpacked_sheet(const GstVideoInfo &info, const GroupGrid &grid) {
  Sheet sheet;
  sheet.rows = grid.rows;
  sheet.samples = 4 * grid.columns;
  sheet.channels = 4;
  for (int s = 0; s < sheet.samples; ++s) sheet.sample[s] = {.channel = s % 4, .pixel = s / 4};
  sheet.row_samples = 4 * GST_VIDEO_INFO_WIDTH(&info);
  sheet.height = sheet.field_height = GST_VIDEO_INFO_HEIGHT(&info);
  return sheet;
}

}  // namespace

FrameLayout::FrameLayout(const GstVideoInfo &info) {
  const GstVideoFormatInfo *format = info.finfo;
  for (int c = 0; c < components(format); ++c) {
    grid.columns = std::max(grid.columns, 1 << GST_VIDEO_FORMAT_INFO_W_SUB(format, c));
    grid.rows = std::max(grid.rows, 1 << GST_VIDEO_FORMAT_INFO_H_SUB(format, c));
  }
  // Fields have chroma rows of their own: two of each field are four of the frame.
  if (GST_VIDEO_INFO_IS_INTERLACED(&info) && grid.rows > 1) grid.rows *= 2;
  grid.width = GST_VIDEO_INFO_WIDTH(&info);
  grid.height = GST_VIDEO_INFO_HEIGHT(&info);

  int sample_bytes = 1;
  direct = has_separate_samples(format, &sample_bytes);
  for (guint plane = 0; direct && plane < GST_VIDEO_FORMAT_INFO_N_PLANES(format); ++plane) {
    Sheet sheet;
    direct = make_plane(info, grid, static_cast<int>(plane), sample_bytes, &sheet);
    sheets.push_back(sheet);
  }
  if (!direct) {
    sheets = {unpacked_sheet(info, grid)};
    kind = unpacked_bits(info) == 8 ? SampleKind::kByte : SampleKind::kWord;
  } else if (sample_bytes == 2) {
    const bool same = bool{GST_VIDEO_FORMAT_INFO_IS_LE(format) != 0} == kHostIsLittleEndian;
    kind = same ? SampleKind::kWord : SampleKind::kSwappedWord;
  }
}

SheetRows::SheetRows(GstVideoFrame *frame, const FrameLayout &layout, const Sheet &sheet,
                     const Footprint &print, std::vector<std::uint64_t> *scratch)
    : layout_(layout),
      sheet_(sheet),
      print_(print),
      frame_(frame),
      rows_(frame),
      scratch_(scratch),
      height_(has_rows(*frame, sheet.plane, sheet.field_height) ? sheet.field_height
                                                                : sheet.height) {
  if (layout.direct) return;
  const std::size_t line_bytes = 4 * line_pixels(frame->info) * bytes_of(layout.kind);
  scratch->resize((line_bytes + 7) / 8);
}

std::ptrdiff_t SheetRows::group_bytes() const {
  return static_cast<std::ptrdiff_t>(sheet_.samples) * bytes_of(layout_.kind);
}

// What is unpacked and packed: no more than it must be, for packing may change bits of a pixel that
// mean nothing.
SheetRows::Part SheetRows::part(Footprint::Span span) const {
  if (!rows_.addressable()) return {0, rows_.width()};
  const int x = (print_.x + span.begin) * layout_.grid.columns;
  const int end = (print_.x + span.end) * layout_.grid.columns;
  return {x, std::min(end, rows_.width()) - x};
}

std::uint8_t *SheetRows::load(int y, Footprint::Span span) {
  if (layout_.direct) {
    return static_cast<std::uint8_t *>(frame_->data[sheet_.plane]) +
           static_cast<std::ptrdiff_t>(y) * frame_->info.stride[sheet_.plane] +
           print_.x * group_bytes();
  }
  const Part unpacked = part(span);
  rows_.unpack(unpacked.x, y, unpacked.width, scratch_->data());
  const std::ptrdiff_t first = unpacked.x / layout_.grid.columns;
  return reinterpret_cast<std::uint8_t *>(scratch_->data()) + (print_.x - first) * group_bytes();
}

void SheetRows::store(int y, Footprint::Span span) {
  if (layout_.direct) return;
  const Part unpacked = part(span);
  rows_.pack(unpacked.x, y, unpacked.width, scratch_->data());
}

}  // namespace moondream::redact
