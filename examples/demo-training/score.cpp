#include "score.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

namespace scenes {
namespace {

using moondream::Box;
using moondream::Point;

bool inside(const Point &point, const Box &box) {
  return point.x >= box.x_min && point.x <= box.x_max && point.y >= box.y_min &&
         point.y <= box.y_max;
}

// Boxes that have a point of their own. Things overlap, so a point may be in several: each point
// goes to the box that it is in whose middle is nearest.
int hit(const std::vector<moondream::ScoredPoint> &points, const std::vector<Box> &boxes) {
  std::vector<bool> taken(boxes.size(), false);
  for (const auto &[point, score] : points) {
    std::size_t best = boxes.size();
    double least = 0;
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      if (taken[i] || !inside(point, boxes[i])) continue;
      const double distance = std::hypot(point.x - (boxes[i].x_min + boxes[i].x_max) / 2,
                                         point.y - (boxes[i].y_min + boxes[i].y_max) / 2);
      if (best == boxes.size() || distance < least) {
        best = i;
        least = distance;
      }
    }
    if (best < boxes.size()) taken[best] = true;
  }
  return static_cast<int>(std::count(taken.begin(), taken.end(), true));
}

void count(Share *share, bool right) {
  ++share->asked;
  share->right += right;
}

bool looks_right(const std::optional<Point> &found, const std::vector<Point> &wanted) {
  constexpr double kNear = 0.1;
  if (wanted.empty() || !found) return wanted.empty() && !found;
  return std::abs(found->x - wanted[0].x) <= kNear && std::abs(found->y - wanted[0].y) <= kNear;
}

Share *share_of(Topic topic, Score *score) {
  switch (topic) {
    case Topic::kCount:
      return &score->counts;
    case Topic::kExistence:
      return &score->existence;
    case Topic::kColor:
      return &score->colors;
    case Topic::kPlace:
      return &score->places;
    case Topic::kNone:
      break;
  }
  return nullptr;
}

}  // namespace

void Score::add(const Lesson &lesson, const moondream::PromptResult &result) {
  switch (lesson.skill) {
    case Skill::kDetect: {
      std::vector<Box> found;
      for (const auto &object : std::get<moondream::DetectResult>(result).objects) {
        found.push_back(object.box);
      }
      boxes += match(found, lesson.boxes);
      if (lesson.boxes.empty()) count(&absent, found.empty());
      break;
    }
    case Skill::kPoint: {
      const auto &found = std::get<moondream::PointResult>(result).points;
      hits.asked += static_cast<int>(lesson.boxes.size());
      hits.right += hit(found, lesson.boxes);
      points += static_cast<int>(found.size());
      if (lesson.boxes.empty()) count(&absent, found.empty());
      break;
    }
    case Skill::kCaption:
      count(&captions, std::get<moondream::CaptionResult>(result).text == lesson.answer);
      break;
    case Skill::kQuery: {
      const bool right = std::get<moondream::QueryResult>(result).answer == lesson.answer;
      if (Share *share = share_of(lesson.topic, this)) count(share, right);
      break;
    }
    case Skill::kReason:
      count(&reasoned, std::get<moondream::QueryResult>(result).answer == lesson.answer);
      break;
    case Skill::kGaze:
      count(&gazes, looks_right(std::get<moondream::GazeResult>(result).gaze, lesson.gaze));
      break;
  }
}

double Score::point_precision() const {
  return points ? static_cast<double>(hits.right) / points : 0;
}

std::string Score::table() const {
  std::string text;
  const auto line = [&](const char *what, double value, int of) {
    std::array<char, 96> buffer;
    std::snprintf(buffer.data(), buffer.size(), "%-44s %6.3f  of %d\n", what, value, of);
    text += buffer.data();
  };
  line("detect: precision at IoU 0.5", boxes.precision(), boxes.found);
  line("detect: recall at IoU 0.5", boxes.recall(), boxes.existing);
  line("detect: mean IoU of the pairs", boxes.mean_iou(), boxes.matched);
  line("point: things that a point hits", hits.value(), hits.asked);
  line("point: points that hit a thing", point_precision(), points);
  line("absent things: prompts that found something", absent.asked ? 1 - absent.value() : 0,
       absent.asked);
  line("query: how many", counts.value(), counts.asked);
  line("query: is there", existence.value(), existence.asked);
  line("query: what color", colors.value(), colors.asked);
  line("query: where", places.value(), places.asked);
  line("query: how many, with reasoning", reasoned.value(), reasoned.asked);
  line("caption: word for word", captions.value(), captions.asked);
  line("gaze: within a tenth of the frame", gazes.value(), gazes.asked);
  return text;
}

moondream::Prompt prompt_of(const Lesson &lesson) {
  using moondream::CaptionLength;
  switch (lesson.skill) {
    case Skill::kDetect:
      return moondream::DetectPrompt{lesson.prompt};
    case Skill::kPoint:
      return moondream::PointPrompt{lesson.prompt};
    case Skill::kCaption:
      return moondream::CaptionPrompt{lesson.prompt == "short"    ? CaptionLength::kShort
                                      : lesson.prompt == "normal" ? CaptionLength::kNormal
                                                                  : CaptionLength::kLong};
    case Skill::kQuery:
      return moondream::QueryPrompt{lesson.prompt, false, {}};
    case Skill::kReason:
      return moondream::QueryPrompt{lesson.prompt, true, {}};
    case Skill::kGaze:
      break;
  }
  return moondream::GazePrompt{lesson.eye, false, {}};
}

}  // namespace scenes
