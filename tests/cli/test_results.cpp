// What is printed and drawn of outlines.
#include <algorithm>
#include <cmath>
#include <opencv2/imgcodecs.hpp>

#include "ask.h"
#include "models.h"

namespace moondream::cli {
namespace {

using nlohmann::json;
using test::TempDir;

const std::vector<Prompt> kPrompts = {SegmentPrompt{"cat", {}}, SegmentPrompt{"dog", {}},
                                      SegmentPrompt{"cow", {}}};

Result result_of(const std::vector<SegmentResult> &outlines) {
  Result result;
  for (const SegmentResult &outline : outlines) result.prompts.emplace_back(outline);
  return result;
}

// An outline may leave the picture, so its box does; one without a box is none.
const Result kResult = result_of({{Box{-0.25, 0.5, 0.5, 1.25}, "M 0 0 H 1 V 1 Z", false},
                                  {Box{0, 0, 1, 0.5}, "M 0 0.5 L 0.5 0 L 1 0.5 Z", true},
                                  {std::nullopt, "M 0 0 H 1 V 1 Z", false}});

TEST(Results, OutlinesSayWhetherTheyAreRefined) {
  const Image image{4, 2, std::vector<std::uint8_t>(24)};
  const json got = answers_json("a.png", &image, "model", kPrompts, kResult);
  EXPECT_EQ(got["outlines"], json::parse(R"([
    {"label": "cat", "x_min": -0.25, "y_min": 0.5, "x_max": 0.5, "y_max": 1.25,
     "path": "M 0 0 H 1 V 1 Z", "refined": false},
    {"label": "dog", "x_min": 0, "y_min": 0, "x_max": 1, "y_max": 0.5,
     "path": "M 0 0.5 L 0.5 0 L 1 0.5 Z", "refined": true}])"));
}

TEST(Results, OutlinesAreDrawnInTheirBoxesWithOneLabel) {
  const Overlay overlay = overlay_of(kPrompts, kResult);
  ASSERT_EQ(overlay.outlines.size(), 2u);
  ASSERT_EQ(overlay.boxes.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto &found = std::get<SegmentResult>(kResult.prompts[i]);
    EXPECT_EQ(overlay.outlines[i].label, overlay.boxes[i].label);
    EXPECT_EQ(overlay.outlines[i].path, found.path);
    EXPECT_EQ(overlay.outlines[i].box, found.box);
    EXPECT_EQ(overlay.boxes[i].box, found.box);
  }
}

// A picture of all colours, and what is drawn on it.
class DrawnOutline : public testing::Test {
 protected:
  static constexpr int kWidth = 200, kHeight = 120;

  DrawnOutline() : image_{kWidth, kHeight, {}} {
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        for (const int value : {x, 2 * y, x * y % 256}) {
          image_.pixels.push_back(static_cast<std::uint8_t>(value));
        }
      }
    }
  }

  cv::Mat drawn(const Overlay &overlay) {
    const std::string path = (dir_ / "overlay.png").string();
    save_overlay(path, image_, overlay);
    return cv::imread(path, cv::IMREAD_COLOR);
  }

  // Blue, green, red.
  cv::Vec3b before(int x, int y) const {
    const std::uint8_t *rgb = &image_.pixels[static_cast<std::size_t>(3 * (y * kWidth + x))];
    return {rgb[2], rgb[1], rgb[0]};
  }

  const TempDir dir_;
  Image image_;
};

// A frame around a hole, whose corners are on those of pixels: 50 to 150 by 30 to 90, the hole 90
// to 110 by 54 to 66.
TEST_F(DrawnOutline, IsTintedInsideWithALineAlongItsEdge) {
  const cv::Mat after = drawn(
      {{},
       {},
       {{"ring", "M 0 0 H 1 V 1 H 0 Z M 0.4 0.4 V 0.6 H 0.6 V 0.4 Z", {0.25, 0.25, 0.75, 0.75}}},
       {}});
  const auto inside = [](int x, int y) {
    const bool in_hole = x >= 90 && x < 110 && y >= 54 && y < 66;
    return x >= 50 && x < 150 && y >= 30 && y < 90 && !in_hole;
  };
  const cv::Vec3b colour(66, 206, 66);  // the palette's first
  constexpr int kLine = 2;              // the least width, and that of so small a picture
  int tinted = 0;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      SCOPED_TRACE(std::to_string(x) + ", " + std::to_string(y));
      const cv::Vec3b got = after.at<cv::Vec3b>(y, x);
      if (!inside(x, y)) {
        ASSERT_EQ(got, before(x, y));
        continue;
      }
      bool beside_edge = false, near_edge = false;  // across or down; in any direction
      for (int dy = -kLine; dy <= kLine; ++dy) {
        for (int dx = -kLine; dx <= kLine; ++dx) {
          const bool out = !inside(x + dx, y + dy);
          near_edge |= out;
          beside_edge |= out && (dx == 0 || dy == 0);
        }
      }
      if (beside_edge) {
        ASSERT_EQ(got, colour);
      } else if (!near_edge) {
        ++tinted;
        for (int channel = 0; channel < 3; ++channel) {
          // Rounded.
          ASSERT_NEAR(got[channel], 0.6 * before(x, y)[channel] + 0.4 * colour[channel],
                      0.5 + 1e-6);
        }
      }
    }
  }
  EXPECT_EQ(tinted, 96 * 56 - 24 * 16);
}

TEST_F(DrawnOutline, HasTheColourOfItsLabel) {
  const std::string whole = "M 0 0 H 1 V 1 H 0 Z";
  const cv::Mat after = drawn({{{"dog", {0.45, 0.1, 0.55, 0.9}}},
                               {},
                               {{"cat", whole, {0.1, 0.1, 0.4, 0.9}},
                                {"dog", whole, {0.6, 0.1, 0.9, 0.9}},
                                {"cat", whole, {0.91, 0.1, 1, 0.9}}},
                               {}});
  // In the first column of each, half way down; the box is drawn from the middle of its pixel on.
  const auto cat = after.at<cv::Vec3b>(60, 20), dog = after.at<cv::Vec3b>(60, 120);
  EXPECT_NE(cat, dog);
  EXPECT_EQ(after.at<cv::Vec3b>(60, 182), cat);
  EXPECT_EQ(after.at<cv::Vec3b>(60, static_cast<int>(std::lround(0.45 * (kWidth - 1)))), dog);
}

// Paths that enclose nothing, and whatever is beyond the picture.
TEST_F(DrawnOutline, WithoutAnInsideChangesNothing) {
  for (const char *path : {"", "M 0 0 L 1 1", "L 0 0 H 1 V 1", "M 5 5 H 6 V 6 Z"}) {
    const cv::Mat after = drawn({{}, {}, {{"a", path, {0.5, 0.5, 1, 1}}}, {}});
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) ASSERT_EQ(after.at<cv::Vec3b>(y, x), before(x, y)) << path;
    }
  }
}

}  // namespace
}  // namespace moondream::cli
