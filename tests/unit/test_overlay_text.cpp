// Texts as bitmaps. Needs any one font; which one does not matter.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "overlay_palette.h"
#include "overlay_text.h"

namespace moondream::overlay {
namespace {

constexpr Colour kYellow = {0xff, 0xd6, 0x0a};

TextStyle style(double size, double x_scale = 1) { return {"Sans", size, x_scale}; }

std::shared_ptr<const Bitmap> tag_of(const std::string &text, double size = 20,
                                     int max_width = 1000) {
  return TextRenderer().tag({{text}}, style(size), kYellow, max_width, 1000);
}

// Pixels that are not of the background.
int ink(const Bitmap &bitmap) {
  return static_cast<int>(std::count_if(bitmap.pixels.begin(), bitmap.pixels.end(),
                                        [](std::uint32_t p) { return p != 0xffffd60au; }));
}

TEST(Printable, ReplacesWhatCannotBeShown) {
  EXPECT_EQ(printable("a\tb\x01\x7f c", 100, true), "a b c");
  EXPECT_EQ(printable("  a \r\n\n b  ", 100, true), "a\nb");
  EXPECT_EQ(printable("  a \r\n\n b  ", 100, false), "a b");
  EXPECT_EQ(printable("a\u2028b\u2029c\u0085d", 100, true), "a\nb\nc\nd");
  EXPECT_EQ(printable("x\xff\xfey", 100, true), "x\ufffd\ufffdy");
  EXPECT_EQ(printable(std::string_view("a\0b", 3), 100, true), "a\ufffdb");
  EXPECT_EQ(printable(" \n\t ", 100, true), "");
}

TEST(Printable, CutsBetweenCharacters) {
  std::string long_text;
  for (int i = 0; i < 50; ++i) long_text += "\u00e9";
  EXPECT_EQ(printable(long_text, 7, true).size(), 14u);
  EXPECT_EQ(printable(std::string(1'000'000, 'x'), 7, true), "xxxxxxx");
}

TEST(Palette, ColoursAreTheSameOnEveryMachine) {
  EXPECT_EQ(label_colour("face"), (Colour{0xff, 0x37, 0x95}));
  EXPECT_EQ(label_colour("license plate"), (Colour{0x00, 0xc7, 0xbe}));
}

TEST(Palette, LabelsSpreadOverAllColours) {
  std::set<int> seen;
  for (int i = 0; i < 200; ++i) {
    const Colour c = label_colour("label " + std::to_string(i));
    seen.insert(c.r << 16 | c.g << 8 | c.b);
  }
  EXPECT_EQ(seen.size(), 12u);
}

TEST(Palette, InkStandsOut) {
  EXPECT_EQ(contrasting(kYellow), (Colour{0, 0, 0}));
  EXPECT_EQ(contrasting({255, 255, 255}), (Colour{0, 0, 0}));
  EXPECT_EQ(contrasting({0, 0, 128}), (Colour{255, 255, 255}));
}

TEST(TextRenderer, TagHasInkOnAFilledBackground) {
  const auto tag = tag_of("face 93%");
  ASSERT_TRUE(tag);
  EXPECT_EQ(tag->pixels.front(), 0xffffd60au);
  EXPECT_EQ(tag->pixels.back(), 0xffffd60au);
  EXPECT_NE(std::count(tag->pixels.begin(), tag->pixels.end(), 0xff000000u), 0) << "black strokes";
  // A line is at least as high as its em and, with its padding, not twice that.
  EXPECT_GE(tag->height, 20);
  EXPECT_LE(tag->height, 40);
}

TEST(TextRenderer, WidthFollowsThePixelAspect) {
  TextRenderer renderer;
  const auto square = renderer.tag({{"face"}}, style(40, 1), kYellow, 1000, 1000);
  const auto narrow = renderer.tag({{"face"}}, style(40, 0.5), kYellow, 1000, 1000);
  EXPECT_EQ(narrow->height, square->height);
  // Up to a pixel from rounding each up, and one from glyphs placed by half pixels.
  EXPECT_NEAR(narrow->width, square->width / 2.0, 2);
}

// The end holds the score.
TEST(TextRenderer, LongTagLosesItsMiddleAndFits) {
  TextRenderer renderer;
  const std::string words(300, 'm');
  const auto tag = renderer.tag({{words}, {"93%"}}, style(20), kYellow, 200, 1000);
  ASSERT_TRUE(tag);
  EXPECT_LE(tag->width, 200);
  EXPECT_GT(tag->width, 150);
  const auto other = renderer.tag({{words}, {"17%"}}, style(20), kYellow, 200, 1000);
  EXPECT_NE(other->pixels, tag->pixels) << "the score is seen";
}

TEST(TextRenderer, NothingIsDrawnWhereNothingFitsOrIsThere) {
  TextRenderer renderer;
  EXPECT_FALSE(renderer.tag({{"face"}}, style(20), kYellow, 10, 1000));
  EXPECT_FALSE(renderer.tag({{"face"}}, style(20), kYellow, 1000, 10));
  EXPECT_FALSE(renderer.tag({{" \x01\n"}}, style(20), kYellow, 1000, 1000));
  EXPECT_FALSE(renderer.tag({}, style(20), kYellow, 1000, 1000));
  EXPECT_FALSE(renderer.panel({{{"some text"}}}, style(20), 30, 1000));
  EXPECT_FALSE(renderer.panel({{{"some text"}}}, style(20), 1000, 20));
  EXPECT_FALSE(renderer.panel({{{""}}, {}}, style(20), 1000, 1000));
  EXPECT_FALSE(renderer.panel({{{"x"}}}, style(20), -4, -4));
}

// Text of users and models is text: a tag that reads "<b>" must not become bold, or vanish.
TEST(TextRenderer, MarkupIsShownAsItIsWritten) {
  EXPECT_GT(tag_of("<b>x</b>")->width, tag_of("x")->width + 20);
  EXPECT_TRUE(tag_of("<unclosed & \"quoted\""));
}

TEST(TextRenderer, InvalidUtf8IsShown) {
  const auto tag = tag_of("caf\xe9\xff");
  ASSERT_TRUE(tag);
  EXPECT_GT(ink(*tag), 0);
}

// A label that ends in an override must not turn its score around.
TEST(TextRenderer, DirectionsDoNotLeakOutOfALabel) {
  TextRenderer renderer;
  const auto end_of = [&](const std::string &label) {
    const auto tag = renderer.tag({{label}, {"93%"}}, style(20), kYellow, 1000, 1000);
    // The score is some 45 pixels wide.
    std::vector<std::uint32_t> pixels;
    for (int y = 0; y < tag->height; ++y)
      pixels.insert(pixels.end(), tag->pixels.begin() + (y + 1) * tag->width - 45,
                    tag->pixels.begin() + (y + 1) * tag->width);
    return pixels;
  };
  EXPECT_EQ(end_of("mm\u202emm\u202c"), end_of("mmmm"));
  EXPECT_EQ(end_of("mm\u202emm"), end_of("mmmm")) << "not closed";
  EXPECT_EQ(end_of("mm\u2067mm"), end_of("mmmm")) << "not closed";
}

TEST(TextRenderer, PanelWrapsWithinItsWidth) {
  TextRenderer renderer;
  const std::string sentence =
      "Two people walk along a wet street beside a parked car, while a third rides a bicycle.";
  const auto wide = renderer.panel({{{sentence}}}, style(20), 5000, 5000);
  const auto narrow = renderer.panel({{{sentence}}}, style(20), 300, 5000);
  ASSERT_TRUE(wide && narrow);
  EXPECT_LE(narrow->width, 300);
  EXPECT_GE(narrow->height, 3 * 20);
  EXPECT_GT(wide->width, 600);
  EXPECT_LT(wide->height, 2.5 * 20);
}

TEST(TextRenderer, WordsLongerThanALineAreBroken) {
  const auto panel = TextRenderer().panel({{{std::string(200, 'w')}}}, style(20), 300, 5000);
  ASSERT_TRUE(panel);
  EXPECT_LE(panel->width, 300);
  EXPECT_GT(panel->height, 5 * 20);
}

TEST(TextRenderer, PanelNeverExceedsItsHeight) {
  TextRenderer renderer;
  std::string text;
  for (int i = 0; i < 300; ++i) text += i % 7 ? "word " : "line\n";
  for (int height = 50; height < 200; height += 7) {
    const auto panel = renderer.panel({{{text}}, {{text}}, {{text}}}, style(20), 300, height);
    ASSERT_TRUE(panel);
    EXPECT_LE(panel->height, height);
    EXPECT_GT(panel->height, height - 2 * 25) << "a line less than there is room for";
  }
}

// Marks may be stacked without end; they must not be drawn over the line above or out of the panel.
TEST(TextRenderer, StackedMarksStayInside) {
  std::string text = "a";
  for (int i = 0; i < 100; ++i) text += "\u0301";
  const auto panel = TextRenderer().panel({{{text}}}, style(20), 300, 300);
  ASSERT_TRUE(panel);
  EXPECT_LE(panel->height, 300);
}

TEST(TextRenderer, QuietTextIsDimmerThanTheRest) {
  TextRenderer renderer;
  const auto brightest = [&](bool quiet) {
    const auto panel = renderer.panel({{{"mmmm", quiet}}}, style(30), 1000, 1000);
    std::uint32_t most = 0;
    for (const std::uint32_t pixel : panel->pixels) most = std::max(most, pixel & 0xff);
    return most;
  };
  EXPECT_GE(brightest(false), 250u);
  EXPECT_NEAR(brightest(true), 0.72 * 255, 5);  // a step of Pango's, and of antialiasing
}

}  // namespace
}  // namespace moondream::overlay
