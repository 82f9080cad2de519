#include "grid.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace moondream {
namespace {

// Of boxes of the same object. Small boxes of two looks agree less than this suggests: half a
// dozen pixels are a lot of them.
constexpr double kSameIou = 0.4;
// Of the smaller box, if one of the two is cut.
constexpr double kSamePiece = 0.5;
constexpr double kSameDistance = 1.0 / 32;  // of the picture
// A box that ends nearer to an edge, as a share of the part, ends there: models place an edge no
// more exactly.
constexpr double kEdge = 1.0 / 32;
// Half of the overlap, as a share of the part.
constexpr double kOuter = 1.0 / 8;

// One axis of a grid: `count` parts of `size` pixels.
struct Axis {
  int length, count, size;

  Axis(int whole, int parts)
      // parts * size less their overlaps is the whole: size * (parts - (parts - 1) / 4).
      : length(whole), count(parts), size((4 * whole + 3 * parts) / (3 * parts + 1)) {}

  int begin(int i) const { return count == 1 ? 0 : (length - size) * i / (count - 1); }
};

template <typename What>
struct Find {
  What what;  // with coordinates of the whole picture
  const Box *place;
  bool cut;
};

double width(const Box &box) { return box.x_max - box.x_min; }
double height(const Box &box) { return box.y_max - box.y_min; }
double area(const Box &box) { return std::max(0.0, width(box)) * std::max(0.0, height(box)); }

double shared_area(const Box &a, const Box &b) {
  return area({std::max(a.x_min, b.x_min), std::max(a.y_min, b.y_min), std::min(a.x_max, b.x_max),
               std::min(a.y_max, b.y_max)});
}

Point to_whole(const Point &point, const Box &place) {
  return {place.x_min + point.x * width(place), place.y_min + point.y * height(place)};
}

// Whether [low, high], in the part's coordinates, comes within `near` of an end of the part that is
// inside the picture.
bool at_inner_end(double low, double high, double part_min, double part_max, double near) {
  return (part_min > 0 && low < near) || (part_max < 1 && high > 1 - near);
}

bool at_inner_edge(const Box &box, const Box &place, double near) {
  return at_inner_end(box.x_min, box.x_max, place.x_min, place.x_max, near) ||
         at_inner_end(box.y_min, box.y_max, place.y_min, place.y_max, near);
}

Find<ScoredBox> find_of(const ScoredBox &found, const Box &place) {
  const Point low = to_whole({found.box.x_min, found.box.y_min}, place);
  const Point high = to_whole({found.box.x_max, found.box.y_max}, place);
  return {{{low.x, low.y, high.x, high.y}, found.score},
          &place,
          at_inner_edge(found.box, place, kEdge)};
}

Find<ScoredPoint> find_of(const ScoredPoint &found, const Box &place) {
  const auto [x, y] = found.point;
  return {{to_whole(found.point, place), found.score},
          &place,
          at_inner_edge({x, y, x, y}, place, kOuter)};
}

bool same(const Find<ScoredBox> &a, const Find<ScoredBox> &b) {
  const double shared = shared_area(a.what.box, b.what.box);
  const double areas[] = {area(a.what.box), area(b.what.box)};
  if (shared <= 0) return false;
  if (shared >= kSameIou * (areas[0] + areas[1] - shared)) return true;
  return (a.cut || b.cut) && shared >= kSamePiece * std::min(areas[0], areas[1]);
}

bool same(const Find<ScoredPoint> &a, const Find<ScoredPoint> &b) {
  const double x = a.what.point.x - b.what.point.x, y = a.what.point.y - b.what.point.y;
  const auto within_piece = [&](const Find<ScoredPoint> &find) {
    return find.cut && std::hypot(x / width(*find.place), y / height(*find.place)) <= kOuter;
  };
  return std::hypot(x, y) <= kSameDistance || within_piece(a) || within_piece(b);
}

template <typename What>
std::vector<What> merge(std::span<const Box> places, std::span<const std::vector<What>> found,
                        int max_objects) {
  std::vector<Find<What>> finds;
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (const What &one : found[i]) finds.push_back(find_of(one, places[i]));
  }
  // Stable, here and below: what is equally good stays in the order of places.
  std::ranges::stable_sort(finds, [](const auto &a, const auto &b) {
    return a.cut != b.cut ? b.cut : a.what.score > b.what.score;
  });
  std::vector<Find<What>> kept;
  for (const Find<What> &find : finds) {
    const bool known = std::ranges::any_of(kept, [&](const Find<What> &other) {
      return other.place != find.place && same(find, other);
    });
    if (!known) kept.push_back(find);
  }
  std::vector<What> merged;
  for (const Find<What> &find : kept) merged.push_back(find.what);
  std::ranges::stable_sort(merged, std::ranges::greater{}, &What::score);
  if (std::cmp_greater(merged.size(), max_objects)) merged.resize(max_objects);
  return merged;
}

}  // namespace

std::vector<Part> parts_of(int width, int height, Grid grid) {
  for (const int side : {grid.columns, grid.rows}) {
    if (side >= 1 && side <= Grid::kMaxSide) continue;
    throw Error(ErrorKind::kSettings, "a grid has 1 to " + std::to_string(Grid::kMaxSide) +
                                          " columns and rows, not " + std::to_string(grid.columns) +
                                          "x" + std::to_string(grid.rows));
  }
  std::vector<Part> parts = {{0, 0, width, height, {0, 0, 1, 1}}};
  if (grid == Grid{}) return parts;
  const Axis across(width, grid.columns), down(height, grid.rows);
  for (int row = 0; row < grid.rows; ++row) {
    for (int column = 0; column < grid.columns; ++column) {
      const int x = across.begin(column), y = down.begin(row);
      parts.push_back({x,
                       y,
                       across.size,
                       down.size,
                       {static_cast<double>(x) / width, static_cast<double>(y) / height,
                        static_cast<double>(x + across.size) / width,
                        static_cast<double>(y + down.size) / height}});
    }
  }
  return parts;
}

std::vector<ScoredBox> merge_boxes(std::span<const Box> places,
                                   std::span<const std::vector<ScoredBox>> found, int max_objects) {
  return merge(places, found, max_objects);
}

std::vector<ScoredPoint> merge_points(std::span<const Box> places,
                                      std::span<const std::vector<ScoredPoint>> found,
                                      int max_objects) {
  return merge(places, found, max_objects);
}

}  // namespace moondream
