#include "svg_polygons.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <optional>
#include <system_error>
#include <utility>

namespace moondream {
namespace {

constexpr int kCurveSteps = 16;  // lines that a curve becomes, or a quarter of an ellipse

Point operator+(const Point &a, const Point &b) { return {a.x + b.x, a.y + b.y}; }
Point operator-(const Point &a, const Point &b) { return {a.x - b.x, a.y - b.y}; }
Point operator*(double k, const Point &a) { return {k * a.x, k * a.y}; }
double angle(const Point &a) { return std::atan2(a.y, a.x); }

// Reads path data piece by piece.
class PathReader {
 public:
  explicit PathReader(std::string_view text) : text_(text) {}

  std::optional<char> command() {
    skip();
    if (text_.empty() || std::string_view("MmLlHhVvCcSsQqTtAaZz").find(text_[0]) == text_.npos) {
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

  std::optional<bool> flag() {
    skip();
    if (text_.empty() || (text_[0] != '0' && text_[0] != '1')) return std::nullopt;
    const bool value = text_[0] == '1';
    text_.remove_prefix(1);
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
        begin(polygons_.back().front());
        last_ = 'Z';
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
    // Behind Z, and where an M follows another.
    std::erase_if(polygons_, [](const Polygon &polygon) { return polygon.size() < 2; });
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

  // By F.6.5 and F.6.6 of SVG 1.1, where the ellipse is a circle of radius 1 around 0: without its
  // rotation, divided by its radii.
  void arc_to(Point radii, double degrees, bool large, bool clockwise, const Point &end) {
    const Point start = at_;
    if (start == end) return;
    const double turned = std::remainder(degrees, 360) * std::numbers::pi / 180;
    const double cosine = std::cos(turned), sine = std::sin(turned);
    const Point half = 0.5 * (start - end), middle = end + half;
    radii = {std::abs(radii.x), std::abs(radii.y)};
    const Point chord{(cosine * half.x + sine * half.y) / radii.x,
                      (cosine * half.y - sine * half.x) / radii.y};
    const double length = std::hypot(chord.x, chord.y);
    if (!(length > 0 && std::isfinite(length))) return line_to(end);  // also without radii
    if (length > 1) radii = length * radii;  // it reaches from start to end just so
    const Point to_start = std::min(1.0, 1 / length) * chord;
    const double away =
        (large == clockwise ? -1 : 1) * std::sqrt(std::max(0.0, 1 - length * length));
    const Point centre{away * chord.y / length, -away * chord.x / length};
    const double from = angle(to_start - centre);
    double sweep = angle(Point{} - to_start - centre) - from;
    if (clockwise && sweep < 0) sweep += 2 * std::numbers::pi;
    if (!clockwise && sweep > 0) sweep -= 2 * std::numbers::pi;
    const int steps = std::max(
        1, static_cast<int>(std::ceil(std::abs(sweep) / (std::numbers::pi / 2) * kCurveSteps)));
    for (int i = 1; i < steps; ++i) {
      const double at = from + sweep * i / steps;
      const Point on{radii.x * (centre.x + std::cos(at)), radii.y * (centre.y + std::sin(at))};
      line_to(middle + Point{cosine * on.x - sine * on.y, sine * on.x + cosine * on.y});
    }
    line_to(end);
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
    if (kind == 'A') {
      const auto radii = reader_.point({});
      const auto degrees = radii ? reader_.number() : std::nullopt;
      const auto large = degrees ? reader_.flag() : std::nullopt;
      const auto clockwise = large ? reader_.flag() : std::nullopt;
      const auto end = clockwise ? reader_.point(origin) : std::nullopt;
      if (!end) return false;
      arc_to(*radii, *degrees, *large, *clockwise, *end);
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

}  // namespace

std::vector<Polygon> svg_polygons(std::string_view path) { return Flattener(path).polygons(); }

}  // namespace moondream
