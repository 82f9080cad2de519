// Text as bitmaps: a one-line tag on a filled background, and a panel of wrapped paragraphs.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "overlay_layer.h"

typedef struct _PangoContext PangoContext;
typedef struct _PangoLayout PangoLayout;

namespace moondream::overlay {

struct TextStyle {
  std::string font;    // family name as fontconfig knows it; another is used if it is not there
  double size = 0;     // pixels, height of the em
  double x_scale = 1;  // > 0, width of a frame's row of text relative to its natural width:
                       // 1 / pixel aspect ratio

  bool operator==(const TextStyle &) const = default;
};

// A stretch of text that is laid out from left to right or right to left on its own, whatever
// stands beside it.
struct TextRun {
  std::string text;    // any bytes: invalid UTF-8 and control characters are replaced, not markup
  bool quiet = false;  // drawn less brightly, where the drawing makes a difference

  bool operator==(const TextRun &) const = default;
};

using Paragraph = std::vector<TextRun>;  // drawn with a space between the runs

// Valid UTF-8 of at most `max_characters`: invalid bytes become U+FFFD; control characters and runs
// of spaces become one space, or one line feed if there was a line break among them and
// `keep_lines` is set; none at the ends.
std::string printable(std::string_view text, std::size_t max_characters, bool keep_lines);

// Any script that the installed fonts have. Everything it returns is as small as the text allows.
// Thread-safety: one thread at a time.
class TextRenderer {
 public:
  TextRenderer();
  ~TextRenderer();
  TextRenderer(const TextRenderer &) = delete;
  TextRenderer &operator=(const TextRenderer &) = delete;

  // One line on a filled background, no wider than `max_width` pixels: the middle of a longer text
  // is left out. Null if nothing printable is in it or if it does not fit `max_width` and
  // `max_height`.
  std::shared_ptr<const Bitmap> tag(const Paragraph &text, const TextStyle &style,
                                    Colour background, int max_width, int max_height);

  // Wrapped paragraphs, light on translucent dark, no larger than `max_width` x `max_height`
  // pixels: lines that do not fit are left out. Null as above.
  std::shared_ptr<const Bitmap> panel(const std::vector<Paragraph> &paragraphs,
                                      const TextStyle &style, int max_width, int max_height);

 private:
  struct Markup;  // text with the stretches that are quiet
  std::unique_ptr<PangoLayout, void (*)(PangoLayout *)> layout(const Markup &markup,
                                                               const TextStyle &style);

  std::unique_ptr<PangoContext, void (*)(PangoContext *)> context_;
};

}  // namespace moondream::overlay
