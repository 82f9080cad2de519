// Parts of a picture against what the header promises of them, and merging against a slow plain
// search on a raster.
#include "grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "test_support.h"

namespace moondream {
namespace {

std::vector<Box> places_of(Grid grid) {
  std::vector<Box> places;
  for (const Part &part : parts_of(1300, 700, grid)) places.push_back(part.place);
  return places;
}

TEST(PartsOf, ASingleCellIsTheWholePictureAlone) {
  const std::vector<Part> parts = parts_of(640, 360, {});
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].width, 640);
  EXPECT_EQ(parts[0].height, 360);
  EXPECT_EQ(parts[0].place, (Box{0, 0, 1, 1}));
}

TEST(PartsOf, PartsCoverThePictureInRowsAndOverlapByAQuarter) {
  const std::vector<Part> parts = parts_of(1300, 700, {3, 2});
  ASSERT_EQ(parts.size(), 7u);
  // 3 parts of 520 less 2 overlaps of 130 are 1300; 2 of 400 less one of 100 are 700.
  const int expected[][4] = {{0, 0, 520, 400},   {390, 0, 520, 400},   {780, 0, 520, 400},
                             {0, 300, 520, 400}, {390, 300, 520, 400}, {780, 300, 520, 400}};
  for (std::size_t i = 0; i < 6; ++i) {
    const Part &part = parts[i + 1];
    EXPECT_EQ(part.x, expected[i][0]);
    EXPECT_EQ(part.y, expected[i][1]);
    EXPECT_EQ(part.width, expected[i][2]);
    EXPECT_EQ(part.height, expected[i][3]);
    EXPECT_DOUBLE_EQ(part.place.x_max, (expected[i][0] + 520) / 1300.0);
  }
}

TEST(PartsOf, EveryObjectNoLargerThanAQuarterOfAPartLiesWholeInOne) {
  for (const int length : {1, 2, 7, 97, 640, 1081, 1923}) {
    for (int count = 1; count <= Grid::kMaxSide; ++count) {
      SCOPED_TRACE(std::to_string(count) + " parts of " + std::to_string(length) + " pixels");
      std::vector<Part> parts = parts_of(length, 1, {count, 1});
      if (count > 1) parts.erase(parts.begin());
      const int object = parts[0].width / 4;
      for (int x = 0; x + object <= length; ++x) {
        EXPECT_TRUE(std::ranges::any_of(
            parts,
            [&](const Part &part) { return part.x <= x && x + object <= part.x + part.width; }))
            << "at " << x;
      }
      for (const Part &part : parts) {
        EXPECT_GE(part.width, 1);
        EXPECT_GE(part.x, 0);
        EXPECT_LE(part.x + part.width, length);
      }
      EXPECT_EQ(parts.back().x + parts.back().width, length);
    }
  }
}

TEST(PartsOf, RefusesGridsOutOfRange) {
  for (const Grid grid : {Grid{0, 1}, Grid{1, -3}, Grid{5, 1}, Grid{1, 5}}) {
    const Error error = test::error_of([&] { parts_of(640, 480, grid); });
    EXPECT_EQ(error.kind(), ErrorKind::kSettings);
    EXPECT_TRUE(test::says(error, std::to_string(grid.columns) + "x" + std::to_string(grid.rows)))
        << error.what();
  }
}

// What `box` of the whole picture is in a part's own coordinates.
Box in_part(const Box &box, const Box &place) {
  const double width = place.x_max - place.x_min, height = place.y_max - place.y_min;
  return {(box.x_min - place.x_min) / width, (box.y_min - place.y_min) / height,
          (box.x_max - place.x_min) / width, (box.y_max - place.y_min) / height};
}

Box clipped(const Box &box, const Box &place) {
  return {std::max(box.x_min, place.x_min), std::max(box.y_min, place.y_min),
          std::min(box.x_max, place.x_max), std::min(box.y_max, place.y_max)};
}

using Boxes = std::vector<std::vector<ScoredBox>>;

TEST(MergeBoxes, ASmallObjectOfOnePartComesBackInPlace) {
  const auto places = places_of({3, 2});
  Boxes found(places.size());
  found[5] = {{{0.25, 0.5, 0.5, 0.75}, 0.75}};  // the part that begins at (0.3, 3/7)
  const auto merged = merge_boxes(places, found, 10);
  ASSERT_EQ(merged.size(), 1u);
  EXPECT_DOUBLE_EQ(merged[0].box.x_min, 0.3 + 0.4 * 0.25);
  EXPECT_DOUBLE_EQ(merged[0].box.x_max, 0.3 + 0.4 * 0.5);
  EXPECT_DOUBLE_EQ(merged[0].box.y_min, 3.0 / 7 + 4.0 / 7 * 0.5);
  EXPECT_DOUBLE_EQ(merged[0].box.y_max, 3.0 / 7 + 4.0 / 7 * 0.75);
  EXPECT_EQ(merged[0].score, 0.75);
}

TEST(MergeBoxes, PiecesOfAnObjectThatTheWholePictureShowsAreDroppedWhateverTheirScores) {
  const auto places = places_of({2, 2});
  const Box object{0.2, 0.3, 0.9, 0.8};
  Boxes found(places.size());
  found[0] = {{object, 0.4}};
  for (std::size_t i = 1; i < places.size(); ++i) {
    found[i] = {{in_part(clipped(object, places[i]), places[i]), 0.99}};
  }
  const auto merged = merge_boxes(places, found, 10);
  ASSERT_EQ(merged.size(), 1u);
  EXPECT_EQ(merged[0].score, 0.4);
}

TEST(MergeBoxes, OfTwoWholeFindsTheBetterScoreWins) {
  const auto places = places_of({2, 1});
  const Box object{0.45, 0.4, 0.55, 0.5};  // inside the overlap, [3/7, 4/7]
  Boxes found(places.size());
  found[0] = {{object, 0.6}};
  found[1] = {{in_part(object, places[1]), 0.7}};
  found[2] = {{in_part(object, places[2]), 0.9}};
  const auto merged = merge_boxes(places, found, 10);
  ASSERT_EQ(merged.size(), 1u);
  EXPECT_EQ(merged[0].score, 0.9);
}

TEST(MergeBoxes, WhatTheModelToldApartOnOnePlaceStaysApart) {
  const auto places = places_of({2, 1});
  Boxes found(places.size());
  found[0] = {{{0.1, 0.1, 0.3, 0.5}, 0.9}, {{0.12, 0.1, 0.32, 0.5}, 0.8}};
  EXPECT_EQ(merge_boxes(places, found, 10).size(), 2u);
}

TEST(MergeBoxes, TheBestComeFirstAndNoMoreThanMaxObjects) {
  const auto places = places_of({2, 2});
  Boxes found(places.size());
  for (int i = 0; i < 4; ++i) {
    const double x = 0.2 * i;
    found[0].push_back({{x, 0.1, x + 0.1, 0.2}, 0.1 + 0.2 * i});
    found[1 + i] = {{{0.3, 0.4, 0.4, 0.5}, 0.2 + 0.2 * i}};
  }
  const auto merged = merge_boxes(places, found, 5);
  ASSERT_EQ(merged.size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(merged[i].score, 0.8 - 0.1 * i, 1e-12);
}

TEST(MergeBoxes, EqualScoresStayInTheOrderOfPlaces) {
  const auto places = places_of({2, 1});
  Boxes found(places.size());
  found[2] = {{{0.5, 0.1, 0.6, 0.2}, 0.5}};
  found[1] = {{{0.1, 0.1, 0.2, 0.2}, 0.5}, {{0.1, 0.7, 0.2, 0.8}, 0.5}};
  found[0] = {{{0.3, 0.5, 0.4, 0.6}, 0.5}};
  const auto merged = merge_boxes(places, found, 10);
  ASSERT_EQ(merged.size(), 4u);
  EXPECT_EQ(merged[0].box, found[0][0].box);
  EXPECT_LT(merged[1].box.y_max, 0.3);
  EXPECT_GT(merged[2].box.y_min, 0.6);
  EXPECT_GT(merged[3].box.x_min, 0.5);
}

// The rule of grid.h on a raster of kCells x kCells cells: areas are counted, and the best of what
// is left is searched for again and again.
constexpr int kCells = 140;  // the parts of 2x2 begin and end on cells: at 60 and 80

struct CellBox {
  int x_min, y_min, x_max, y_max;
  double score;
  std::size_t place;
};

std::vector<CellBox> cells_of_places() {
  return {{0, 0, 140, 140, 0, 0},
          {0, 0, 80, 80, 0, 1},
          {60, 0, 140, 80, 0, 2},
          {0, 60, 80, 140, 0, 3},
          {60, 60, 140, 140, 0, 4}};
}

bool covers(const CellBox &box, int x, int y) {
  return box.x_min <= x && x < box.x_max && box.y_min <= y && y < box.y_max;
}

// A part is 80 cells wide, and an edge nearer than 1/32 of it, 2.5 cells, is at its end.
bool slow_cut(const CellBox &box) {
  const CellBox place = cells_of_places()[box.place];
  return (place.x_min > 0 && box.x_min - place.x_min <= 2) ||
         (place.y_min > 0 && box.y_min - place.y_min <= 2) ||
         (place.x_max < kCells && place.x_max - box.x_max <= 2) ||
         (place.y_max < kCells && place.y_max - box.y_max <= 2);
}

struct Counts {
  int both = 0, a = 0, b = 0;
};

Counts count(const CellBox &a, const CellBox &b) {
  Counts counts;
  for (int y = 0; y < kCells; ++y) {
    for (int x = 0; x < kCells; ++x) {
      const bool in_a = covers(a, x, y), in_b = covers(b, x, y);
      counts.both += in_a && in_b;
      counts.a += in_a;
      counts.b += in_b;
    }
  }
  return counts;
}

bool slow_same(const CellBox &a, const CellBox &b) {
  if (a.place == b.place) return false;
  const Counts counts = count(a, b);
  if (counts.both == 0) return false;
  if (10 * counts.both >= 4 * (counts.a + counts.b - counts.both)) return true;
  return (slow_cut(a) || slow_cut(b)) && 2 * counts.both >= std::min(counts.a, counts.b);
}

// Exactly at a limit, rounding decides.
bool too_close_to_call(const CellBox &a, const CellBox &b) {
  const Counts counts = count(a, b);
  return 10 * counts.both == 4 * (counts.a + counts.b - counts.both) ||
         2 * counts.both == std::min(counts.a, counts.b);
}

TEST(MergeBoxes, AgreesWithASlowSearchOnARaster) {
  const auto cells = cells_of_places();
  std::vector<Box> places;
  for (const Part &part : parts_of(kCells, kCells, {2, 2})) places.push_back(part.place);
  ASSERT_EQ(places[4], (Box{60.0 / 140, 60.0 / 140, 1, 1}));

  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int>(random() % n); };
  int dropped = 0, compared = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<CellBox> all;
    for (int object = 0; object < 4; ++object) {
      const int w = 4 + below(60), h = 4 + below(60);
      const int x = below(kCells - w), y = below(kCells - h);
      for (std::size_t p = 0; p < cells.size(); ++p) {
        // As a model would: a little off, and cut off at the part's ends.
        const auto off = [&] { return below(5) - 2; };
        CellBox box{std::max(x + off(), cells[p].x_min),
                    std::max(y + off(), cells[p].y_min),
                    std::min(x + w + off(), cells[p].x_max),
                    std::min(y + h + off(), cells[p].y_max),
                    0,
                    p};
        if (box.x_max - box.x_min < 3 || box.y_max - box.y_min < 3 || below(3) == 0) continue;
        // All scores differ, so that the order is the rule's alone.
        box.score = (100 + below(800)) / 1000.0 + 1e-5 * static_cast<double>(all.size());
        all.push_back(box);
      }
    }
    bool close = false;
    for (const CellBox &a : all) {
      for (const CellBox &b : all) close = close || (&a != &b && too_close_to_call(a, b));
    }
    if (close) continue;
    ++compared;

    Boxes found(places.size());
    for (const CellBox &box : all) {
      const Box whole{box.x_min / 140.0, box.y_min / 140.0, box.x_max / 140.0, box.y_max / 140.0};
      found[box.place].push_back({in_part(whole, places[box.place]), box.score});
    }
    const int most = 1 + below(8);
    const auto merged = merge_boxes(places, found, most);

    std::vector<double> expected;  // scores, which name their boxes
    const std::size_t total = all.size();
    while (!all.empty()) {
      const CellBox best = *std::ranges::min_element(all, [](const CellBox &a, const CellBox &b) {
        return std::pair(slow_cut(a), -a.score) < std::pair(slow_cut(b), -b.score);
      });
      expected.push_back(best.score);
      std::erase_if(
          all, [&](const CellBox &box) { return box.score == best.score || slow_same(best, box); });
    }
    dropped += static_cast<int>(total - expected.size());
    std::ranges::sort(expected, std::ranges::greater{});
    if (std::cmp_greater(expected.size(), most)) expected.resize(most);
    std::vector<double> scores;
    for (const ScoredBox &box : merged) scores.push_back(box.score);
    EXPECT_EQ(scores, expected) << "round " << round;
  }
  EXPECT_GT(compared, 100);
  EXPECT_GT(dropped, 500);
}

using Points = std::vector<std::vector<ScoredPoint>>;

Point in_part(const Point &point, const Box &place) {
  const Box box = in_part(Box{point.x, point.y, point.x, point.y}, place);
  return {box.x_min, box.y_min};
}

TEST(MergePoints, PointsOfOneObjectBecomeTheBestOfThem) {
  const auto places = places_of({2, 2});
  Points found(places.size());
  found[0] = {{{0.30, 0.30}, 0.8}};
  found[1] = {{in_part(Point{0.32, 0.31}, places[1]), 0.9}};
  const auto merged = merge_points(places, found, 10);
  ASSERT_EQ(merged.size(), 1u);
  EXPECT_NEAR(merged[0].point.x, 0.32, 1e-12);
  EXPECT_NEAR(merged[0].point.y, 0.31, 1e-12);
  EXPECT_EQ(merged[0].score, 0.9);
}

TEST(MergePoints, PointsFurtherApartAndThoseOfOnePlaceStay) {
  const auto places = places_of({2, 2});
  Points found(places.size());
  found[0] = {{{0.30, 0.30}, 0.8}, {{0.31, 0.30}, 0.7}};
  found[1] = {{in_part(Point{0.30, 0.35}, places[1]), 0.9}};
  EXPECT_EQ(merge_points(places, found, 10).size(), 3u);
  EXPECT_EQ(merge_points(places, found, 2).size(), 2u);
}

// The parts of 2x1 are [0, 4/7] and [3/7, 1], and the overlap's middle is 1/2: at 0.52 the first
// one sees just a piece of what is there.
TEST(MergePoints, ThePointOfAPieceLosesAgainstTheNeighbours) {
  const auto places = places_of({2, 1});
  Points found(places.size());
  found[1] = {{in_part(Point{0.52, 0.5}, places[1]), 0.95}};
  found[2] = {{in_part(Point{0.58, 0.5}, places[2]), 0.6}};
  const auto merged = merge_points(places, found, 10);
  ASSERT_EQ(merged.size(), 1u);
  EXPECT_EQ(merged[0].score, 0.6);
}

TEST(MergePoints, AgreesWithASlowSearch) {
  const auto places = places_of({3, 2});
  std::mt19937 random(11);
  const auto unit = [&] { return static_cast<double>(random() % 100003) / 100003; };
  struct Seen {
    Point whole, own;
    double score;
    std::size_t place;
    bool cut;
  };
  int dropped = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<Seen> all;
    Points found(places.size());
    for (int i = 0; i < 30; ++i) {
      const std::size_t p = random() % places.size();
      const Point own{unit(), unit()};
      const Box &place = places[p];
      Seen seen{{place.x_min + own.x * (place.x_max - place.x_min),
                 place.y_min + own.y * (place.y_max - place.y_min)},
                own,
                unit() + 1e-6 * i,  // all differ, so that the order is the rule's alone
                p,
                false};
      // Half of the overlap is 1/8 of a part. Columns of parts: 1 2 3 and 4 5 6.
      const bool left = p % 3 != 1, right = p % 3 != 0, up = p > 3, down = p < 4;
      seen.cut = p > 0 && ((left && own.x < 0.125) || (right && own.x > 0.875) ||
                           (up && own.y < 0.125) || (down && own.y > 0.875));
      found[p].push_back({own, seen.score});
      all.push_back(seen);
    }
    const auto same = [&](const Seen &a, const Seen &b) {
      const double x = a.whole.x - b.whole.x, y = a.whole.y - b.whole.y;
      if (a.place == b.place) return false;
      if (x * x + y * y <= 1.0 / 32 / 32) return true;
      const double in_x = x / 0.4, in_y = y / (4.0 / 7);  // in parts
      return (a.cut || b.cut) && in_x * in_x + in_y * in_y <= 1.0 / 64;
    };
    std::vector<double> expected;
    while (!all.empty()) {
      const Seen best = *std::ranges::min_element(all, [](const Seen &a, const Seen &b) {
        return std::pair(a.cut, -a.score) < std::pair(b.cut, -b.score);
      });
      expected.push_back(best.score);
      dropped -= 1;
      dropped += static_cast<int>(std::erase_if(
          all, [&](const Seen &seen) { return seen.score == best.score || same(best, seen); }));
    }
    std::ranges::sort(expected, std::ranges::greater{});
    std::vector<double> scores;
    for (const ScoredPoint &point : merge_points(places, found, 100)) {
      scores.push_back(point.score);
    }
    EXPECT_EQ(scores, expected) << "round " << round;
  }
  EXPECT_GT(dropped, 500);
}

}  // namespace
}  // namespace moondream
