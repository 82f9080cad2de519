#include "overlay_text.h"

#include <glib.h>
#include <pango/pangocairo.h>

#include <algorithm>
#include <cmath>

#include "overlay_palette.h"

namespace moondream::overlay {
namespace {

// A tag holds a label of the user, a panel what the model says: more than these would not be
// legible, and laying out text takes time that grows with its length.
constexpr std::size_t kMaxTagCharacters = 200;
constexpr std::size_t kMaxPanelCharacters = 4000;

constexpr double kPanelOpacity = 0.62;
constexpr double kQuietBrightness = 0.72;

// Keep a stretch's direction from touching its neighbours.
constexpr const char *kFirstStrongIsolate = "\u2068";
constexpr const char *kPopDirectionalIsolate = "\u2069";

struct GFree {
  void operator()(char *p) const { g_free(p); }
};

template <auto function>
struct Release {
  template <typename T>
  void operator()(T *p) const {
    function(p);
  }
};
using Surface = std::unique_ptr<cairo_surface_t, Release<cairo_surface_destroy>>;
using Cairo = std::unique_ptr<cairo_t, Release<cairo_destroy>>;

bool is_line_break(gunichar c) {
  return c == '\n' || c == '\r' || c == '\v' || c == '\f' || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

// What surrounds the text of a given size, in display units.
struct Padding {
  double x, y, radius;
};

Padding tag_padding(double size) { return {std::max(2.0, 0.35 * size), 0.12 * size, 0}; }

Padding panel_padding(double size) { return {0.7 * size, 0.45 * size, 0.35 * size}; }

void rounded_rectangle(cairo_t *cairo, double width, double height, double radius) {
  cairo_new_sub_path(cairo);
  cairo_arc(cairo, width - radius, radius, radius, -G_PI / 2, 0);
  cairo_arc(cairo, width - radius, height - radius, radius, 0, G_PI / 2);
  cairo_arc(cairo, radius, height - radius, radius, G_PI / 2, G_PI);
  cairo_arc(cairo, radius, radius, radius, G_PI, 3 * G_PI / 2);
  cairo_close_path(cairo);
}

// Draws the background, then the layout with its logical rectangle at the padding's offset, its
// height cut to `text_height`; all in display units, on a bitmap of whole pixels.
template <typename SetBackground>
std::shared_ptr<const Bitmap> paint(PangoLayout *layout, double text_x, double text_width,
                                    double text_height, const Padding &padding,
                                    const TextStyle &style, Colour ink, SetBackground background) {
  const double width = text_width + 2 * padding.x;
  const double height = text_height + 2 * padding.y;
  auto bitmap = std::make_shared<Bitmap>();
  bitmap->width = std::max(1, static_cast<int>(std::ceil(width * style.x_scale)));
  bitmap->height = std::max(1, static_cast<int>(std::ceil(height)));
  bitmap->pixels.resize(static_cast<std::size_t>(bitmap->width) * bitmap->height);
  const Surface surface(cairo_image_surface_create_for_data(
      reinterpret_cast<unsigned char *>(bitmap->pixels.data()), CAIRO_FORMAT_ARGB32, bitmap->width,
      bitmap->height, bitmap->width * 4));
  const Cairo cairo(cairo_create(surface.get()));
  cairo_scale(cairo.get(), style.x_scale, 1);

  background(cairo.get());
  rounded_rectangle(cairo.get(), bitmap->width / style.x_scale, bitmap->height, padding.radius);
  cairo_fill(cairo.get());

  // Marks stacked on each other can reach far beyond their line, and a cut text has lines below.
  cairo_rectangle(cairo.get(), 0, 0, width, padding.y + text_height);
  cairo_clip(cairo.get());
  cairo_set_source_rgb(cairo.get(), ink.r / 255.0, ink.g / 255.0, ink.b / 255.0);
  cairo_move_to(cairo.get(), padding.x - text_x, padding.y);
  pango_cairo_show_layout(cairo.get(), layout);
  cairo_surface_flush(surface.get());
  if (cairo_status(cairo.get()) != CAIRO_STATUS_SUCCESS) return nullptr;
  return bitmap;
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_characters, bool keep_lines) {
  // A character has at most four bytes: cut first, so that the rest costs nothing.
  text = text.substr(0, max_characters * 4);
  const std::unique_ptr<char, GFree> valid(
      g_utf8_make_valid(text.data(), static_cast<gssize>(text.size())));
  std::string out;
  std::size_t characters = 0;
  bool space = false, line = false;
  for (const char *p = valid.get(); *p && characters < max_characters; p = g_utf8_next_char(p)) {
    const gunichar c = g_utf8_get_char(p);
    if (is_line_break(c)) {
      line = true;
    } else if (g_unichar_isspace(c) || g_unichar_iscntrl(c)) {
      space = true;
    } else {
      if ((space || line) && !out.empty()) {
        out += line && keep_lines ? '\n' : ' ';
        ++characters;
      }
      space = line = false;
      out.append(p, static_cast<std::size_t>(g_utf8_next_char(p) - p));
      ++characters;
    }
  }
  return out;
}

struct TextRenderer::Markup {
  struct Span {
    guint start, end;  // bytes
  };
  std::string text;
  std::vector<Span> quiet;

  void append(const Paragraph &paragraph, std::size_t max_characters, bool keep_lines) {
    bool first = true;
    for (const TextRun &run : paragraph) {
      const std::string shown = printable(run.text, max_characters, keep_lines);
      if (shown.empty()) continue;
      if (first && !text.empty()) text += '\n';
      if (!first) text += ' ';
      first = false;
      const auto start = static_cast<guint>(text.size());
      text += kFirstStrongIsolate + shown + kPopDirectionalIsolate;
      if (run.quiet) quiet.push_back({start, static_cast<guint>(text.size())});
    }
  }
};

TextRenderer::TextRenderer() : context_(nullptr, [](PangoContext *p) { g_object_unref(p); }) {
  // A font map of its own, for the default one belongs to the thread that asks for it.
  PangoFontMap *fonts = pango_cairo_font_map_new();
  // Sizes are given in pixels, so the resolution only has to be a known one.
  pango_cairo_font_map_set_resolution(PANGO_CAIRO_FONT_MAP(fonts), 72);
  context_.reset(pango_font_map_create_context(fonts));
  g_object_unref(fonts);

  cairo_font_options_t *options = cairo_font_options_create();
  // Subpixel colours would be wrong on video, and hinted metrics would change under scaling.
  cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
  cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
  pango_cairo_context_set_font_options(context_.get(), options);
  cairo_font_options_destroy(options);
}

TextRenderer::~TextRenderer() = default;

std::unique_ptr<PangoLayout, void (*)(PangoLayout *)> TextRenderer::layout(const Markup &markup,
                                                                           const TextStyle &style) {
  std::unique_ptr<PangoLayout, void (*)(PangoLayout *)> layout(
      pango_layout_new(context_.get()), [](PangoLayout *p) { g_object_unref(p); });
  PangoFontDescription *font = pango_font_description_new();
  pango_font_description_set_family(font, style.font.c_str());
  pango_font_description_set_absolute_size(font, style.size * PANGO_SCALE);
  pango_layout_set_font_description(layout.get(), font);
  pango_font_description_free(font);

  PangoAttrList *attributes = pango_attr_list_new();
  const auto brightness = static_cast<guint16>(kQuietBrightness * 65535);
  for (const Markup::Span &span : markup.quiet) {
    PangoAttribute *colour = pango_attr_foreground_new(brightness, brightness, brightness);
    colour->start_index = span.start;
    colour->end_index = span.end;
    pango_attr_list_insert(attributes, colour);
  }
  pango_layout_set_attributes(layout.get(), attributes);
  pango_attr_list_unref(attributes);

  pango_layout_set_text(layout.get(), markup.text.c_str(), static_cast<int>(markup.text.size()));
  return layout;
}

std::shared_ptr<const Bitmap> TextRenderer::tag(const Paragraph &text, const TextStyle &style,
                                                Colour background, int max_width, int max_height) {
  Markup markup;
  markup.append(text, kMaxTagCharacters, /*keep_lines=*/false);
  markup.quiet.clear();  // a tag has one ink, chosen for its background
  if (markup.text.empty()) return nullptr;
  const auto line = layout(markup, style);
  const Padding padding = tag_padding(style.size);
  const double room = max_width / style.x_scale - 2 * padding.x;
  PangoRectangle natural;
  pango_layout_get_extents(line.get(), nullptr, &natural);
  if (natural.width > room * PANGO_SCALE) {
    // Some three letters and the ellipsis are the least that says anything.
    if (room < 2 * style.size) return nullptr;
    pango_layout_set_width(line.get(), static_cast<int>(room * PANGO_SCALE));
    // The middle, so that a score at the end stays.
    pango_layout_set_ellipsize(line.get(), PANGO_ELLIPSIZE_MIDDLE);
    pango_layout_get_extents(line.get(), nullptr, &natural);
  }
  const double height = static_cast<double>(natural.height) / PANGO_SCALE;
  if (std::ceil(height + 2 * padding.y) > max_height) return nullptr;
  return paint(line.get(), static_cast<double>(natural.x) / PANGO_SCALE,
               static_cast<double>(natural.width) / PANGO_SCALE, height, padding, style,
               contrasting(background), [&](cairo_t *cairo) {
                 cairo_set_source_rgb(cairo, background.r / 255.0, background.g / 255.0,
                                      background.b / 255.0);
               });
}

std::shared_ptr<const Bitmap> TextRenderer::panel(const std::vector<Paragraph> &paragraphs,
                                                  const TextStyle &style, int max_width,
                                                  int max_height) {
  Markup markup;
  for (const Paragraph &paragraph : paragraphs)
    markup.append(paragraph, kMaxPanelCharacters, /*keep_lines=*/true);
  if (markup.text.empty()) return nullptr;
  const auto lines = layout(markup, style);
  const Padding padding = panel_padding(style.size);
  const double width = max_width / style.x_scale - 2 * padding.x;
  const double height = max_height - 2 * padding.y;
  if (width < 4 * style.size || height < style.size) return nullptr;
  pango_layout_set_width(lines.get(), static_cast<int>(width * PANGO_SCALE));
  pango_layout_set_wrap(lines.get(), PANGO_WRAP_WORD_CHAR);
  pango_layout_set_height(lines.get(), static_cast<int>(height * PANGO_SCALE));
  pango_layout_set_ellipsize(lines.get(), PANGO_ELLIPSIZE_END);

  // A paragraph has a line at least, however small the height: show the whole lines that fit.
  int bottom = 0, left = G_MAXINT, right = 0;
  PangoLayoutIter *line = pango_layout_get_iter(lines.get());
  do {
    PangoRectangle extents;
    int y_start, y_end;
    pango_layout_iter_get_line_extents(line, nullptr, &extents);
    pango_layout_iter_get_line_yrange(line, &y_start, &y_end);
    if (y_end > height * PANGO_SCALE) break;
    bottom = y_end;
    left = std::min(left, extents.x);
    right = std::max(right, extents.x + extents.width);
  } while (pango_layout_iter_next_line(line));
  pango_layout_iter_free(line);
  if (bottom == 0) return nullptr;

  return paint(lines.get(), static_cast<double>(left) / PANGO_SCALE,
               static_cast<double>(right - left) / PANGO_SCALE,
               static_cast<double>(bottom) / PANGO_SCALE, padding, style, Colour{255, 255, 255},
               [](cairo_t *cairo) { cairo_set_source_rgba(cairo, 0, 0, 0, kPanelOpacity); });
}

}  // namespace moondream::overlay
