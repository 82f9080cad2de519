#include "outline.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <map>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <string>
#include <utility>

#include "svg_path.h"

namespace moondream {
namespace {

constexpr int kCurveSteps = 16;      // lines that a curve becomes
constexpr int kRowsOfPixel = 8;      // scan lines through a pixel; along them coverage is exact
constexpr double kTolerance = 0.75;  // pixels

using Polygon = std::vector<Point>;

Point operator+(const Point &a, const Point &b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(const Point &a, const Point &b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(double k, const Point &a) { return {k * a.x, k * a.y}; }

// Reads path data piece by piece.
class PathReader {
 public:
  explicit PathReader(std::string_view text) : text_(text) {}

  std::optional<char> command() {
    skip();
    if (text_.empty() || std::string_view("MmLlHhVvCcSsQqTtZz").find(text_[0]) == text_.npos) {
      return std::nullopt;
    }
    const char letter = text_[0];
    text_.remove_prefix(1);
    return letter;
  }

  std::optional<double> number() {
    skip();
    double value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return value;
  }

  std::optional<Point> point(const Point &origin) {
    const auto x = number();
    const auto y = x ? number() : std::nullopt;
    if (!y) return std::nullopt;
    return origin + Point{*x, *y};
  }

 private:
  void skip() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == ',')) text_.remove_prefix(1);
  }

  std::string_view text_;
};

// The path's lines, and its curves as lines.
class Flattener {
 public:
  explicit Flattener(std::string_view path) : reader_(path) {}

  std::vector<Polygon> polygons() {
    while (const auto letter = reader_.command()) {
      // Whatever comes first begins somewhere.
      if (polygons_.empty() && *letter != 'M' && *letter != 'm') break;
      if (*letter == 'Z' || *letter == 'z') {
        at_ = polygons_.back().front();
        begin(at_);
        continue;
      }
      bool read = false;
      for (char now = *letter; segment(now); now = *letter == 'M'   ? 'L'
                                                   : *letter == 'm' ? 'l'
                                                                    : now) {
        read = true;
      }
      if (!read) break;
    }
    return std::move(polygons_);
  }

 private:
  void begin(const Point &point) { polygons_.push_back({at_ = point}); }
  void line_to(const Point &point) { polygons_.back().push_back(at_ = point); }

  void curve_to(const Point &c1, const Point &c2, const Point &end) {
    const Point start = at_;
    for (int i = 1; i <= kCurveSteps; ++i) {
      const double t = static_cast<double>(i) / kCurveSteps, s = 1 - t;
      line_to(s * s * s * start + 3 * s * s * t * c1 + 3 * s * t * t * c2 + t * t * t * end);
    }
    control_ = c2;
  }

  void quadratic_to(const Point &control, const Point &end) {
    const Point start = at_;
    curve_to(start + 2.0 / 3 * (control - start), end + 2.0 / 3 * (control - end), end);
    control_ = control;
  }

  // One segment of a command; false: its numbers are at an end.
  bool segment(char letter) {
    const bool relative = letter >= 'a';
    const Point origin = relative ? at_ : Point{};
    const char kind = relative ? static_cast<char>(letter - 'a' + 'A') : letter;
    const Point before = at_, mirrored = before + (before - control_);
    const char last = std::exchange(last_, kind);
    if (kind == 'H' || kind == 'V') {
      const auto value = reader_.number();
      if (!value) return false;
      line_to(kind == 'H' ? Point{origin.x + *value, at_.y} : Point{at_.x, origin.y + *value});
      return true;
    }
    const std::size_t count = kind == 'C' ? 3 : kind == 'S' || kind == 'Q' ? 2 : 1;
    Point points[3];
    for (std::size_t i = 0; i < count; ++i) {
      const auto point = reader_.point(origin);
      if (!point) return false;
      points[i] = *point;
    }
    switch (kind) {
      case 'M':
        begin(points[0]);
        break;
      case 'L':
        line_to(points[0]);
        break;
      case 'C':
        curve_to(points[0], points[1], points[2]);
        break;
      case 'S':
        curve_to(last == 'C' || last == 'S' ? mirrored : before, points[0], points[1]);
        break;
      case 'Q':
        quadratic_to(points[0], points[1]);
        break;
      default:
        quadratic_to(last == 'Q' || last == 'T' ? mirrored : before, points[0]);
        break;
    }
    return true;
  }

  PathReader reader_;
  std::vector<Polygon> polygons_;
  Point at_;
  Point control_;  // of the last curve
  char last_ = ' ';
};

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
  for (const Polygon &polygon : Flattener(path).polygons()) {
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
