// The means of a region's cells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "redact_layout.h"
#include "redact_region.h"

namespace moondream::redact {

// A footprint's division into cells of whole groups, none smaller than asked for unless the
// footprint is.
struct CellGrid {
  // `side`: of a cell, pixels, at least.
  CellGrid(const Footprint &print, const GroupGrid &grid, int side);

  // The first group column or row of each cell, counted from the footprint's, and where the last
  // one ends.
  std::vector<int> x, y;

  int columns() const { return static_cast<int>(x.size()) - 1; }
  int rows() const { return static_cast<int>(y.size()) - 1; }
};

// The mean of each channel of a sheet over each cell: all of the picture that is used.
// Thread-safety: one thread at a time.
class CellMeans {
 public:
  // Reads whole cells, whatever the footprint's spans are. Pixels outside of the frame do not
  // count.
  CellMeans(const CellGrid &cells, const FrameLayout &layout, const Sheet &sheet,
            const Footprint &print, SheetRows *rows);

  // Mixes each cell with its neighbours, in both directions: three passes with weights 1, 2, 1.
  // Those beyond the edge are left out, so that nothing from outside comes in.
  void smooth();

  // Of one cell: of each channel.
  std::span<const double> of(int column, int row) const {
    return {means_.data() + (static_cast<std::size_t>(row) * columns_ + column) * channels_,
            static_cast<std::size_t>(channels_)};
  }

 private:
  int columns_, rows_, channels_;
  std::vector<double> means_;  // row by row, of each cell its channels
};

}  // namespace moondream::redact
