// Where the samples of a format's pixels are, for those who write them.
#pragma once

#include <gst/video/video.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "frame_rows.h"
#include "redact_region.h"

namespace moondream::redact {

// Pixels of the widest group (4:1:1 and 4:1:0), four samples each.
constexpr int kMaxGroupSamples = 16;

// How a sample is stored.
enum class SampleKind { kByte, kWord, kSwappedWord };

constexpr int bytes_of(SampleKind kind) { return kind == SampleKind::kByte ? 1 : 2; }

// A plane as a table of groups, or, of a format whose samples do not stand in bytes of their own,
// all its pixels as FrameRows unpacks them.
struct Sheet {
  // What one sample of a group's row is.
  struct Sample {
    int channel = 0;              // samples of a channel mean the same of different pixels
    int pixel = 0;                // of the group's columns, the first that it belongs to
    int pixels = 1;               // columns that it belongs to
    std::uint16_t mask = 0xffff;  // the bits that the format defines
  };

  int plane = 0;
  int rows = 1;     // of a group in this sheet
  int samples = 1;  // of a group in each of them
  int channels = 1;
  std::array<Sample, kMaxGroupSamples> sample;
  int row_samples = 0;  // of a whole row of the frame; may end within a group
  int height = 0;       // rows in the frame
  // Rows that the frame may have memory for besides: see has_rows().
  int field_height = 0;
};

// A format's division into groups and sheets.
// Thread-safety: safe once made.
struct FrameLayout {
  // `info`'s format can be packed and unpacked, as those of GST_MOONDREAM_FRAME_FORMATS can.
  explicit FrameLayout(const GstVideoInfo &info);

  GroupGrid grid;
  SampleKind kind = SampleKind::kByte;
  bool direct = false;  // sheets are planes of the frame
  std::vector<Sheet> sheets;
};

// A sheet's rows in a frame, from one group column to another.
// Thread-safety: one thread at a time.
class SheetRows {
 public:
  // Borrows its arguments. `frame` is mapped READWRITE. `scratch` is used by sheets that are not
  // planes, for one row at a time.
  SheetRows(GstVideoFrame *frame, const FrameLayout &layout, const Sheet &sheet,
            const Footprint &print, std::vector<std::uint64_t> *scratch);

  // Rows of the sheet that this frame has.
  int height() const { return height_; }

  // The samples of row y, as if it began with the footprint's first column; those of group columns
  // [begin, end), counted from there, are valid until the next load().
  std::uint8_t *load(int y, Footprint::Span span);
  // To be called after they were written to.
  void store(int y, Footprint::Span span);

 private:
  std::ptrdiff_t group_bytes() const;
  struct Part {
    int x, width;  // pixels
  };
  Part part(Footprint::Span span) const;

  const FrameLayout &layout_;
  const Sheet &sheet_;
  const Footprint &print_;
  GstVideoFrame *frame_;
  FrameRows rows_;
  std::vector<std::uint64_t> *scratch_;
  int height_;
};

}  // namespace moondream::redact
