// Where things are drawn: results to scenes, scenes to layers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "../overlay_frames.h"
#include "overlay_analysis.h"
#include "overlay_palette.h"
#include "overlay_scene.h"
#include "overlay_shapes.h"

namespace moondream::overlay {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

PixelRect rect_of(const Layer &layer) {
  return {layer.x, layer.y, layer.x + layer.bitmap->width, layer.y + layer.bitmap->height};
}

bool contains(const PixelRect &outer, const PixelRect &inner) {
  return outer.x_min <= inner.x_min && outer.y_min <= inner.y_min && inner.x_max <= outer.x_max &&
         inner.y_max <= outer.y_max;
}

Scene scene_of(int width, int height) {
  Scene scene;
  scene.width = width;
  scene.height = height;
  scene.font = "Sans";
  return scene;
}

SceneBox box_of(PixelRect box, const std::string &label = "face") {
  return {box, label, {{label}, {"93%"}}};
}

// Layers that are opaque in a corner are tags: outlines have the same colour but one of them only.
std::vector<PixelRect> tags_among(const std::vector<Layer> &layers) {
  std::vector<PixelRect> tags;
  for (const Layer &layer : layers) {
    const auto &pixels = layer.bitmap->pixels;
    if (std::any_of(pixels.begin(), pixels.end(),
                    [&](std::uint32_t p) { return p != pixels.front(); }) &&
        pixels.front() >> 24 == 255)
      tags.push_back(rect_of(layer));
  }
  return tags;
}

// ---- Coordinates -----------------------------------------------------------------------------

TEST(PixelsOf, RoundsOutwardsAndClamps) {
  EXPECT_EQ(pixels_of({0.25, 0.5, 0.75, 1}, 100, 10), (PixelRect{25, 5, 75, 10}));
  EXPECT_EQ(pixels_of({0.251, 0.51, 0.749, 0.99}, 100, 10), (PixelRect{25, 5, 75, 10}));
  EXPECT_EQ(pixels_of({-3, -0.1, 9, kInfinity}, 100, 10), (PixelRect{0, 0, 100, 10}));
}

TEST(PixelsOf, NothingIsInABoxOutsideOrInsideOutOrOfNoNumbers) {
  EXPECT_TRUE(pixels_of({1.1, 0, 1.2, 1}, 100, 10).empty());
  EXPECT_TRUE(pixels_of({-0.2, 0, -0.1, 1}, 100, 10).empty());
  EXPECT_TRUE(pixels_of({0.7, 0, 0.3, 1}, 100, 10).empty());
  EXPECT_TRUE(pixels_of({kNaN, 0, 0.3, 1}, 100, 10).empty());
  EXPECT_TRUE(pixels_of({0, 0, 0.3, kNaN}, 100, 10).empty());
}

TEST(PixelOf, IsInTheFrame) {
  int x = 0, y = 0;
  EXPECT_TRUE(pixel_of({1, 1}, 100, 10, &x, &y));
  EXPECT_EQ(x, 99);
  EXPECT_EQ(y, 9);
  EXPECT_TRUE(pixel_of({-kInfinity, 0.5}, 100, 10, &x, &y));
  EXPECT_EQ(x, 0);
  EXPECT_FALSE(pixel_of({kNaN, 0.5}, 100, 10, &x, &y));
}

// ---- Results ---------------------------------------------------------------------------------

FrameAnalysis analysis_of(AnalysisStatus status, GstClockTime age) {
  FrameAnalysis analysis;
  analysis.status = status;
  analysis.age = age;
  analysis.objects = {{"face", 0.931, {0.1, 0.1, 0.4, 0.4}, 0, 0}};
  analysis.caption = "A face.";
  return analysis;
}

TEST(MakeScene, OnlyKnownResultsAreDrawn) {
  const GstVideoInfo info = test::info_of(GST_VIDEO_FORMAT_RGB, 100, 100);
  for (const auto status :
       {AnalysisStatus::kFresh, AnalysisStatus::kHeld, AnalysisStatus::kPredicted})
    EXPECT_FALSE(make_scene(analysis_of(status, 0), {}, info).empty()) << to_string(status);
  for (const auto status : {AnalysisStatus::kPending, AnalysisStatus::kFailed})
    EXPECT_TRUE(make_scene(analysis_of(status, 0), {}, info).empty()) << to_string(status);
}

TEST(MakeScene, ResultsOlderThanTheLimitAreNot) {
  const GstVideoInfo info = test::info_of(GST_VIDEO_FORMAT_RGB, 100, 100);
  Settings settings;
  settings.max_age = GST_SECOND;
  const auto held = [&](GstClockTime age) {
    return !make_scene(analysis_of(AnalysisStatus::kHeld, age), settings, info).empty();
  };
  EXPECT_TRUE(held(GST_SECOND));
  EXPECT_FALSE(held(GST_SECOND + 1));
  EXPECT_FALSE(held(GST_CLOCK_TIME_NONE)) << "of unknown age";
  EXPECT_FALSE(
      make_scene(analysis_of(AnalysisStatus::kFresh, GST_CLOCK_TIME_NONE), settings, info).empty())
      << "of this very frame";
}

TEST(MakeScene, SettingsChooseWhatIsWritten) {
  const GstVideoInfo info = test::info_of(GST_VIDEO_FORMAT_RGB, 100, 100);
  const auto analysis = analysis_of(AnalysisStatus::kFresh, 0);
  EXPECT_EQ(make_scene(analysis, {}, info).boxes[0].tag, (Paragraph{{"face"}, {"93%"}}));
  EXPECT_EQ(make_scene(analysis, {.draw_scores = false}, info).boxes[0].tag, (Paragraph{{"face"}}));
  EXPECT_EQ(make_scene(analysis, {.draw_labels = false}, info).boxes[0].tag, (Paragraph{{"93%"}}));
  EXPECT_EQ(make_scene(analysis, {}, info).panel.size(), 1u);
  EXPECT_TRUE(make_scene(analysis, {.draw_caption = false}, info).panel.empty());
}

TEST(MakeScene, ThingsThatHaveAnIdShowItIfThatIsWanted) {
  const GstVideoInfo info = test::info_of(GST_VIDEO_FORMAT_RGB, 100, 100);
  auto analysis = analysis_of(AnalysisStatus::kFresh, 0);
  analysis.points = {{"nose", 0.5, {0.5, 0.5}, 8}};
  const Settings settings{.draw_ids = true};
  EXPECT_EQ(make_scene(analysis, settings, info).boxes[0].tag, (Paragraph{{"face"}, {"93%"}}));
  analysis.objects[0].id = 7;
  EXPECT_EQ(make_scene(analysis, settings, info).boxes[0].tag,
            (Paragraph{{"face"}, {"93%"}, {"#7"}}));
  EXPECT_EQ(make_scene(analysis, settings, info).points[0].tag,
            (Paragraph{{"nose"}, {"50%"}, {"#8"}}));
  EXPECT_EQ(make_scene(analysis, {}, info).points[0].tag, (Paragraph{{"nose"}, {"50%"}}));
}

TEST(MakeScene, ScoresOutOfRangeAreClampedAndNoNumberIsNotWritten) {
  const GstVideoInfo info = test::info_of(GST_VIDEO_FORMAT_RGB, 100, 100);
  auto analysis = analysis_of(AnalysisStatus::kFresh, 0);
  analysis.objects[0].score = 7;
  EXPECT_EQ(make_scene(analysis, {}, info).boxes[0].tag[1].text, "100%");
  analysis.objects[0].score = kNaN;
  EXPECT_EQ(make_scene(analysis, {}, info).boxes[0].tag.size(), 1u);
}

TEST(MakeScene, AgesAndSerialsDoNotChangeIt) {
  const GstVideoInfo info = test::info_of(GST_VIDEO_FORMAT_RGB, 100, 100);
  auto analysis = analysis_of(AnalysisStatus::kFresh, 0);
  const Scene first = make_scene(analysis, {}, info);
  analysis.status = AnalysisStatus::kHeld;
  analysis.age = 500 * GST_MSECOND;
  analysis.serial = 9;
  EXPECT_EQ(make_scene(analysis, {}, info), first);
  analysis.objects[0].box.x_max = 0.5;
  EXPECT_NE(make_scene(analysis, {}, info), first);
}

// ---- Shapes ----------------------------------------------------------------------------------

TEST(Outline, RunsAroundTheBoxAndLeavesItAlone) {
  const PixelRect box = {30, 20, 60, 50};
  std::vector<Layer> layers;
  EXPECT_EQ(add_outline(box, {.colour = {255, 0, 0}, .width = 4}, 100, 80, &layers),
            (PixelRect{26, 16, 64, 54}));
  for (const Layer &layer : layers) EXPECT_FALSE(rect_of(layer).intersects(box));
}

TEST(Outline, MovesInwardsWhereTheFrameEnds) {
  std::vector<Layer> layers;
  EXPECT_EQ(add_outline({0, 0, 100, 80}, {.colour = {255, 0, 0}, .width = 4}, 100, 80, &layers),
            (PixelRect{0, 0, 100, 80}));
  for (const Layer &layer : layers)
    EXPECT_FALSE(rect_of(layer).intersects({4, 4, 96, 76})) << layer.x << "," << layer.y;
}

TEST(Outline, IsSolidWhereTheLineIsWiderThanTheFrame) {
  std::vector<Layer> layers;
  add_outline({0, 0, 1, 1}, {.colour = {255, 0, 0}, .width = 256}, 1, 1, &layers);
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].bitmap->pixels, std::vector<std::uint32_t>{0xffff0000u});
}

TEST(Ray, IsSeenAtItsEndsAndMiddleInEveryDirection) {
  for (int degrees = 0; degrees < 360; degrees += 15) {
    const double a = degrees * std::acos(-1.0) / 180;
    const int x1 = 200 + static_cast<int>(150 * std::cos(a));
    const int y1 = 200 + static_cast<int>(150 * std::sin(a));
    std::vector<Layer> layers;
    add_ray(200, 200, x1, y1, {.colour = {255, 0, 0}, .width = 5}, &layers);
    for (const double t : {0.0, 0.31, 0.5, 0.77, 1.0}) {
      const int x = static_cast<int>(std::lround(200 + t * (x1 - 200)));
      const int y = static_cast<int>(std::lround(200 + t * (y1 - 200)));
      EXPECT_TRUE(std::any_of(
          layers.begin(), layers.end(),
          [&](const Layer &layer) {
            const PixelRect rect = rect_of(layer);
            return rect.intersects({x, y, x + 1, y + 1}) &&
                   layer.bitmap->pixels[(y - rect.y_min) * rect.width() + x - rect.x_min] ==
                       0xffff0000u;
          }))
          << degrees << " degrees at " << t;
    }
  }
}

TEST(Ray, LayersAreFarSmallerThanItsBoundingBox) {
  std::vector<Layer> layers;
  add_ray(0, 0, 3839, 2159, {.colour = {255, 0, 0}, .width = 8}, &layers);
  std::size_t pixels = 0;
  for (const Layer &layer : layers) pixels += layer.bitmap->pixels.size();
  EXPECT_LT(pixels, 3840u * 2160 / 20);
}

// ---- Rendering -------------------------------------------------------------------------------

// Labels at every edge and corner stay legible.
TEST(SceneRenderer, TagsAreInsideOfTheFrame) {
  for (const auto &[width, height] : {std::pair{320, 240}, {3840, 2160}, {240, 320}}) {
    const PixelRect frame = {0, 0, width, height};
    for (const int x : {0, width / 2, width - 10}) {
      for (const int y : {0, height / 2, height - 10}) {
        Scene scene = scene_of(width, height);
        scene.boxes = {box_of({x, y, x + 10, y + 10})};
        scene.points = {{x + 9, y + 9, "nose", {{"nose"}}}};
        const auto tags = tags_among(SceneRenderer().render(scene));
        ASSERT_EQ(tags.size(), 2u);
        for (const PixelRect &tag : tags)
          EXPECT_TRUE(contains(frame, tag)) << tag.x_min << "," << tag.y_min;
      }
    }
  }
}

TEST(SceneRenderer, TagStandsOnItsBoxOrInsideAtTheTopOfTheFrame) {
  Scene scene = scene_of(640, 480);
  scene.boxes = {box_of({100, 200, 300, 400})};
  PixelRect tag = tags_among(SceneRenderer().render(scene)).at(0);
  const int line = static_cast<int>(std::lround(metrics_of(scene).line));
  EXPECT_EQ(tag.y_max, 200 - line);
  EXPECT_EQ(tag.x_min, 100 - line);
  scene.boxes = {box_of({100, 0, 300, 400})};
  tag = tags_among(SceneRenderer().render(scene)).at(0);
  EXPECT_EQ(tag.y_min, 0);
}

TEST(SceneRenderer, TagsOfNeighboursDoNotCoverEachOther) {
  Scene scene = scene_of(640, 480);
  scene.boxes = {box_of({100, 200, 200, 300}), box_of({120, 205, 220, 310}),
                 box_of({110, 210, 215, 320})};
  const auto tags = tags_among(SceneRenderer().render(scene));
  ASSERT_EQ(tags.size(), 3u);
  EXPECT_FALSE(tags[0].intersects(tags[1]));
  EXPECT_FALSE(tags[0].intersects(tags[2]));
  EXPECT_FALSE(tags[1].intersects(tags[2]));
}

TEST(SceneRenderer, TextIsLegibleAtEverySize) {
  for (const auto &[width, height, least, most] :
       {std::tuple{320, 240, 11, 18}, {1280, 720, 19, 34}, {3840, 2160, 58, 100}}) {
    Scene scene = scene_of(width, height);
    scene.boxes = {box_of({width / 3, height / 2, width / 2, height * 2 / 3})};
    const PixelRect tag = tags_among(SceneRenderer().render(scene)).at(0);
    EXPECT_GE(tag.height(), least) << width;
    EXPECT_LE(tag.height(), most) << width;
  }
}

TEST(SceneRenderer, PanelIsAtTheBottomAndWithinTheFrame) {
  for (const auto &[width, height] :
       {std::pair{320, 240}, {1920, 1080}, {3840, 2160}, {240, 320}}) {
    Scene scene = scene_of(width, height);
    std::string text;
    for (int i = 0; i < 200; ++i) text += "words ";
    scene.panel = {{{text}}};
    const auto layers = SceneRenderer().render(scene);
    ASSERT_EQ(layers.size(), 1u);
    const PixelRect panel = rect_of(layers[0]);
    EXPECT_TRUE(contains({0, height / 2, width, height}, panel)) << width << "x" << height;
    EXPECT_GT(panel.width(), width / 2);
  }
}

// Boxes that move with their objects must not cost a new rendering of every text.
TEST(SceneRenderer, KeepsTheTextsOfTheLastScene) {
  SceneRenderer renderer;
  Scene scene = scene_of(640, 480);
  scene.boxes = {box_of({100, 200, 200, 300})};
  scene.panel = {{{"A caption."}}};
  const auto before = renderer.render(scene);
  scene.boxes[0].box = {110, 205, 210, 305};
  const auto after = renderer.render(scene);
  ASSERT_EQ(before.size(), after.size());
  const std::size_t n = before.size();
  EXPECT_EQ(before[n - 1].bitmap, after[n - 1].bitmap) << "the panel";
  EXPECT_EQ(before[n - 2].bitmap, after[n - 2].bitmap) << "the tag";
  EXPECT_EQ(after[n - 2].x, before[n - 2].x + 10);
}

TEST(SceneRenderer, SurvivesFramesOfEveryShape) {
  for (const auto &[width, height] :
       {std::pair{1, 1}, {3, 5}, {8192, 16}, {16, 8192}, {1, 2000}, {40, 40}}) {
    for (const double aspect : {1.0, 0.125, 8.0}) {
      Scene scene = scene_of(width, height);
      scene.pixel_aspect = aspect;
      scene.boxes = {box_of({0, 0, width, height}), box_of({0, 0, 1, 1})};
      scene.points = {{0, 0, "a", {{"a"}}}, {width - 1, height - 1, "b", {{"b"}}}};
      scene.rays = {{0, 0, width - 1, height - 1}};
      scene.panel = {{{"Text that may find no room here."}}};
      for (const Layer &layer : SceneRenderer().render(scene)) {
        ASSERT_GE(layer.bitmap->width, 1);
        ASSERT_GE(layer.bitmap->height, 1);
        ASSERT_EQ(layer.bitmap->pixels.size(),
                  static_cast<std::size_t>(layer.bitmap->width) * layer.bitmap->height);
      }
    }
  }
}

// Blending relies on it.
TEST(SceneRenderer, PixelsArePremultiplied) {
  Scene scene = scene_of(640, 480);
  scene.boxes = {box_of({100, 200, 200, 300})};
  scene.points = {{300, 100, "nose", {{"nose"}}}};
  scene.rays = {{10, 10, 600, 300}};
  scene.panel = {{{"A caption."}}, {{"A question?", true}, {"An answer."}}};
  for (const Layer &layer : SceneRenderer().render(scene))
    for (const std::uint32_t p : layer.bitmap->pixels)
      for (int shift = 0; shift < 24; shift += 8) ASSERT_LE(p >> shift & 255, p >> 24);
}

}  // namespace
}  // namespace moondream::overlay
