#include "overlay_scene.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "overlay_palette.h"
#include "overlay_shapes.h"

namespace moondream::overlay {
namespace {

// Shares of the shorter side of the picture on a display, and the least that is legible in pixels.
constexpr double kLineShare = 0.0045, kMinLine = 2;
constexpr double kTagShare = 0.027, kMinTagSize = 11;
constexpr double kPanelShare = 0.034, kMinPanelSize = 12;
constexpr double kDotShare = 0.008, kMinDotRadius = 3;
constexpr double kMarginShare = 0.03;
// A wider tag is cut, unless its box is as wide.
constexpr double kMaxTagShare = 0.5;
// But never to less than about this many letters.
constexpr double kMinTagEms = 12;
// A caption must leave most of the picture to be seen.
constexpr double kMaxPanelShare = 0.45;

constexpr Colour kRayColour = {0xff, 0xd6, 0x0a};

PixelRect covered_by(const Layer &layer) {
  return {layer.x, layer.y, layer.x + layer.bitmap->width, layer.y + layer.bitmap->height};
}

// Where a bitmap of width x height pixels goes: the first of the places (top left corners, moved
// into the frame) that covers nothing taken, else the first of all.
Layer place(const std::shared_ptr<const Bitmap> &bitmap, std::span<const std::array<int, 2>> places,
            const Scene &scene, std::span<const PixelRect> taken) {
  std::optional<Layer> first;
  for (const auto &[x, y] : places) {
    const Layer layer = {std::clamp(x, 0, scene.width - bitmap->width),
                         std::clamp(y, 0, scene.height - bitmap->height), bitmap};
    const PixelRect rect = covered_by(layer);
    if (std::none_of(taken.begin(), taken.end(),
                     [&](const PixelRect &other) { return rect.intersects(other); }))
      return layer;
    if (!first) first = layer;
  }
  return *first;
}

Layer place_box_tag(const std::shared_ptr<const Bitmap> &bitmap, const PixelRect &line,
                    const Scene &scene, std::span<const PixelRect> taken) {
  const int left = line.x_min, right = line.x_max - bitmap->width;
  const int above = line.y_min - bitmap->height, below = line.y_max;
  std::vector<std::array<int, 2>> places;
  if (above >= 0) places.insert(places.end(), {{left, above}, {right, above}});
  places.push_back({left, line.y_min});
  if (below + bitmap->height <= scene.height) places.push_back({left, below});
  places.push_back({right, line.y_min});
  places.push_back({left, line.y_max - bitmap->height});
  places.push_back({right, line.y_max - bitmap->height});
  return place(bitmap, places, scene, taken);
}

Layer place_dot_tag(const std::shared_ptr<const Bitmap> &bitmap, const PixelRect &dot,
                    const Scene &scene, std::span<const PixelRect> taken) {
  const int middle_x = (dot.x_min + dot.x_max - bitmap->width) / 2;
  const int middle_y = (dot.y_min + dot.y_max - bitmap->height) / 2;
  std::vector<std::array<int, 2>> places;
  if (dot.x_max + bitmap->width <= scene.width) places.push_back({dot.x_max, middle_y});
  if (dot.x_min >= bitmap->width) places.push_back({dot.x_min - bitmap->width, middle_y});
  if (dot.y_min >= bitmap->height) places.push_back({middle_x, dot.y_min - bitmap->height});
  places.push_back({middle_x, dot.y_max});
  return place(bitmap, places, scene, taken);
}

}  // namespace

Metrics metrics_of(const Scene &scene) {
  const double side = std::min(scene.width * scene.pixel_aspect, double(scene.height));
  return {.line = scene.line_width > 0 ? scene.line_width : std::max(kMinLine, kLineShare * side),
          .tag_size = std::max(kMinTagSize, kTagShare * side),
          .panel_size = std::max(kMinPanelSize, kPanelShare * side),
          .dot_radius = std::max(kMinDotRadius, kDotShare * side),
          .margin = static_cast<int>(kMarginShare * side)};
}

PixelRect pixels_of(const Box &box, int width, int height) {
  // Written so that a NaN fails it.
  if (!(box.x_min < box.x_max && box.y_min < box.y_max)) return {};
  const auto clamped = [](double v, int n) { return std::clamp(v, 0.0, 1.0) * n; };
  return {static_cast<int>(std::floor(clamped(box.x_min, width))),
          static_cast<int>(std::floor(clamped(box.y_min, height))),
          static_cast<int>(std::ceil(clamped(box.x_max, width))),
          static_cast<int>(std::ceil(clamped(box.y_max, height)))};
}

bool pixel_of(const Point &point, int width, int height, int *x, int *y) {
  if (std::isnan(point.x) || std::isnan(point.y)) return false;
  *x = std::min(width - 1, static_cast<int>(std::clamp(point.x, 0.0, 1.0) * width));
  *y = std::min(height - 1, static_cast<int>(std::clamp(point.y, 0.0, 1.0) * height));
  return true;
}

SceneRenderer::Text SceneRenderer::text(TextKey key) {
  for (const auto *texts : {&texts_, &last_texts_}) {
    for (const CachedText &cached : *texts) {
      if (cached.key != key) continue;
      const Text found = cached.text;
      if (texts == &last_texts_) texts_.push_back({std::move(key), found});
      return found;
    }
  }
  const Text rendered =
      key.background ? renderer_.tag(key.paragraphs.front(), key.style, *key.background,
                                     key.max_width, key.max_height)
                     : renderer_.panel(key.paragraphs, key.style, key.max_width, key.max_height);
  texts_.push_back({std::move(key), rendered});
  return rendered;
}

std::vector<Layer> SceneRenderer::render(const Scene &scene) {
  last_texts_ = std::move(texts_);
  texts_.clear();
  const Metrics metrics = metrics_of(scene);
  const double x_scale = 1 / scene.pixel_aspect;
  const auto pen = [&](Colour colour) { return Pen{colour, metrics.line, x_scale}; };

  std::vector<Layer> shapes, tags;
  std::vector<PixelRect> taken;  // by text

  Text panel;
  if (!scene.panel.empty()) {
    const int margin_x = static_cast<int>(metrics.margin * x_scale);
    panel = text({.paragraphs = scene.panel,
                  .style = {scene.font, metrics.panel_size, x_scale},
                  .max_width = scene.width - 2 * margin_x,
                  .max_height = static_cast<int>(kMaxPanelShare * scene.height)});
  }
  Layer panel_layer;
  if (panel) {
    panel_layer = {(scene.width - panel->width) / 2,
                   std::max(0, scene.height - metrics.margin - panel->height), panel};
    taken.push_back(covered_by(panel_layer));
  }

  const int usual_width =
      std::min(scene.width, static_cast<int>(std::max(kMaxTagShare * scene.width,
                                                      kMinTagEms * metrics.tag_size * x_scale)));
  const auto tag = [&](const Paragraph &paragraph, const std::string &label, int room) -> Text {
    if (paragraph.empty()) return nullptr;
    return text({.paragraphs = {paragraph},
                 .style = {scene.font, metrics.tag_size, x_scale},
                 .background = label_colour(label),
                 .max_width = room > usual_width ? scene.width : usual_width,
                 .max_height = scene.height});
  };
  const auto keep = [&](Layer layer) {
    taken.push_back(covered_by(layer));
    tags.push_back(std::move(layer));
  };

  for (const SceneRay &ray : scene.rays) {
    add_ray(ray.x0, ray.y0, ray.x1, ray.y1, pen(kRayColour), &shapes);
    add_dot(ray.x1, ray.y1, metrics.dot_radius, pen(kRayColour), &shapes);
  }
  for (const SceneBox &box : scene.boxes) {
    const PixelRect line =
        add_outline(box.box, pen(label_colour(box.label)), scene.width, scene.height, &shapes);
    if (line.empty()) continue;
    if (const Text bitmap = tag(box.tag, box.label, line.width()))
      keep(place_box_tag(bitmap, line, scene, taken));
  }
  for (const ScenePoint &point : scene.points) {
    const PixelRect dot =
        add_dot(point.x, point.y, metrics.dot_radius, pen(label_colour(point.label)), &shapes);
    if (const Text bitmap = tag(point.tag, point.label, 0))
      keep(place_dot_tag(bitmap, dot, scene, taken));
  }

  std::vector<Layer> layers = std::move(shapes);
  std::move(tags.begin(), tags.end(), std::back_inserter(layers));
  if (panel) layers.push_back(std::move(panel_layer));
  return layers;
}

}  // namespace moondream::overlay
