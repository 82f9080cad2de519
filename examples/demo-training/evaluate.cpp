// Asks a model about drawn pictures that no training has seen, and prints how well it answers.
#include <gst/gst.h>

#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ball.h"
#include "engine.h"
#include "lesson.h"
#include "matching.h"
#include "picture.h"
#include "program.h"
#include "score.h"

namespace {

using moondream::Request;
using moondream::Result;
using moondream::Stream;

// Training draws with smaller seeds.
constexpr std::uint64_t kFirstSeed = 1'000'000'000'000;

struct Arguments {
  // float32: what is counted does not depend on how a CPU rounds.
  moondream::ModelSpec model{.model = MOONDREAM_DEMO_MODEL,
                             .precision = moondream::Precision::kFloat32};
  int count = 1000;
  std::uint64_t seed = kFirstSeed;
  scenes::PictureOptions options;
};

moondream::Precision precision(const std::string &name) {
  if (name == "auto") return moondream::Precision::kAuto;
  if (name == "float32") return moondream::Precision::kFloat32;
  if (name == "bfloat16") return moondream::Precision::kBFloat16;
  throw scenes::UsageError("--precision: \"" + name + "\" is none of auto, float32 and bfloat16");
}

cv::Size size(const std::string &text) {
  int width = 0, height = 0, end = 0;
  if (std::sscanf(text.c_str(), "%5dx%5d%n", &width, &height, &end) != 2 ||
      static_cast<std::size_t>(end) != text.size() || width < 32 || height < 32) {
    throw scenes::UsageError("--size: \"" + text + "\" is not WIDTHxHEIGHT of at least 32x32");
  }
  return {width, height};
}

std::shared_ptr<const moondream::Image> image_of(const scenes::Picture &picture) {
  const cv::Mat &pixels = picture.pixels;
  return std::make_shared<const moondream::Image>(
      moondream::Image{pixels.cols, pixels.rows, {pixels.datastart, pixels.dataend}});
}

Result look(Stream &stream, Request request) {
  std::promise<moondream::Outcome> promise;
  stream.submit(std::move(request),
                [&](moondream::Outcome outcome) { promise.set_value(std::move(outcome)); });
  moondream::Outcome outcome = promise.get_future().get();
  if (const auto *error = std::get_if<moondream::Error>(&outcome)) throw *error;
  return std::get<Result>(std::move(outcome));
}

scenes::Score examine(Stream &stream, const Arguments &arguments) {
  scenes::Score score;
  for (int i = 0; i < arguments.count; ++i) {
    const std::uint64_t seed = arguments.seed + static_cast<std::uint64_t>(i);
    const scenes::Picture picture = scenes::random_picture(seed, arguments.options);
    const std::vector<scenes::Lesson> lessons = scenes::make_lessons(picture, seed);
    Request request;
    request.image = image_of(picture);
    for (const scenes::Lesson &lesson : lessons) {
      request.prompts.push_back(scenes::prompt_of(lesson));
    }
    const Result result = look(stream, std::move(request));
    for (std::size_t k = 0; k < lessons.size(); ++k) score.add(lessons[k], result.prompts[k]);
    if ((i + 1) % 100 == 0) std::fprintf(stderr, "%d of %d pictures\n", i + 1, arguments.count);
  }
  return score;
}

// Boxes of "ball" on frames of videotestsrc.
scenes::Agreement find_ball(Stream &stream) {
  scenes::Agreement agreement;
  for (scenes::BallFrame &frame : scenes::ball_frames(100)) {
    Request request;
    request.image = std::make_shared<const moondream::Image>(std::move(frame.image));
    request.prompts = {moondream::DetectPrompt{"ball"}};
    const Result result = look(stream, std::move(request));
    std::vector<moondream::Box> found;
    for (const auto &object : std::get<moondream::DetectResult>(result.prompts[0]).objects) {
      found.push_back(object.box);
    }
    agreement += scenes::match(found, std::vector{frame.ball});
  }
  return agreement;
}

// Pictures in a second, one after the other.
double speed(Stream &stream) {
  constexpr int kPictures = 50;
  std::vector<std::shared_ptr<const moondream::Image>> images;
  for (std::uint64_t i = 0; i < kPictures; ++i) {
    images.push_back(image_of(scenes::random_picture(kFirstSeed + i, {.size = {640, 360}})));
  }
  const auto begin = std::chrono::steady_clock::now();
  for (const auto &image : images) {
    Request request;
    request.image = image;
    request.prompts = {moondream::DetectPrompt{"face"}, moondream::DetectPrompt{"license plate"}};
    look(stream, std::move(request));
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  return kPictures / time.count();
}

void evaluate(const Arguments &arguments) {
  const auto engine = moondream::Engine::acquire(arguments.model);
  const auto stream = engine->open_stream();
  std::printf("%s, %s on %s, %d pictures\n", engine->info().name.c_str(),
              engine->info().precision.c_str(), engine->info().device.c_str(), arguments.count);
  std::fputs(examine(*stream, arguments).table().c_str(), stdout);
  const scenes::Agreement ball = find_ball(*stream);
  std::printf("%-44s %6.3f  of %d\n", "ball of videotestsrc: precision at IoU 0.5",
              ball.precision(), ball.found);
  std::printf("%-44s %6.3f  of %d\n", "ball of videotestsrc: recall at IoU 0.5", ball.recall(),
              ball.existing);
  std::printf("%-44s %6.1f\n", "640x360, two detect prompts: pictures a second", speed(*stream));
}

}  // namespace

int main(int argc, char **argv) {
  Arguments arguments;
  const scenes::Page page{
      .name = "demo-evaluate",
      .summary = "asks a model about drawn pictures that no training has seen",
      .operands = "",
      .description =
          "Prints how well it answers, how well it follows the ball of videotestsrc pattern=ball, "
          "and how many pictures of 640x360 it looks at in a second for two detect prompts.",
      .options = {scenes::text_option("model", "PATH", "The model (the demo model).",
                                      arguments.model.model),
                  {"precision", 0, "FORMAT",
                   "auto, float32 or bfloat16 (float32: what is counted does not depend on how a "
                   "CPU rounds).",
                   [&](const std::string &value) { arguments.model.precision = precision(value); }},
                  scenes::integer_option("count", "How many pictures (1000).", arguments.count, 1),
                  scenes::integer_option("seed", "Which pictures: the first one's seed.",
                                         arguments.seed, 0),
                  {"size", 0, "WIDTHxHEIGHT", "Of the pictures, which else have several sizes.",
                   [&](const std::string &value) { arguments.options.size = size(value); }}},
      .examples = " demo-evaluate --model run/model --count 300 --size 1280x720"};
  return scenes::run_program(page, argc, argv, [&](const scenes::Operands &operands) {
    if (!operands.empty()) throw scenes::UsageError("takes no " + operands[0]);
    gst_init(nullptr, nullptr);
    evaluate(arguments);
    return true;
  });
}
