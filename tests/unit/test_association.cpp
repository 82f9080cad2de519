#include "association.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <random>
#include <set>

namespace moondream {
namespace {

AnalysisObject object(const Box &box, const char *label = "face") {
  return {.label = label, .score = 0.9, .box = box};
}

Box square(double x, double y, double size = 0.1) { return {x, y, x + size, y + size}; }

FrameAnalysis result(const std::vector<AnalysisObject> &objects) {
  FrameAnalysis analysis;
  analysis.objects = objects;
  return analysis;
}

// Their ids, in order.
std::vector<guint> ids(Association &association, const std::vector<AnalysisObject> &objects,
                       GstClockTime time) {
  FrameAnalysis analysis = result(objects);
  association.identify(analysis, time);
  std::vector<guint> found;
  for (const AnalysisObject &each : analysis.objects) found.push_back(each.id);
  return found;
}

using Ids = std::vector<guint>;

TEST(Association, IdsBeginAtOneAndStayWhateverTheOrderOfTheResult) {
  Association association;
  const AnalysisObject a = object(square(0.1, 0.1)), b = object(square(0.7, 0.7));
  EXPECT_EQ(ids(association, {a, b}, 0), (Ids{1, 2}));
  EXPECT_EQ(ids(association, {b, a}, GST_SECOND), (Ids{2, 1}));
}

TEST(Association, AnotherLabelIsAnotherObjectInTheSamePlace) {
  Association association;
  EXPECT_EQ(ids(association, {object(square(0, 0), "face")}, 0), (Ids{1}));
  EXPECT_EQ(ids(association, {object(square(0, 0), "plate"), object(square(0, 0), "face")}, 1),
            (Ids{2, 1}));
}

TEST(Association, TheBestPairsAreTakenFirst) {
  Association association;
  ids(association, {object(square(0.1, 0.1)), object(square(0.15, 0.1))}, 0);
  // The new one at 0.14 overlaps both, and the second one more; 0.11 gets what is left.
  EXPECT_EQ(ids(association, {object(square(0.14, 0.1)), object(square(0.11, 0.1))}, 1),
            (Ids{2, 1}));
}

TEST(Association, AnIdIsNeverGivenAgain) {
  Association association;
  std::set<guint> seen;
  for (guint i = 1; i <= 5; ++i) {
    // Nowhere near the one before.
    EXPECT_EQ(ids(association, {object(square(0.18 * i, 0.5, 0.02))}, i * GST_SECOND), (Ids{i}));
  }
  association.forget();
  EXPECT_EQ(ids(association, {object(square(0.9, 0.5, 0.02))}, 6 * GST_SECOND), (Ids{6}));
}

TEST(Association, AnObjectThatIsMissedIsLostByTimeNotByResults) {
  const AnalysisObject a = object(square(0.1, 0.1)), other = object(square(0.8, 0.8));
  for (const int results : {1, 20}) {
    Association kept, lost;
    ids(kept, {a}, 0);
    ids(lost, {a}, 0);
    for (int i = 1; i <= results; ++i) {
      const GstClockTime time = i * (Association::kLost / 20);
      ids(kept, {other}, time);
      ids(lost, {other}, time);
    }
    EXPECT_EQ(ids(kept, {a}, Association::kLost), (Ids{1}));
    EXPECT_EQ(ids(lost, {a}, Association::kLost + 1), (Ids{3}));
  }
}

TEST(Association, TheResultBeforeIsComparedHoweverOldItIs) {
  Association association;
  ids(association, {object(square(0.1, 0.1))}, 0);
  EXPECT_EQ(ids(association, {object(square(0.1, 0.1))}, 3600 * GST_SECOND), (Ids{1}));
}

// 0.08 a step: the boxes do not overlap from one result to the next but one, and other faces of the
// same path are in between.
TEST(Association, MotionGoesOn) {
  Association association;
  const auto at = [](int step) {
    return std::vector{object(square(0.08 * step, 0.4)), object(square(0.9 - 0.08 * step, 0.42))};
  };
  for (int step = 0; step <= 11; ++step) {
    EXPECT_EQ(ids(association, at(step), step * GST_SECOND / 2), (Ids{1, 2})) << step;
  }
}

TEST(Association, AStreamThatPlaysBackwardsIsNoDifferent) {
  Association association;
  for (int step = 0; step <= 8; ++step) {
    EXPECT_EQ(ids(association, {object(square(0.09 * step, 0.4))}, (20 - step) * GST_SECOND),
              (Ids{1}));
  }
}

TEST(Association, WhatAnotherSourceSaysOfTheirPlaceCounts) {
  Association association;
  FrameAnalysis first = result({object(square(0.1, 0.1)), object(square(0.7, 0.1))});
  association.identify(first, 0);
  std::swap(first.objects[0].box, first.objects[1].box);
  association.relocate(first, GST_SECOND);
  EXPECT_EQ(ids(association, {object(square(0.1, 0.1)), object(square(0.7, 0.1))}, GST_SECOND),
            (Ids{2, 1}));
}

TEST(Association, PointsHaveIdsOfTheirOwn) {
  Association association;
  FrameAnalysis analysis = result({object(square(0.1, 0.1))});
  analysis.points = {{"eye", 1, {0.15, 0.15}}, {"eye", 1, {0.5, 0.5}}};
  association.identify(analysis, 0);
  EXPECT_EQ(analysis.objects[0].id, 1u);
  EXPECT_EQ(analysis.points[0].id, 2u);
  EXPECT_EQ(analysis.points[1].id, 3u);
  analysis.points = {{"eye", 1, {0.56, 0.5}}, {"eye", 1, {0.2, 0.15}}, {"eye", 1, {0.3, 0.9}}};
  association.identify(analysis, GST_SECOND);
  EXPECT_EQ(analysis.points[0].id, 3u);
  EXPECT_EQ(analysis.points[1].id, 2u);
  EXPECT_EQ(analysis.points[2].id, 4u);
}

TEST(Association, FirstSeenIsTheTimeOfTheFirstResult) {
  Association association;
  FrameAnalysis analysis = result({object(square(0.1, 0.1))});
  association.identify(analysis, 5);
  association.identify(analysis, 7);
  EXPECT_EQ(analysis.objects[0].first_seen, 5u);
}

TEST(Association, WithoutTimesNothingIsSupposedToMove) {
  Association association;
  for (int step = 0; step < 5; ++step) {
    EXPECT_EQ(ids(association, {object(square(0.05 * step, 0.4))}, GST_CLOCK_TIME_NONE), (Ids{1}));
  }
  ids(association, {}, GST_CLOCK_TIME_NONE);
  EXPECT_EQ(ids(association, {object(square(0.2, 0.4))}, GST_CLOCK_TIME_NONE), (Ids{2}));
}

// ---- Against a plain reimplementation of what the header says ----------------------------------

double plain_likeness(const Box &a, const Box &b) {
  const double w = std::min(a.x_max, b.x_max) - std::max(a.x_min, b.x_min);
  const double h = std::min(a.y_max, b.y_max) - std::max(a.y_min, b.y_min);
  const double size_a = (a.x_max - a.x_min) * (a.y_max - a.y_min);
  const double size_b = (b.x_max - b.x_min) * (b.y_max - b.y_min);
  const double common = w > 0 && h > 0 ? w * h : 0;
  const double overlap = common / (size_a + size_b - common);
  if (overlap >= 0.2) return 1 + overlap;
  if (size_a > 4 * size_b || size_b > 4 * size_a) return 0;
  const double dx = (a.x_min + a.x_max - b.x_min - b.x_max) / 2;
  const double dy = (a.y_min + a.y_max - b.y_min - b.y_max) / 2;
  const double reach = (std::hypot(a.x_max - a.x_min, a.y_max - a.y_min) +
                        std::hypot(b.x_max - b.x_min, b.y_max - b.y_min)) /
                       2;
  return 1 - std::hypot(dx, dy) / reach;
}

// One result after one other, so that nothing has a velocity.
Ids plain_ids(const std::vector<AnalysisObject> &before, const std::vector<AnalysisObject> &after) {
  Ids found(after.size(), 0);
  std::vector<bool> taken(before.size());
  while (true) {
    double best = 0;
    std::size_t best_known = 0, best_new = 0;
    for (std::size_t known = 0; known < before.size(); ++known) {
      for (std::size_t i = 0; i < after.size(); ++i) {
        if (taken[known] || found[i] || before[known].label != after[i].label) continue;
        const double like = plain_likeness(before[known].box, after[i].box);
        if (like > best) {
          best = like;
          best_known = known;
          best_new = i;
        }
      }
    }
    if (best <= 0) break;
    taken[best_known] = true;
    found[best_new] = static_cast<guint>(best_known + 1);
  }
  guint next = static_cast<guint>(before.size());
  for (guint &id : found) {
    if (id == 0) id = ++next;
  }
  return found;
}

TEST(Association, AgreesWithAPlainSearchOfAllPairs) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> place(0, 0.9), size(0.01, 0.1), step(-0.05, 0.05);
  for (int round = 0; round < 200; ++round) {
    const std::size_t many = random() % 25;
    std::vector<AnalysisObject> before, after;
    for (std::size_t i = 0; i < many; ++i) {
      const double x = place(random), y = place(random);
      before.push_back(object({x, y, x + size(random), y + size(random)}, i % 3 ? "a" : "b"));
    }
    for (const AnalysisObject &each : before) {
      if (random() % 5 == 0) continue;
      const double x = each.box.x_min + step(random), y = each.box.y_min + step(random);
      after.push_back(object({x, y, x + size(random), y + size(random)}, each.label.c_str()));
    }
    std::shuffle(after.begin(), after.end(), random);
    Association association;
    ids(association, before, 0);
    EXPECT_EQ(ids(association, after, GST_SECOND), plain_ids(before, after)) << round;
  }
}

// All overlap all, the worst case. Comparing every pair would be 100 million comparisons a result.
TEST(Association, TenThousandBoxesCostNoMoreThanAWindowEach) {
  std::vector<AnalysisObject> many;
  for (int i = 0; i < 10000; ++i) {
    const double at = i / 20000.0;
    many.push_back(object({at, at / 2, at + 0.5, at / 2 + 0.5}));
  }
  Association association;
  const Ids first = ids(association, many, 0);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(ids(association, many, GST_SECOND), first);
  const auto took = std::chrono::steady_clock::now() - start;
  // 10,000 x 512 comparisons are some 100 ms; the bound leaves room for sanitizers and load.
  EXPECT_LT(took, std::chrono::seconds(5));
}

}  // namespace
}  // namespace moondream
