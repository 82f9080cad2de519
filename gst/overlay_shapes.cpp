#include "overlay_shapes.h"

#include <cairo.h>

#include <algorithm>
#include <cmath>
#include <memory>

namespace moondream::overlay {
namespace {

constexpr double kRimOpacity = 0.45;
// Rows of one strip of a ray: little of a slanting strip is empty, and few strips cross a frame.
constexpr int kStripRows = 32;

std::uint32_t opaque(Colour c) {
  return 0xff000000u | std::uint32_t{c.r} << 16 | std::uint32_t{c.g} << 8 | c.b;
}

constexpr std::uint32_t kRim = static_cast<std::uint32_t>(kRimOpacity * 255 + 0.5) << 24;

void add_solid(const PixelRect &rect, std::uint32_t pixel, std::vector<Layer> *layers) {
  if (rect.empty()) return;
  auto bitmap = std::make_shared<Bitmap>();
  bitmap->width = rect.width();
  bitmap->height = rect.height();
  bitmap->pixels.assign(static_cast<std::size_t>(rect.width()) * rect.height(), pixel);
  layers->push_back({rect.x_min, rect.y_min, std::move(bitmap)});
}

// What is in `outer` and not in `inner`, which lies within it.
void add_ring(const PixelRect &outer, const PixelRect &inner, std::uint32_t pixel,
              std::vector<Layer> *layers) {
  add_solid({outer.x_min, outer.y_min, outer.x_max, inner.y_min}, pixel, layers);
  add_solid({outer.x_min, inner.y_min, inner.x_min, inner.y_max}, pixel, layers);
  add_solid({inner.x_max, inner.y_min, outer.x_max, inner.y_max}, pixel, layers);
  add_solid({outer.x_min, inner.y_max, outer.x_max, outer.y_max}, pixel, layers);
}

// `rect` with `columns` and `rows` more at each side, as far as the frame goes.
PixelRect expand(const PixelRect &rect, int columns, int rows, int width, int height) {
  return {std::max(0, rect.x_min - columns), std::max(0, rect.y_min - rows),
          std::min(width, rect.x_max + columns), std::min(height, rect.y_max + rows)};
}

// Draws with Cairo in units of frame pixels on a layer that covers `rect`.
template <typename Draw>
void add_drawing(const PixelRect &rect, std::vector<Layer> *layers, Draw draw) {
  if (rect.empty()) return;
  auto bitmap = std::make_shared<Bitmap>();
  bitmap->width = rect.width();
  bitmap->height = rect.height();
  bitmap->pixels.resize(static_cast<std::size_t>(rect.width()) * rect.height());
  cairo_surface_t *surface = cairo_image_surface_create_for_data(
      reinterpret_cast<unsigned char *>(bitmap->pixels.data()), CAIRO_FORMAT_ARGB32, bitmap->width,
      bitmap->height, bitmap->width * 4);
  cairo_t *cairo = cairo_create(surface);
  cairo_translate(cairo, -rect.x_min, -rect.y_min);
  draw(cairo);
  cairo_destroy(cairo);
  cairo_surface_flush(surface);
  cairo_surface_destroy(surface);
  layers->push_back({rect.x_min, rect.y_min, std::move(bitmap)});
}

void set_colour(cairo_t *cairo, Colour c) {
  cairo_set_source_rgb(cairo, c.r / 255.0, c.g / 255.0, c.b / 255.0);
}

}  // namespace

int Pen::rows() const { return std::max(1, static_cast<int>(std::lround(width))); }
int Pen::columns() const { return std::max(1, static_cast<int>(std::lround(width * x_scale))); }
int Pen::rim_rows() const { return std::max(1, rows() / 3); }
int Pen::rim_columns() const { return std::max(1, columns() / 3); }

PixelRect add_outline(const PixelRect &box, const Pen &pen, int width, int height,
                      std::vector<Layer> *layers) {
  PixelRect inner = expand(box, 0, 0, width, height);
  if (inner.empty()) return {};
  const int columns = pen.columns(), rows = pen.rows();
  const PixelRect line = expand(inner, columns, rows, width, height);
  // Where the frame ends, the line takes its width from the box.
  inner = {std::max(inner.x_min, line.x_min + columns), std::max(inner.y_min, line.y_min + rows),
           std::min(inner.x_max, line.x_max - columns), std::min(inner.y_max, line.y_max - rows)};
  const PixelRect rim = expand(line, pen.rim_columns(), pen.rim_rows(), width, height);
  add_ring(rim, line, kRim, layers);
  if (inner.empty())
    add_solid(line, opaque(pen.colour), layers);
  else
    add_ring(line, inner, opaque(pen.colour), layers);
  return line;
}

PixelRect add_dot(int x, int y, double radius, const Pen &pen, std::vector<Layer> *layers) {
  const double ring = radius + std::max(1.0, radius * 0.3);
  const double rim = ring + std::max(1.0, radius * 0.2);
  const int columns = static_cast<int>(std::ceil(rim * pen.x_scale));
  const int rows = static_cast<int>(std::ceil(rim));
  const PixelRect rect = {x - columns, y - rows, x + columns + 1, y + rows + 1};
  add_drawing(rect, layers, [&](cairo_t *cairo) {
    cairo_translate(cairo, x + 0.5, y + 0.5);
    cairo_scale(cairo, pen.x_scale, 1);
    const auto disc = [&](double r) {
      cairo_arc(cairo, 0, 0, r, 0, 2 * std::acos(-1.0));
      cairo_fill(cairo);
    };
    cairo_set_source_rgba(cairo, 0, 0, 0, kRimOpacity);
    disc(rim);
    cairo_set_source_rgb(cairo, 1, 1, 1);
    disc(ring);
    set_colour(cairo, pen.colour);
    disc(radius);
  });
  return rect;
}

void add_ray(int x0, int y0, int x1, int y1, const Pen &pen, std::vector<Layer> *layers) {
  const double rim = pen.rim_rows();
  // Half of the widest stroke, and a pixel for its smooth edge.
  const int reach_y = static_cast<int>(std::ceil(pen.width / 2 + rim)) + 1;
  const int reach_x = static_cast<int>(std::ceil((pen.width / 2 + rim) * pen.x_scale)) + 1;
  const int top = std::min(y0, y1) - reach_y, bottom = std::max(y0, y1) + reach_y + 1;
  const auto x_at = [&](double y) {
    const double t = y0 == y1 ? 0 : std::clamp((y - y0) / (y1 - y0), 0.0, 1.0);
    return x0 + t * (x1 - x0);
  };
  for (int y = top; y < bottom; y += kStripRows) {
    const int y_end = std::min(bottom, y + kStripRows);
    // The parts of the line whose stroke reaches into this strip.
    const double xa = y0 == y1 ? x0 : x_at(y - reach_y), xb = y0 == y1 ? x1 : x_at(y_end + reach_y);
    const PixelRect rect = {static_cast<int>(std::floor(std::min(xa, xb))) - reach_x, y,
                            static_cast<int>(std::ceil(std::max(xa, xb))) + reach_x + 1, y_end};
    add_drawing(rect, layers, [&](cairo_t *cairo) {
      cairo_move_to(cairo, x0 + 0.5, y0 + 0.5);
      cairo_line_to(cairo, x1 + 0.5, y1 + 0.5);
      // A path keeps its points in frame pixels; only the stroke is drawn with a scaled pen.
      cairo_scale(cairo, pen.x_scale, 1);
      cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
      cairo_set_source_rgba(cairo, 0, 0, 0, kRimOpacity);
      cairo_set_line_width(cairo, pen.width + 2 * rim);
      cairo_stroke_preserve(cairo);
      set_colour(cairo, pen.colour);
      cairo_set_line_width(cairo, pen.width);
      cairo_stroke(cairo);
    });
  }
}

}  // namespace moondream::overlay
