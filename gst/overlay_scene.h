// What is to be drawn on a frame, and its rendering into layers.
//
// A Scene holds pixels and finished texts, nothing of where they came from, so two results that
// look the same are equal scenes: whoever draws compares it with the last one and renders only when
// something visible has changed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "overlay_layer.h"
#include "overlay_text.h"
#include "types.h"

namespace moondream::overlay {

struct SceneBox {
  PixelRect box;
  std::string label;  // chooses the colour
  Paragraph tag;      // empty: no tag

  bool operator==(const SceneBox &) const = default;
};

struct ScenePoint {
  int x = 0, y = 0;  // the pixel that holds it
  std::string label;
  Paragraph tag;

  bool operator==(const ScenePoint &) const = default;
};

struct SceneRay {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // pixels

  bool operator==(const SceneRay &) const = default;
};

struct Scene {
  int width = 0, height = 0;  // of the frame, pixels, >= 1
  double pixel_aspect = 1;    // > 0, width of a pixel relative to its height on the display
  std::string font;           // family
  int line_width = 0;         // rows; 0 = by the frame's size
  std::vector<SceneBox> boxes;
  std::vector<ScenePoint> points;
  std::vector<SceneRay> rays;
  std::vector<Paragraph> panel;  // text at the bottom of the frame

  bool empty() const { return boxes.empty() && points.empty() && rays.empty() && panel.empty(); }
  bool operator==(const Scene &) const = default;
};

// Sizes that are legible on a frame, in display units (rows of the frame).
struct Metrics {
  double line;        // of boxes and rays
  double tag_size;    // em of labels
  double panel_size;  // em of the text at the bottom
  double dot_radius;
  int margin;  // between the panel and the frame's edges
};
Metrics metrics_of(const Scene &scene);

// The pixels of a width x height frame that `box` touches: fractions are clamped to the frame and
// rounded outwards. Empty if it is not a number, is inside out or has nothing in the frame.
PixelRect pixels_of(const Box &box, int width, int height);

// The pixel that holds `point`, clamped to the frame. False if it is not a number.
bool pixel_of(const Point &point, int width, int height, int *x, int *y);

// Renders scenes. Texts that the last scene had, too, are not rendered again.
// Thread-safety: one thread at a time.
class SceneRenderer {
 public:
  // Bottom layer first. Tags stand where they are inside the frame and do not cover each other or
  // the panel, as far as there is such a place. Text that is larger than the frame is left out.
  std::vector<Layer> render(const Scene &scene);

 private:
  using Text = std::shared_ptr<const Bitmap>;
  // Everything that the bitmap of a tag or panel depends on.
  struct TextKey {
    std::vector<Paragraph> paragraphs;  // one of a tag
    TextStyle style;
    std::optional<Colour> background;  // of a tag; absent: a panel
    int max_width = 0, max_height = 0;

    bool operator==(const TextKey &) const = default;
  };
  struct CachedText {
    TextKey key;
    Text text;  // null: does not fit
  };

  Text text(TextKey key);

  TextRenderer renderer_;
  std::vector<CachedText> texts_, last_texts_;  // of the scene being rendered, and the one before
};

}  // namespace moondream::overlay
