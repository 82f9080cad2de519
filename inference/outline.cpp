#include "outline.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <opencv2/imgproc.hpp>
#include <string>
#include <utility>

#include "svg_path.h"
#include "svg_polygons.h"

namespace moondream {
namespace {

constexpr int kRowsOfPixel = 8;      // scan lines through a pixel; along them coverage is exact
constexpr double kTolerance = 0.75;  // pixels

// A side of a polygon, in pixels across and scan lines down.
struct Edge {
  Point top, bottom;
  int direction;           // 1: drawn downwards, -1: upwards
  std::size_t first, end;  // scan lines that it crosses
};

// Adds `share` of what [from, to) covers of each pixel of a row.
void cover(std::vector<double> &row, double from, double to, double share) {
  from = std::clamp(from, 0.0, static_cast<double>(row.size()));
  to = std::clamp(to, 0.0, static_cast<double>(row.size()));
  for (auto x = static_cast<std::size_t>(from); static_cast<double>(x) < to; ++x) {
    const auto left = static_cast<double>(x);
    row[x] += share * (std::min(to, left + 1) - std::max(from, left));
  }
}

// A corner between pixels.
using Corner = std::pair<int, int>;

// The directions from a corner: right, down, left, up.
constexpr Corner kSteps[] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};

// The edges between pixels inside and outside, with the inside on their right, as closed loops.
std::vector<std::vector<cv::Point>> loops_of(const Mask &mask) {
  const auto inside = [&](int x, int y) {
    return x >= 0 && y >= 0 && x < mask.width && y < mask.height && mask.at(x, y);
  };
  std::map<Corner, std::vector<int>> edges;  // by where they begin: directions
  for (int y = 0; y < mask.height; ++y) {
    for (int x = 0; x < mask.width; ++x) {
      if (!inside(x, y)) continue;
      if (!inside(x, y - 1)) edges[{x, y}].push_back(0);
      if (!inside(x + 1, y)) edges[{x + 1, y}].push_back(1);
      if (!inside(x, y + 1)) edges[{x + 1, y + 1}].push_back(2);
      if (!inside(x - 1, y)) edges[{x, y + 1}].push_back(3);
    }
  }
  std::vector<std::vector<cv::Point>> loops;
  while (!edges.empty()) {
    std::vector<cv::Point> loop;
    Corner at = edges.begin()->first;
    int direction = edges.begin()->second.front();
    while (true) {
      const auto found = edges.find(at);
      if (found == edges.end()) break;
      // Where two pixels touch at a corner only, the loop keeps to its own: it turns right.
      auto &ways = found->second;
      const auto right = std::ranges::find(ways, (direction + 1) % 4);
      const auto way = right != ways.end() ? right : ways.begin();
      direction = *way;
      ways.erase(way);
      if (ways.empty()) edges.erase(found);
      loop.emplace_back(at.first, at.second);
      at = {at.first + kSteps[direction].first, at.second + kSteps[direction].second};
    }
    loops.push_back(std::move(loop));
  }
  return loops;
}

}  // namespace

bool Mask::empty() const { return std::ranges::count(pixels, 0) == std::ssize(pixels); }

Mask fill_outline(std::string_view path, const Box &box, int width, int height) {
  const auto most = static_cast<std::size_t>(height) * kRowsOfPixel;  // scan lines
  const auto place = [&](const Point &p) -> Point {
    return {(box.x_min + p.x * (box.x_max - box.x_min)) * width,
            (box.y_min + p.y * (box.y_max - box.y_min)) * height * kRowsOfPixel};
  };
  // Scan lines lie in the middle of their rows: the first one at or below y.
  const auto line_at = [&](double y) {
    return static_cast<std::size_t>(std::ceil(std::clamp(y - 0.5, 0.0, static_cast<double>(most))));
  };
  std::vector<Edge> edges;
  for (const Polygon &polygon : svg_polygons(path)) {
    for (std::size_t i = 0; i < polygon.size(); ++i) {
      const Point a = place(polygon[i]), b = place(polygon[(i + 1) % polygon.size()]);
      if (!std::isfinite(a.x + a.y) || !std::isfinite(b.x + b.y)) continue;
      const Edge edge = a.y < b.y ? Edge{a, b, 1, line_at(a.y), line_at(b.y)}
                                  : Edge{b, a, -1, line_at(b.y), line_at(a.y)};
      if (edge.first < edge.end) edges.push_back(edge);
    }
  }
  std::ranges::sort(edges, {}, &Edge::first);

  Mask mask{width, height, {}};
  mask.pixels.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  std::vector<const Edge *> active;  // that the scan line crosses
  auto next = edges.begin();
  for (std::size_t line = 0; line < most;) {
    std::vector<double> row(static_cast<std::size_t>(width));
    for (int k = 0; k < kRowsOfPixel; ++k, ++line) {
      std::erase_if(active, [&](const Edge *edge) { return edge->end <= line; });
      for (; next != edges.end() && next->first <= line; ++next) active.push_back(&*next);
      std::vector<std::pair<double, int>> crossings;  // where, and whether downwards
      for (const Edge *edge : active) {
        const double t =
            (static_cast<double>(line) + 0.5 - edge->top.y) / (edge->bottom.y - edge->top.y);
        crossings.emplace_back(edge->top.x + t * (edge->bottom.x - edge->top.x), edge->direction);
      }
      std::ranges::sort(crossings);
      int winding = 0;
      for (std::size_t i = 0; i + 1 < crossings.size(); ++i) {
        winding += crossings[i].second;
        if (winding != 0) {
          cover(row, crossings[i].first, crossings[i + 1].first, 1.0 / kRowsOfPixel);
        }
      }
    }
    for (const double covered : row) mask.pixels.push_back(covered > 0.5);
  }
  return mask;
}

SegmentResult trace_outline(const Mask &mask) {
  SegmentResult result;
  const auto loops = loops_of(mask);
  if (loops.empty()) return result;
  int left = mask.width, top = mask.height, right = 0, bottom = 0;
  for (const auto &loop : loops) {
    for (const cv::Point &corner : loop) {
      left = std::min(left, corner.x), right = std::max(right, corner.x);
      top = std::min(top, corner.y), bottom = std::max(bottom, corner.y);
    }
  }
  result.box =
      Box{static_cast<double>(left) / mask.width, static_cast<double>(top) / mask.height,
          static_cast<double>(right) / mask.width, static_cast<double>(bottom) / mask.height};
  for (const auto &loop : loops) {
    std::vector<cv::Point> corners;
    cv::approxPolyDP(loop, corners, kTolerance, true);
    if (corners.size() < 3) corners = loop;  // of a pixel or two
    for (std::size_t i = 0; i < corners.size(); ++i) {
      if (!result.path.empty()) result.path += ' ';
      result.path += i == 0 ? "M " : "L ";
      result.path += svg_number(static_cast<double>(corners[i].x - left) / (right - left)) + ' ' +
                     svg_number(static_cast<double>(corners[i].y - top) / (bottom - top));
    }
    result.path += " Z";
  }
  return result;
}

}  // namespace moondream
