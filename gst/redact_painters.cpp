#include "redact_painters.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "redact_samples.h"

namespace moondream::redact {
namespace {

// Writes `group` `count` times from sample `first` on.
template <typename Samples>
void repeat(std::uint8_t *line, int first, const std::uint16_t *group, int samples, int count) {
  if (count <= 0) return;
  for (int s = 0; s < samples; ++s) Samples::store(line, first + s, group[s]);
  // Twice as many each time.
  std::uint8_t *begin = line + static_cast<std::ptrdiff_t>(first) * Samples::kSize;
  const std::size_t total = static_cast<std::size_t>(samples) * count * Samples::kSize;
  std::size_t done = static_cast<std::size_t>(samples) * Samples::kSize;
  while (done < total) {
    const std::size_t more = std::min(done, total - done);
    std::memcpy(begin + done, begin, more);
    done += more;
  }
}

template <typename Samples>
class SolidPainter : public RowPainter {
 public:
  SolidPainter(const Sheet &sheet, const Footprint &print, const std::vector<std::uint16_t> &group)
      : line_(static_cast<std::size_t>(print.columns) * sheet.samples * Samples::kSize) {
    repeat<Samples>(line_.data(), 0, group.data(), sheet.samples, print.columns);
  }

  const std::uint8_t *row(int, int) override { return line_.data(); }

 private:
  std::vector<std::uint8_t> line_;
};

template <typename Samples>
class MosaicPainter : public RowPainter {
 public:
  MosaicPainter(const Sheet &sheet, const Footprint &print, const CellGrid &cells, CellMeans means)
      : sheet_(sheet),
        cells_(cells),
        means_(std::move(means)),
        line_(static_cast<std::size_t>(print.columns) * sheet.samples * Samples::kSize) {}

  const std::uint8_t *row(int group_row, int) override {
    while (painted_ < 0 || group_row >= cells_.y[painted_ + 1]) paint(++painted_);
    return line_.data();
  }

 private:
  void paint(int cell_row) {
    std::uint16_t group[kMaxGroupSamples];
    for (int i = 0; i < cells_.columns(); ++i) {
      const auto mean = means_.of(i, cell_row);
      for (int s = 0; s < sheet_.samples; ++s) {
        const Sheet::Sample &sample = sheet_.sample[s];
        group[s] = static_cast<std::uint16_t>(std::lround(mean[sample.channel])) & sample.mask;
      }
      repeat<Samples>(line_.data(), cells_.x[i] * sheet_.samples, group, sheet_.samples,
                      cells_.x[i + 1] - cells_.x[i]);
    }
  }

  const Sheet &sheet_;
  const CellGrid &cells_;
  const CellMeans means_;
  std::vector<std::uint8_t> line_;
  int painted_ = -1;  // the cell row that line_ is of
};

// Between which cells a position lies, and how near to the second.
struct Between {
  int first, second;
  double share;  // of the second, [0, 1]
};

// `position` in groups; beyond the outermost centres nothing changes.
Between between(const std::vector<int> &edges, double position) {
  const int cells = static_cast<int>(edges.size()) - 1;
  const auto centre = [&](int i) { return (edges[i] + edges[i + 1]) / 2.0; };
  const auto after = std::upper_bound(edges.begin(), edges.end(), position);
  const int cell = std::clamp(static_cast<int>(after - edges.begin()) - 1, 0, cells - 1);
  const int first = std::max(0, position < centre(cell) ? cell - 1 : cell);
  const int second = std::min(cells - 1, first + 1);
  if (first == second) return {first, first, 0};
  const double share = (position - centre(first)) / (centre(second) - centre(first));
  return {first, second, std::clamp(share, 0.0, 1.0)};
}

template <typename Samples>
class SmoothPainter : public RowPainter {
 public:
  SmoothPainter(const FrameLayout &layout, const Sheet &sheet, const Footprint &print,
                const CellGrid &cells, CellMeans means)
      : sheet_(sheet), cells_(cells), means_(std::move(means)) {
    const int samples = print.columns * sheet.samples;
    line_.resize(static_cast<std::size_t>(samples) * Samples::kSize);
    upper_.resize(samples);
    lower_.resize(samples);
    for (int s = 0; s < sheet.samples; ++s) {
      const Sheet::Sample &sample = sheet.sample[s];
      has_idle_bits_ = has_idle_bits_ || (sample.mask & kAllBits) != kAllBits;
      // Of the sample in its group.
      const double centre = (sample.pixel + sample.pixels / 2.0) / layout.grid.columns;
      for (int group = 0; group < print.columns; ++group)
        columns_.push_back(between(cells.x, group + centre));
    }
  }

  const std::uint8_t *row(int group_row, int row) override {
    const auto [first, second, share] = between(cells_.y, group_row + (row + 0.5) / sheet_.rows);
    if (first != upper_row_) {
      if (first == lower_row_)
        std::swap(upper_, lower_);
      else
        spread(first, &upper_);
      upper_row_ = first;
      lower_row_ = -1;
    }
    if (second != lower_row_) spread(lower_row_ = second, &lower_);
    mix(static_cast<float>(share));
    return line_.data();
  }

 private:
  static constexpr std::uint16_t kAllBits = Samples::kSize == 1 ? 0xff : 0xffff;

  // The means of a cell row for every sample of a row.
  void spread(int cell_row, std::vector<float> *values) const {
    const int groups = static_cast<int>(values->size()) / sheet_.samples;
    const Between *column = columns_.data();
    for (int s = 0; s < sheet_.samples; ++s) {
      const int channel = sheet_.sample[s].channel;
      for (int group = 0; group < groups; ++group, ++column) {
        const double a = means_.of(column->first, cell_row)[channel];
        const double b = means_.of(column->second, cell_row)[channel];
        (*values)[static_cast<std::size_t>(group) * sheet_.samples + s] =
            static_cast<float>(a + (b - a) * column->share);
      }
    }
  }

  void mix(float share) {
    const int count = static_cast<int>(upper_.size());
    const float *upper = upper_.data(), *lower = lower_.data();
    std::uint8_t *line = line_.data();
    for (int i = 0; i < count; ++i) {
      const float value = upper[i] + (lower[i] - upper[i]) * share;
      Samples::store(line, i, static_cast<std::uint32_t>(static_cast<int>(value + 0.5f)));
    }
    if (!has_idle_bits_) return;
    for (int i = 0; i < count; i += sheet_.samples)
      for (int s = 0; s < sheet_.samples; ++s)
        Samples::store(line, i + s, Samples::load(line, i + s) & sheet_.sample[s].mask);
  }

  const Sheet &sheet_;
  const CellGrid &cells_;
  const CellMeans means_;
  std::vector<Between> columns_;      // of each sample of a group, for each group
  std::vector<float> upper_, lower_;  // cell rows upper_row_ and lower_row_, spread
  int upper_row_ = -1, lower_row_ = -1;
  bool has_idle_bits_ = false;  // some of the stored bits mean nothing
  std::vector<std::uint8_t> line_;
};

}  // namespace

std::unique_ptr<RowPainter> paint_solid(const FrameLayout &layout, const Sheet &sheet,
                                        const Footprint &print,
                                        const std::vector<std::uint16_t> &group) {
  return with_samples(layout.kind, [&](auto kind) -> std::unique_ptr<RowPainter> {
    return std::make_unique<SolidPainter<decltype(kind)>>(sheet, print, group);
  });
}

std::unique_ptr<RowPainter> paint_mosaic(const FrameLayout &layout, const Sheet &sheet,
                                         const Footprint &print, const CellGrid &cells,
                                         CellMeans means) {
  return with_samples(layout.kind, [&](auto kind) -> std::unique_ptr<RowPainter> {
    return std::make_unique<MosaicPainter<decltype(kind)>>(sheet, print, cells, std::move(means));
  });
}

std::unique_ptr<RowPainter> paint_smooth(const FrameLayout &layout, const Sheet &sheet,
                                         const Footprint &print, const CellGrid &cells,
                                         CellMeans means) {
  return with_samples(layout.kind, [&](auto kind) -> std::unique_ptr<RowPainter> {
    return std::make_unique<SmoothPainter<decltype(kind)>>(layout, sheet, print, cells,
                                                           std::move(means));
  });
}

}  // namespace moondream::redact
