// What the rows of a region are painted with.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "redact_cells.h"
#include "redact_layout.h"
#include "redact_region.h"

namespace moondream::redact {

// Paint for one sheet within one footprint.
// Thread-safety: one thread at a time.
class RowPainter {
 public:
  virtual ~RowPainter() = default;

  // The samples of a row, as the sheet stores them, from the footprint's first column to its last.
  // `group_row` counts from the footprint's first, `row` is one of the sheet's rows of it. Valid
  // until the next call. Calls come from top to bottom.
  virtual const std::uint8_t *row(int group_row, int row) = 0;
};

// Makers borrow `sheet`, `print` and `cells`.

// Every group is `group`, one value for each sample.
std::unique_ptr<RowPainter> paint_solid(const FrameLayout &layout, const Sheet &sheet,
                                        const Footprint &print,
                                        const std::vector<std::uint16_t> &group);

// Every cell is its mean.
std::unique_ptr<RowPainter> paint_mosaic(const FrameLayout &layout, const Sheet &sheet,
                                         const Footprint &print, const CellGrid &cells,
                                         CellMeans means);

// Every sample lies between the means of the cells whose centres are nearest; no cell's edge shows.
std::unique_ptr<RowPainter> paint_smooth(const FrameLayout &layout, const Sheet &sheet,
                                         const Footprint &print, const CellGrid &cells,
                                         CellMeans means);

}  // namespace moondream::redact
