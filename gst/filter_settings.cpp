#include "filter_settings.h"

#include <charconv>

namespace moondream {

std::optional<Grid> parse_grid(const std::string &text) {
  const auto in_range = [](int side) { return side >= 1 && side <= Grid::kMaxSide; };
  const char *const end = text.data() + text.size();
  Grid grid;
  const auto columns = std::from_chars(text.data(), end, grid.columns);
  if (columns.ec != std::errc() || columns.ptr == end || *columns.ptr != 'x') return std::nullopt;
  const auto rows = std::from_chars(columns.ptr + 1, end, grid.rows);
  if (rows.ec != std::errc() || rows.ptr != end) return std::nullopt;
  if (!in_range(grid.columns) || !in_range(grid.rows)) return std::nullopt;
  return grid;
}

}  // namespace moondream
