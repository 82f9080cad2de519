#include "prompts.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "pointers.h"

namespace moondream {
namespace {

std::string valid_utf8(const std::string &text) {
  return TextPtr(g_utf8_make_valid(text.data(), static_cast<gssize>(text.size()))).get();
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kSpace) - first + 1));
}

std::vector<std::string> split(const std::string &list) {
  std::vector<std::string> items;
  std::string_view rest = list;
  for (bool more = true; more;) {
    const auto comma = rest.find(',');
    more = comma != std::string_view::npos;
    std::string item = valid_utf8(trimmed(rest.substr(0, comma)));
    if (!item.empty() && std::find(items.begin(), items.end(), item) == items.end()) {
      items.push_back(std::move(item));
    }
    if (more) rest.remove_prefix(comma + 1);
  }
  return items;
}

// NaN becomes 0: a score that is not a number speaks for nothing.
double clamped_score(double score) { return std::isnan(score) ? 0 : std::clamp(score, 0.0, 1.0); }

// NaN stays NaN.
double clamped(double coordinate) { return std::clamp(coordinate, 0.0, 1.0); }
Point clamped(const Point &point) { return {clamped(point.x), clamped(point.y)}; }
bool is_nan(const Point &point) { return std::isnan(point.x) || std::isnan(point.y); }

// Adds one prompt's result to `out`.
class Adder {
 public:
  Adder(const std::string &text, int position, const FrameView &view, Assembled &out)
      : text_(text), position_(position), view_(view), out_(out) {}

  void operator()(const CaptionResult &result) { out_.analysis.caption = valid_utf8(result.text); }

  void operator()(const QueryResult &result) {
    out_.analysis.answers.push_back({text_, valid_utf8(result.answer), reasoning_of(result)});
  }

  void operator()(const DetectResult &result) {
    for (const ScoredBox &found : result.objects) {
      const Box box{clamped(found.box.x_min), clamped(found.box.y_min), clamped(found.box.x_max),
                    clamped(found.box.y_max)};
      // Comparisons with NaN are false, so this drops those too.
      if (box.x_min < box.x_max && box.y_min < box.y_max) {
        out_.analysis.objects.push_back({.label = text_,
                                         .score = clamped_score(found.score),
                                         .box = view_.to_frame(box),
                                         .label_id = position_});
      } else {
        ++out_.discarded;
      }
    }
  }

  void operator()(const PointResult &result) {
    for (const ScoredPoint &found : result.points) {
      const Point point = clamped(found.point);
      if (is_nan(point)) {
        ++out_.discarded;
      } else {
        out_.analysis.points.push_back({text_, clamped_score(found.score), view_.to_frame(point)});
      }
    }
  }

  // Gazes are asked for by face; this one is an answer to something else.
  void operator()(const GazeResult &) {
    throw Error(ErrorKind::kFailed, "The model answered with a gaze that was not asked for.");
  }

  void operator()(const SegmentResult &) {
    throw Error(ErrorKind::kFailed, "The model answered with an outline that was not asked for.");
  }

  void operator()(const FaceGazeResult &result) {
    for (const FaceGaze &found : result.faces) {
      if (!found.gaze) continue;
      const Point from = clamped(found.eyes), to = clamped(*found.gaze);
      if (is_nan(from) || is_nan(to)) {
        ++out_.discarded;
      } else {
        out_.analysis.gaze.push_back({view_.to_frame(from), view_.to_frame(to)});
      }
    }
  }

 private:
  std::optional<Reasoning> reasoning_of(const QueryResult &result) {
    if (!result.reasoning) return std::nullopt;
    Reasoning reasoning{valid_utf8(result.reasoning->text), {}};
    for (const Grounding &found : result.reasoning->grounding) {
      Grounding &grounding =
          reasoning.grounding.emplace_back(Grounding{found.start_idx, found.end_idx, {}});
      for (const Point &place : found.points) {
        const Point point = clamped(place);
        if (is_nan(point)) {
          ++out_.discarded;
        } else {
          grounding.points.push_back(view_.to_frame(point));
        }
      }
    }
    return reasoning;
  }

  const std::string &text_;
  const int position_;
  const FrameView &view_;
  Assembled &out_;
};

}  // namespace

PromptList make_prompts(const Questions &questions) {
  PromptList list;
  const auto add = [&list](Prompt prompt, std::string text, int position) {
    list.prompts.push_back(std::move(prompt));
    list.texts.push_back(std::move(text));
    list.positions.push_back(position);
  };
  int position = 0;
  for (const std::string &object : split(questions.detect))
    add(DetectPrompt{object}, object, position++);
  position = 0;
  for (const std::string &object : split(questions.point))
    add(PointPrompt{object}, object, position++);
  if (const std::string question = valid_utf8(trimmed(questions.query)); !question.empty()) {
    add(QueryPrompt{question, questions.reasoning, {}}, question, 0);
  }
  if (questions.caption) add(CaptionPrompt{*questions.caption}, {}, 0);
  if (questions.gaze) add(FaceGazePrompt{}, {}, 0);
  return list;
}

Assembled assemble(const PromptList &asked, const std::vector<PromptResult> &results,
                   const FrameView &view) {
  if (results.size() != asked.prompts.size()) {
    throw Error(ErrorKind::kFailed, "The model answered " + std::to_string(results.size()) +
                                        " of " + std::to_string(asked.prompts.size()) +
                                        " prompts.");
  }
  Assembled out;
  for (std::size_t i = 0; i < results.size(); ++i) {
    // Both variants list the same kinds in the same order.
    if (results[i].index() != asked.prompts[i].index()) {
      throw Error(ErrorKind::kFailed, "The model answered prompt " + std::to_string(i) +
                                          " with another kind of result.");
    }
    std::visit(Adder(asked.texts[i], asked.positions[i], view, out), results[i]);
  }
  return out;
}

}  // namespace moondream
