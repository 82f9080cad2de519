#include "flow_tracks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "moving_scene.h"

namespace moondream {
namespace {

cv::Mat picture(const MovingScene &scene) {
  const std::vector<std::uint8_t> pixels = scene.draw();
  return cv::Mat(scene.height, scene.width, CV_8U, const_cast<std::uint8_t *>(pixels.data()))
      .clone();
}

std::size_t living(const std::vector<TrackMotion> &tracks) {
  return static_cast<std::size_t>(
      std::count_if(tracks.begin(), tracks.end(), [](const TrackMotion &t) { return t.alive; }));
}

// Share of the living tracks that are within `error` pixels of where they should be.
template <typename Truth>
double share_right(const std::vector<TrackMotion> &tracks, double error, Truth truth) {
  std::size_t right = 0;
  for (const TrackMotion &track : tracks) {
    if (!track.alive) continue;
    const cv::Point2d expected = truth(track.from);
    right += std::hypot(track.to.x - expected.x, track.to.y - expected.y) <= error;
  }
  return static_cast<double>(right) / static_cast<double>(std::max<std::size_t>(living(tracks), 1));
}

TEST(FlowTracks, FollowAPanOverManyFrames) {
  MovingScene scene;
  FlowTracks tracks;
  ASSERT_TRUE(tracks.advance(picture(scene)));
  tracks.replenish();
  const FlowTracks::Mark mark = tracks.mark();
  ASSERT_GT(tracks.since(mark).size(), 100u);
  for (int i = 0; i < 20; ++i) {
    scene.background.x += 2.3;
    scene.background.y -= 1.1;
    ASSERT_TRUE(tracks.advance(picture(scene)));
  }
  const auto motions = tracks.since(mark);
  // 46 of 320 columns and 22 of 180 rows have left the picture: a quarter.
  EXPECT_GT(living(motions), motions.size() / 2);
  // Lucas-Kanade is right to some hundredths of a pixel a step; 20 steps may add up to one.
  EXPECT_GT(share_right(motions, 1,
                        [](cv::Point2f from) { return cv::Point2d(from.x + 46, from.y - 22); }),
            0.95);
}

TEST(FlowTracks, FollowAZoom) {
  MovingScene scene;
  FlowTracks tracks;
  ASSERT_TRUE(tracks.advance(picture(scene)));
  tracks.replenish();
  const FlowTracks::Mark mark = tracks.mark();
  for (int i = 1; i <= 15; ++i) {
    scene.background.scale = 1 + 0.02 * i;
    scene.background.x = 160 * (1 - scene.background.scale);
    scene.background.y = 90 * (1 - scene.background.scale);
    ASSERT_TRUE(tracks.advance(picture(scene)));
  }
  const auto motions = tracks.since(mark);
  EXPECT_GT(living(motions), motions.size() / 3);
  EXPECT_GT(share_right(motions, 1.5,
                        [](cv::Point2f from) {
                          return cv::Point2d(160 + 1.3 * (from.x - 160), 90 + 1.3 * (from.y - 90));
                        }),
            0.9);
}

TEST(FlowTracks, NothingMovesInAStaticSceneWithNoiseOrAnotherExposure) {
  MovingScene scene;
  scene.noise = 4;
  FlowTracks tracks;
  ASSERT_TRUE(tracks.advance(picture(scene)));
  tracks.replenish();
  const FlowTracks::Mark mark = tracks.mark();
  for (int i = 1; i <= 30; ++i) {
    scene.noise_seed = static_cast<unsigned>(i);
    scene.gain = 1 - 0.015 * i;  // a stop darker in a second, and a lamp goes on
    scene.offset = i < 15 ? 0 : 40;
    ASSERT_TRUE(tracks.advance(picture(scene))) << i;
  }
  const auto motions = tracks.since(mark);
  EXPECT_GT(living(motions), motions.size() / 2);
  EXPECT_GT(share_right(motions, 1, [](cv::Point2f from) { return cv::Point2d(from); }), 0.95);
}

TEST(FlowTracks, ACutEndsAllTracks) {
  for (const double contrast : {1.0, 0.0}) {
    MovingScene scene;
    scene.background.contrast = contrast;
    FlowTracks tracks;
    ASSERT_TRUE(tracks.advance(picture(scene)));
    tracks.replenish();
    const FlowTracks::Mark mark = tracks.mark();
    ASSERT_TRUE(tracks.advance(picture(scene)));
    MovingScene other;
    other.background.seed = 99;
    EXPECT_FALSE(tracks.advance(picture(other)));
    EXPECT_EQ(living(tracks.since(mark)), 0u);
    EXPECT_TRUE(tracks.advance(picture(other)));
  }
}

// It covers a third of the picture and is gone in the next frame: that is no cut.
TEST(FlowTracks, ALargeThingThatAppearsIsNoCut) {
  MovingScene scene;
  FlowTracks tracks;
  ASSERT_TRUE(tracks.advance(picture(scene)));
  tracks.replenish();
  scene.patches.push_back({.x = 100, .y = 0, .width = 107, .height = 180, .seed = 5});
  EXPECT_TRUE(tracks.advance(picture(scene)));
  scene.patches.clear();
  EXPECT_TRUE(tracks.advance(picture(scene)));
}

TEST(FlowTracks, FlatPicturesHaveNoTracksAndAreNoCuts) {
  FlowTracks tracks;
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(tracks.advance(cv::Mat(180, 320, CV_8U, cv::Scalar(40 * i))));
    tracks.replenish();
    EXPECT_TRUE(tracks.since(tracks.mark()).empty());
  }
}

TEST(FlowTracks, OneTrackACell) {
  MovingScene scene;
  FlowTracks tracks;
  tracks.advance(picture(scene));
  tracks.replenish();
  tracks.replenish();
  const std::size_t cells = 32 * 18;
  EXPECT_LE(tracks.since(tracks.mark()).size(), cells);
}

TEST(FlowTracks, AnotherPictureSizeIsTheSameScene) {
  MovingScene small;
  FlowTracks tracks;
  ASSERT_TRUE(tracks.advance(picture(small)));
  tracks.replenish();
  const FlowTracks::Mark mark = tracks.mark();
  cv::Mat resized;
  cv::resize(picture(small), resized, {256, 144}, 0, 0, cv::INTER_AREA);
  ASSERT_TRUE(tracks.advance(resized));
  const auto motions = tracks.since(mark);
  EXPECT_GT(living(motions), motions.size() / 2);
  EXPECT_GT(share_right(motions, 1, [](cv::Point2f from) { return cv::Point2d(from); }), 0.95);
}

TEST(FlowTracks, TinyPicturesAreFine) {
  FlowTracks tracks;
  for (const cv::Size size : {cv::Size(1, 1), cv::Size(2, 7), cv::Size(320, 1), cv::Size(8, 8)}) {
    for (int i = 0; i < 3; ++i) {
      cv::Mat tiny(size, CV_8U);
      cv::randu(tiny, 0, 255);
      tracks.advance(tiny);
      tracks.replenish();
      tracks.since(tracks.mark());
    }
  }
}

}  // namespace
}  // namespace moondream
