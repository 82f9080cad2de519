// Results in the forms in which the command prints them.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "ask.h"
#include "result_json.h"

namespace moondream::cli {
namespace {

using Json = nlohmann::ordered_json;

template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

// Calls `visitor` with each prompt and its result, which are of the same kind, if it has a case for
// that kind.
template <typename Visitor>
void for_each_answer(const std::vector<Prompt> &prompts, const Result &result, Visitor visitor) {
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    std::visit(
        [&](const auto &answer) {
          if constexpr (std::is_invocable_v<Visitor &, const Prompt &, decltype(answer)>) {
            visitor(prompts[i], answer);
          }
        },
        result.prompts[i]);
  }
}

// Models may place things partly outside; what is printed is clamped to the picture, as the plugin
// does it.
Point clamped(const Point &point) {
  return {std::clamp(point.x, 0.0, 1.0), std::clamp(point.y, 0.0, 1.0)};
}
Box clamped(const Box &box) {
  const Point low = clamped(Point{box.x_min, box.y_min}),
              high = clamped(Point{box.x_max, box.y_max});
  return {low.x, low.y, high.x, high.y};
}

// Where a gaze begins.
Point origin_of(const GazePrompt &prompt) {
  if (!prompt.face) return prompt.eye;
  return {(prompt.face->x_min + prompt.face->x_max) / 2,
          (prompt.face->y_min + prompt.face->y_max) / 2};
}

template <typename... Numbers>
std::string format(const char *pattern, Numbers... numbers) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, numbers...);
  return text;
}

std::string place(const Point &point) {
  const Point inside = clamped(point);
  return format("%.4f,%.4f", inside.x, inside.y);
}

std::string gaze_text(const Point &from, const std::optional<Point> &to) {
  return place(from) + " -> " + (to ? place(*to) : "outside the picture") + "\n";
}

}  // namespace

Json answers_json(const std::string &picture, const Image *image, const std::string &model,
                  const std::vector<Prompt> &prompts, const Result &result) {
  Json json;
  json["image"] = image ? Json(picture) : Json(nullptr);
  json["width"] = image ? Json(image->width) : Json(nullptr);
  json["height"] = image ? Json(image->height) : Json(nullptr);
  json["model"] = model;
  Json objects = Json::array(), points = Json::array(), gaze = Json::array(),
       answers = Json::array(), outlines = Json::array();
  for_each_answer(
      prompts, result,
      Overloaded{
          [&](const Prompt &, const CaptionResult &caption) { json["caption"] = caption.text; },
          [&](const Prompt &prompt, const QueryResult &answer) {
            answers.push_back(answer_json(std::get<QueryPrompt>(prompt).question, answer.answer,
                                          answer.reasoning));
          },
          [&](const Prompt &prompt, const DetectResult &found) {
            for (const ScoredBox &box : found.objects) {
              objects.push_back(
                  object_json(std::get<DetectPrompt>(prompt).object, box.score, clamped(box.box)));
            }
          },
          [&](const Prompt &prompt, const PointResult &found) {
            for (const ScoredPoint &point : found.points) {
              points.push_back(point_json(std::get<PointPrompt>(prompt).object, point.score,
                                          clamped(point.point)));
            }
          },
          [&](const Prompt &prompt, const GazeResult &found) {
            if (found.gaze) {
              gaze.push_back(
                  gaze_json(origin_of(std::get<GazePrompt>(prompt)), clamped(*found.gaze)));
            }
          },
          [&](const Prompt &prompt, const SegmentResult &found) {
            if (!found.box) return;
            const Box &box = *found.box;  // the path is in fractions of it, so it is not clamped
            outlines.push_back({{"label", std::get<SegmentPrompt>(prompt).object},
                                {"x_min", box.x_min},
                                {"y_min", box.y_min},
                                {"x_max", box.x_max},
                                {"y_max", box.y_max},
                                {"path", found.path},
                                {"refined", found.refined}});
          },
          [&](const Prompt &, const FaceGazeResult &found) {
            for (const FaceGaze &face : found.faces) {
              objects.push_back(object_json("face", face.face.score, clamped(face.face.box)));
              if (face.gaze) gaze.push_back(gaze_json(clamped(face.eyes), clamped(*face.gaze)));
            }
          },
      });
  json["objects"] = std::move(objects);
  json["points"] = std::move(points);
  json["gaze"] = std::move(gaze);
  json["answers"] = std::move(answers);
  if (!outlines.empty()) json["outlines"] = std::move(outlines);
  return json;
}

std::string answers_text(const std::vector<Prompt> &prompts, const Result &result) {
  std::string text;
  for_each_answer(
      prompts, result,
      Overloaded{
          [&](const Prompt &, const CaptionResult &caption) { text += caption.text + "\n"; },
          [&](const Prompt &, const QueryResult &answer) {
            if (answer.reasoning) text += answer.reasoning->text + "\n\n";
            text += answer.answer + "\n";
          },
          [&](const Prompt &prompt, const DetectResult &found) {
            for (const ScoredBox &box : found.objects) {
              text += std::get<DetectPrompt>(prompt).object + format(" %.3f ", box.score) +
                      place({box.box.x_min, box.box.y_min}) + " " +
                      place({box.box.x_max, box.box.y_max}) + "\n";
            }
          },
          [&](const Prompt &prompt, const PointResult &found) {
            for (const ScoredPoint &point : found.points) {
              text += std::get<PointPrompt>(prompt).object + format(" %.3f ", point.score) +
                      place(point.point) + "\n";
            }
          },
          [&](const Prompt &prompt, const GazeResult &found) {
            text += gaze_text(origin_of(std::get<GazePrompt>(prompt)), found.gaze);
          },
          [&](const Prompt &prompt, const SegmentResult &found) {
            if (!found.box) return;
            text += std::get<SegmentPrompt>(prompt).object +
                    format(" %.4f,%.4f %.4f,%.4f ", found.box->x_min, found.box->y_min,
                           found.box->x_max, found.box->y_max) +
                    found.path + "\n";
          },
          [&](const Prompt &, const FaceGazeResult &found) {
            for (const FaceGaze &face : found.faces) text += gaze_text(face.eyes, face.gaze);
          },
      });
  return text;
}

Overlay overlay_of(const std::vector<Prompt> &prompts, const Result &result) {
  Overlay overlay;
  for_each_answer(
      prompts, result,
      Overloaded{
          [&](const Prompt &, const QueryResult &answer) {
            if (!answer.reasoning) return;
            for (const Grounding &stretch : answer.reasoning->grounding) {
              for (const Point &point : stretch.points) overlay.points.push_back({"", point});
            }
          },
          [&](const Prompt &prompt, const DetectResult &found) {
            for (const ScoredBox &box : found.objects) {
              overlay.boxes.push_back({std::get<DetectPrompt>(prompt).object, box.box});
            }
          },
          [&](const Prompt &prompt, const PointResult &found) {
            for (const ScoredPoint &point : found.points) {
              overlay.points.push_back({std::get<PointPrompt>(prompt).object, point.point});
            }
          },
          [&](const Prompt &prompt, const GazeResult &found) {
            const auto &asked = std::get<GazePrompt>(prompt);
            if (asked.face) overlay.boxes.push_back({"face", *asked.face});
            if (found.gaze) overlay.gaze.push_back({origin_of(asked), *found.gaze});
          },
          [&](const Prompt &prompt, const SegmentResult &found) {
            if (!found.box) return;
            const std::string &object = std::get<SegmentPrompt>(prompt).object;
            overlay.boxes.push_back({object, *found.box});
            overlay.outlines.push_back({object, found.path, *found.box});
          },
          [&](const Prompt &, const FaceGazeResult &found) {
            for (const FaceGaze &face : found.faces) {
              overlay.boxes.push_back({"face", face.face.box});
              if (face.gaze) overlay.gaze.push_back({face.eyes, *face.gaze});
            }
          },
      });
  return overlay;
}

}  // namespace moondream::cli
