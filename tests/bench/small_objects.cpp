// What a grid finds of small things: drawn scenes whose contents are known, looked at by the demo
// model with several grids. Prints agreement at IoU 0.5 and what it costs.
//
//   build/tests/bench/small-objects [SCENES]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <opencv2/imgproc.hpp>
#include <string>
#include <thread>
#include <vector>

#include "device.h"
#include "look.h"
#include "matching.h"
#include "scene.h"

namespace moondream::bench {
namespace {

constexpr double kMinIou = 0.5;  // as examples/demo counts

struct Sample {
  Image image;
  std::vector<scenes::LabelledBox> truth;
};

std::vector<Sample> samples(int count, double min_height, double max_height) {
  std::vector<Sample> made;
  for (int i = 0; i < count; ++i) {
    const auto scene =
        scenes::Scene::random(1000 + static_cast<std::uint64_t>(i), {.size = {1280, 720},
                                                                     .duration = 0,
                                                                     .min_objects = 2,
                                                                     .max_objects = 5,
                                                                     .min_height = min_height,
                                                                     .max_height = max_height});
    cv::Mat bgr, rgb;
    scene.draw(bgr, 0);
    cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
    made.push_back({{rgb.cols, rgb.rows, {rgb.datastart, rgb.dataend}}, scene.truth(0)});
  }
  return made;
}

// Asks for what is there by its own name, and for faces and license plates in any case.
std::vector<std::string> labels_of(const Sample &sample) {
  std::vector<std::string> labels = {"face", "license plate"};
  for (const auto &object : sample.truth) {
    if (std::ranges::find(labels, object.label) == labels.end()) labels.push_back(object.label);
  }
  return labels;
}

void measure(const Model &model, const std::vector<Sample> &all, Grid grid) {
  scenes::Agreement agreement;
  const auto begin = std::chrono::steady_clock::now();
  for (const Sample &sample : all) {
    Request request;
    request.grid = grid;
    const std::vector<std::string> labels = labels_of(sample);
    for (const std::string &label : labels) request.prompts.push_back(DetectPrompt{label});
    const Job job{.request = &request, .image = &sample.image};
    const Outcome outcome = look(model, {&job, 1})[0];
    if (const Error *error = std::get_if<Error>(&outcome)) throw *error;
    for (std::size_t i = 0; i < labels.size(); ++i) {
      std::vector<Box> boxes;
      const auto &found = std::get<Result>(outcome).prompts[i];
      for (const ScoredBox &box : std::get<DetectResult>(found).objects) boxes.push_back(box.box);
      agreement += scenes::match(boxes, scenes::boxes_of(sample.truth, labels[i]), kMinIou);
    }
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  std::printf("  %dx%d %9d %7d %8d %10.2f %7.2f %9.2f %7.0f ms\n", grid.columns, grid.rows,
              agreement.existing, agreement.found, agreement.matched, agreement.precision(),
              agreement.recall(), agreement.mean_iou(),
              1000 * time.count() / static_cast<double>(all.size()));
}

}  // namespace
}  // namespace moondream::bench

int main(int argc, char **argv) {
  using namespace moondream;
  const int count = std::max(1, argc > 1 ? std::atoi(argv[1]) : 100);
  try {
    const auto model = Model::load(
        {.model = MOONDREAM_DEMO_MODEL, .device = "cpu", .precision = Precision::kFloat32});
    use_cpu_threads(static_cast<int>(std::thread::hardware_concurrency()));
    const struct {
      const char *what;
      double min_height, max_height;
    } sizes[] = {{"small", 0.06, 0.12}, {"middling", 0.12, 0.2}, {"large", 0.2, 0.45}};
    for (const auto &size : sizes) {
      std::printf("%d scenes of 1280x720, %s things: %.0f to %.0f %% of the height\n", count,
                  size.what, 100 * size.min_height, 100 * size.max_height);
      std::printf("  grid  existing   found  matched  precision  recall  mean IoU  a scene\n");
      const auto all = bench::samples(count, size.min_height, size.max_height);
      for (const Grid grid : {Grid{1, 1}, Grid{2, 2}, Grid{3, 2}, Grid{3, 3}}) {
        bench::measure(*model, all, grid);
      }
    }
  } catch (const std::exception &error) {
    std::fprintf(stderr, "small-objects: %s\n", error.what());
    return 1;
  }
}
