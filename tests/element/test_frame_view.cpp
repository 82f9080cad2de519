#include "frame_view.h"

#include <gtest/gtest.h>

#include <cmath>
#include <ostream>
#include <string>

namespace moondream {

// Otherwise GoogleTest prints its bytes, those that are not part of any member included.
static void PrintTo(const Orientation &orientation, std::ostream *out) {
  *out << (orientation.mirrored ? "mirrored, " : "") << orientation.turns << " turns";
}

namespace {

// A picture whose every pixel says where it is: red is its column, green its row.
std::shared_ptr<const Image> places(int width, int height) {
  auto image = std::make_shared<Image>(Image{.width = width, .height = height, .pixels = {}});
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const int value : {x, y, 7}) image->pixels.push_back(static_cast<std::uint8_t>(value));
    }
  }
  return image;
}

struct Place {
  int x, y;
};

Place at(const Image &image, int x, int y) {
  const std::size_t i = 3 * static_cast<std::size_t>(y * image.width + x);
  return {image.pixels[i], image.pixels[i + 1]};
}

// The stored pixel that is shown at (u, v), by the definition of the eight orientations: what
// display does to the part, step by step, on a picture of its own.
Place shown_at(const FrameView &view, int u, int v) {
  int width = view.part.width, height = view.part.height;
  // Undo the quarters: the picture before the last turn is as wide as this one is high.
  int x = u, y = v;
  for (int turn = 0; turn < view.orientation.turns; ++turn) {
    const bool lies = (view.orientation.turns - turn) % 2 == 1;
    const int before_height = lies ? height : width;
    const int old_x = x;
    x = y;
    y = before_height - 1 - old_x;
  }
  if (view.orientation.mirrored) x = width - 1 - x;
  return {view.part.x + x, view.part.y + y};
}

class EveryOrientation : public testing::TestWithParam<Orientation> {};

INSTANTIATE_TEST_SUITE_P(FrameView, EveryOrientation,
                         testing::Values(Orientation{false, 0}, Orientation{false, 1},
                                         Orientation{false, 2}, Orientation{false, 3},
                                         Orientation{true, 0}, Orientation{true, 1},
                                         Orientation{true, 2}, Orientation{true, 3}));

TEST_P(EveryOrientation, ShowsEachPixelOfThePartWhereItBelongsAndMapsItBack) {
  for (const PixelRect &part : {PixelRect{0, 0, 8, 4}, {2, 1, 4, 2}, {7, 3, 1, 1}, {1, 0, 5, 4}}) {
    FrameView view = FrameView::whole(8, 4);
    view.part = part;
    view.orientation = GetParam();
    const auto picture = look(places(8, 4), view);
    const bool lies = GetParam().turns % 2 == 1;
    ASSERT_EQ(picture->width, lies ? part.height : part.width);
    ASSERT_EQ(picture->height, lies ? part.width : part.height);
    for (int v = 0; v < picture->height; ++v) {
      for (int u = 0; u < picture->width; ++u) {
        const Place seen = at(*picture, u, v), expected = shown_at(view, u, v);
        ASSERT_EQ(seen.x, expected.x) << u << " " << v;
        ASSERT_EQ(seen.y, expected.y) << u << " " << v;
        // The middle of the pixel, mapped, is the middle of the pixel that it shows.
        const Point middle = view.to_frame(Point{(u + 0.5) / picture->width,  //
                                                 (v + 0.5) / picture->height});
        // 1e-12: a few roundings of numbers below 8.
        EXPECT_NEAR(middle.x * 8, seen.x + 0.5, 1e-12);
        EXPECT_NEAR(middle.y * 4, seen.y + 0.5, 1e-12);
      }
    }
  }
}

TEST_P(EveryOrientation, TheWholePictureIsTheWholePartAsABox) {
  FrameView view = FrameView::whole(64, 32);
  view.part = {16, 8, 32, 16};
  view.orientation = GetParam();
  view.pixel_aspect = 1.5;  // of no consequence: coordinates are fractions
  const Box box = view.to_frame(Box{0, 0, 1, 1});
  EXPECT_EQ(box, (Box{0.25, 0.25, 0.75, 0.75}));
}

TEST(FrameView, TheEightAreThoseOfTheTagInItsWords) {
  // A picture of 3x2; which stored pixel a person sees at the top left, and which to its right.
  struct Expected {
    const char *tag;
    Place first, second;
  };
  for (const Expected &expected : {Expected{"rotate-0", {0, 0}, {1, 0}},
                                   {"rotate-90", {0, 1}, {0, 0}},
                                   {"rotate-180", {2, 1}, {1, 1}},
                                   {"rotate-270", {2, 0}, {2, 1}},
                                   {"flip-rotate-0", {2, 0}, {1, 0}},
                                   {"flip-rotate-90", {2, 1}, {2, 0}},
                                   {"flip-rotate-180", {0, 1}, {1, 1}},
                                   {"flip-rotate-270", {0, 0}, {0, 1}}}) {
    GstTagList *tags = gst_tag_list_new(GST_TAG_IMAGE_ORIENTATION, expected.tag, nullptr);
    FrameView view = FrameView::whole(3, 2);
    const auto orientation = orientation_of(tags);
    gst_tag_list_unref(tags);
    ASSERT_TRUE(orientation) << expected.tag;
    view.orientation = *orientation;
    const auto picture = look(places(3, 2), view);
    EXPECT_EQ(at(*picture, 0, 0).x, expected.first.x) << expected.tag;
    EXPECT_EQ(at(*picture, 0, 0).y, expected.first.y) << expected.tag;
    EXPECT_EQ(at(*picture, 1, 0).x, expected.second.x) << expected.tag;
    EXPECT_EQ(at(*picture, 1, 0).y, expected.second.y) << expected.tag;
  }
}

TEST(FrameView, OtherTagsSayNothing) {
  for (const char *text : {"rotate-45", "flip-", "rotate-", "upside-down", "rotate-900"}) {
    GstTagList *tags = gst_tag_list_new(GST_TAG_IMAGE_ORIENTATION, text, nullptr);
    EXPECT_FALSE(orientation_of(tags)) << text;
    gst_tag_list_unref(tags);
  }
  GstTagList *tags = gst_tag_list_new(GST_TAG_TITLE, "rotate-90", nullptr);
  EXPECT_FALSE(orientation_of(tags));
  gst_tag_list_unref(tags);
}

TEST(FrameView, UprightAndWholeIsExact) {
  const FrameView view = FrameView::whole(1921, 1083);
  const Box box{0.1, 0.2, 0.7, 0.9};
  EXPECT_EQ(view.to_frame(box), box);
  const auto picture = places(5, 3);
  EXPECT_EQ(look(picture, FrameView::whole(5, 3)), picture) << "it is not even copied";
}

TEST(FrameView, PixelsBecomeSquareAndTheirNumberAtMostDoubles) {
  struct Expected {
    int width, height;
    double aspect;
    int square_width, square_height;
  };
  for (const Expected &expected : {Expected{720, 576, 16.0 / 11, 1047, 576},  // 1047.27
                                   {720, 480, 8.0 / 9, 720, 540},
                                   {720, 288, 8.0 / 15, 720, 540},  // a field of 720x576, 16:15
                                   {100, 100, 4, 200, 50},          // stretched twice, shrunk twice
                                   {100, 100, 0.25, 50, 200},
                                   {100, 2, 1e6, 200, 1},
                                   {1, 1, 1e-9, 1, 2}}) {
    FrameView view = FrameView::whole(expected.width, expected.height);
    view.pixel_aspect = expected.aspect;
    EXPECT_EQ(view.square_width(), expected.square_width) << expected.aspect;
    EXPECT_EQ(view.square_height(), expected.square_height) << expected.aspect;
  }
}

TEST(FrameView, AStretchedPictureKeepsItsEdgesAndIsTurnedBehindThat) {
  FrameView view = FrameView::whole(2, 2);
  view.pixel_aspect = 2;
  view.orientation = {false, 1};
  // Left black, right white.
  auto frame = std::make_shared<Image>(Image{.width = 2, .height = 2, .pixels = {}});
  for (int row = 0; row < 2; ++row) {
    for (const int value : {0, 0, 0, 255, 255, 255}) {
      frame->pixels.push_back(static_cast<std::uint8_t>(value));
    }
  }
  const auto picture = look(frame, view);
  ASSERT_EQ(picture->width, 2);
  ASSERT_EQ(picture->height, 4);
  // Turned clockwise, left is on top. Linear between the middles of two pixels: a quarter of the
  // way at the second row; 1 for rounding.
  const int expected[] = {0, 64, 191, 255};
  for (int y = 0; y < 4; ++y) EXPECT_NEAR(at(*picture, 0, y).x, expected[y], 1) << y;
}

}  // namespace
}  // namespace moondream
