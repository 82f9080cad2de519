#include "redact_cells.h"

#include <algorithm>

#include "redact_samples.h"

namespace moondream::redact {
namespace {

constexpr int kSmoothingPasses = 3;

constexpr int divide_up(int value, int divisor) { return (value + divisor - 1) / divisor; }

// `total` groups in parts of at least `least` each, as equal as they can be.
std::vector<int> edges(int total, int least) {
  const int parts = std::max(1, total / least);
  std::vector<int> result;
  for (int i = 0; i <= parts; ++i)
    result.push_back(static_cast<int>(std::int64_t{total} * i / parts));
  return result;
}

// Sums over rows, sample by sample: to add rows to rows is what processors do fastest.
template <typename Samples>
class ColumnSums {
 public:
  explicit ColumnSums(int samples) : part_(samples), total_(samples) {}

  void add(const std::uint8_t *row) {
    if (addends_ == Samples::kMaxAddends) flush();
    const int count = static_cast<int>(part_.size());
    auto *sums = part_.data();
    for (int i = 0; i < count; ++i)
      sums[i] = static_cast<typename Samples::Sum>(sums[i] + Samples::load(row, i));
    ++addends_;
  }

  // Of all rows since clear().
  const std::vector<std::uint64_t> &sums() {
    flush();
    return total_;
  }

  void clear() { std::fill(total_.begin(), total_.end(), 0); }

 private:
  void flush() {
    for (std::size_t i = 0; i < part_.size(); ++i) total_[i] += part_[i];
    std::fill(part_.begin(), part_.end(), 0);
    addends_ = 0;
  }

  std::vector<typename Samples::Sum> part_;
  std::vector<std::uint64_t> total_;
  int addends_ = 0;  // in part_
};

// One line of means becomes its three-point mean. `stride`: from one cell to the next.
void smooth_line(double *first, int count, std::size_t stride) {
  double before = 0;
  for (int i = 0; i < count; ++i) {
    double &here = first[i * stride];
    const double self = here;
    double sum = 2 * self, weight = 2;
    if (i > 0) sum += before, weight += 1;
    if (i + 1 < count) sum += first[(i + 1) * stride], weight += 1;
    here = sum / weight;
    before = self;
  }
}

}  // namespace

CellGrid::CellGrid(const Footprint &print, const GroupGrid &grid, int side)
    : x(edges(print.columns, divide_up(side, grid.columns))),
      y(edges(print.rows(), divide_up(side, grid.rows))) {}

CellMeans::CellMeans(const CellGrid &cells, const FrameLayout &layout, const Sheet &sheet,
                     const Footprint &print, SheetRows *rows)
    : columns_(cells.columns()),
      rows_(cells.rows()),
      channels_(sheet.channels),
      means_(static_cast<std::size_t>(columns_) * rows_ * channels_) {
  const int first_sample = print.x * sheet.samples;
  // The last group may have fewer samples in memory, and some of those may be of no pixel.
  const int samples = std::min(print.columns * sheet.samples, sheet.row_samples - first_sample);
  const int pixels = layout.grid.width - print.x * layout.grid.columns;
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(columns_) * channels_);
  std::vector<std::uint64_t> counts(sums.size());
  with_samples(layout.kind, [&](auto kind) {
    ColumnSums<decltype(kind)> column_sums(samples);
    for (int j = 0; j < rows_; ++j) {
      const int begin = (print.y + cells.y[j]) * sheet.rows;
      const int end = std::min((print.y + cells.y[j + 1]) * sheet.rows, sheet.height);
      for (int y = begin; y < end; ++y) column_sums.add(rows->load(y, {0, print.columns}));

      const std::vector<std::uint64_t> &of_columns = column_sums.sums();
      std::fill(sums.begin(), sums.end(), 0);
      std::fill(counts.begin(), counts.end(), 0);
      for (int i = 0; i < columns_; ++i) {
        for (int group = cells.x[i]; group < cells.x[i + 1]; ++group) {
          for (int s = 0; s < sheet.samples; ++s) {
            const int n = group * sheet.samples + s;
            const Sheet::Sample &sample = sheet.sample[s];
            if (n >= samples || group * layout.grid.columns + sample.pixel >= pixels) continue;
            const std::size_t cell = static_cast<std::size_t>(i) * channels_ + sample.channel;
            sums[cell] += of_columns[n];
            counts[cell] += static_cast<std::uint64_t>(end - begin);
          }
        }
      }
      column_sums.clear();
      for (std::size_t i = 0; i < sums.size(); ++i) {
        means_[static_cast<std::size_t>(j) * sums.size() + i] =
            counts[i] == 0 ? 0 : static_cast<double>(sums[i]) / static_cast<double>(counts[i]);
      }
    }
  });
}

void CellMeans::smooth() {
  const std::size_t row_stride = static_cast<std::size_t>(columns_) * channels_;
  for (int pass = 0; pass < kSmoothingPasses; ++pass) {
    for (int channel = 0; channel < channels_; ++channel) {
      for (int row = 0; row < rows_; ++row)
        smooth_line(means_.data() + row * row_stride + channel, columns_, channels_);
      for (int column = 0; column < columns_; ++column)
        smooth_line(means_.data() + static_cast<std::size_t>(column) * channels_ + channel, rows_,
                    row_stride);
    }
  }
}

}  // namespace moondream::redact
