#include "request_rules.h"

#include <cstddef>
#include <variant>

namespace moondream {

void check_request(const Request &request) {
  const auto refuse = [](const std::string &text) { throw Error(ErrorKind::kSettings, text); };
  if (request.prompts.empty()) refuse("the request has no prompts");
  if (request.grid.columns < 1 || request.grid.rows < 1) {
    refuse("a grid of " + std::to_string(request.grid.columns) + "x" +
           std::to_string(request.grid.rows) + " has no parts");
  }
  // Written so that NaN is refused too.
  if (!(request.change_threshold >= 0 && request.change_threshold <= 1)) {
    refuse("change_threshold = " + std::to_string(request.change_threshold) + " is not in [0, 1]");
  }
  for (const Prompt &prompt : request.prompts) {
    const auto *gaze = std::get_if<GazePrompt>(&prompt);
    if (!gaze || !gaze->face) continue;
    const Box &face = *gaze->face;
    if (face.x_min <= face.x_max && face.y_min <= face.y_max) continue;
    refuse("the face of a gaze prompt ends before it begins");
  }
  if (request.image) return check_image(*request.image);
  if (request.make_image) return;
  for (const Prompt &prompt : request.prompts) {
    if (std::holds_alternative<QueryPrompt>(prompt)) continue;
    refuse("without an image only queries can be answered");
  }
}

void check_image(const Image &image) {
  if (image.width >= 1 && image.height >= 1 &&
      image.pixels.size() == std::size_t{3} * static_cast<std::size_t>(image.width) *
                                 static_cast<std::size_t>(image.height)) {
    return;
  }
  throw Error(ErrorKind::kSettings, "an image of " + std::to_string(image.width) + "x" +
                                        std::to_string(image.height) + " RGB pixels cannot have " +
                                        std::to_string(image.pixels.size()) + " bytes");
}

std::string mistake(const Result &result, const Request &request) {
  const std::size_t count = request.prompts.size();
  if (result.prompts.size() != count) {
    return std::to_string(result.prompts.size()) + " results for " + std::to_string(count) +
           " prompts";
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (result.prompts[i].index() != request.prompts[i].index()) {
      return "the result of prompt " + std::to_string(i) + " is of another kind than the prompt";
    }
  }
  return {};
}

std::vector<TextPiece> whole_texts(const std::vector<PromptResult> &results) {
  std::vector<TextPiece> pieces;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto add = [&](const std::string &text, bool reasoning) {
      if (!text.empty()) pieces.push_back({i, reasoning, text});
    };
    if (const auto *caption = std::get_if<CaptionResult>(&results[i])) add(caption->text, false);
    if (const auto *query = std::get_if<QueryResult>(&results[i])) {
      if (query->reasoning) add(query->reasoning->text, true);
      add(query->answer, false);
    }
  }
  return pieces;
}

}  // namespace moondream
