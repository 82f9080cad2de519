// What a stream's memory saves on a fixed camera: a still, textured background of 1280x720 and one
// thing that moves across it, looked at with the memory and without. Prints the share of crops that
// were not encoded, the times, and whether the boxes are the same.
//
//   build/tests/bench/fixed-camera [FRAMES]              the tests' tiny model, float32
//   build/tests/bench/fixed-camera --full-size [FRAMES]  Moondream 2's dimensions, random weights,
//                                                        bfloat16
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "crop_memory.h"
#include "device.h"
#include "full_size_model.h"
#include "look.h"

namespace moondream::bench {
namespace {

constexpr int kWidth = 1280, kHeight = 720;
constexpr int kSide = 90;   // pixels, of the thing
constexpr int kSpeed = 37;  // pixels per frame

// 8 bits of texture at a place, always the same.
int texture(int x, int y) {
  unsigned value = static_cast<unsigned>(x) * 73856093u ^ static_cast<unsigned>(y) * 19349663u;
  value = (value ^ value >> 13) * 1274126177u;
  return static_cast<int>(value >> 24);
}

// noise: of a camera, values by which each pixel is off at most.
Image frame(int number, int noise) {
  Image image{kWidth, kHeight, {}};
  image.pixels.reserve(std::size_t{3} * kWidth * kHeight);
  const int left = kSpeed * number % (kWidth - kSide), top = kHeight / 2 + number % 5;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      const bool thing = x >= left && x < left + kSide && y >= top && y < top + kSide;
      // Coarse tiles and fine grain; the thing's texture moves with it.
      const int base = thing ? 200 + texture((x - left) / 6, (y - top) / 6) / 8
                             : 60 + texture(x / 40, y / 40) / 4 + texture(x, y) / 16;
      for (int c = 0; c < 3; ++c) {
        const int off =
            noise == 0 ? 0 : texture(3 * x + c + 9973 * number, y) % (2 * noise + 1) - noise;
        image.pixels.push_back(static_cast<std::uint8_t>(std::clamp(base - 10 * c + off, 0, 255)));
      }
    }
  }
  return image;
}

struct Looked {
  DetectResult found;
  Effort effort;
  double seconds;
};

Looked look_at(const Model &model, const Image &image, double threshold, StreamMemory *memory) {
  Request request;
  request.prompts = {DetectPrompt{"face"}};
  request.settings.max_objects = 5;
  request.change_threshold = threshold;
  const Job job{.request = &request, .image = &image, .memory = memory};
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = look(model, {&job, 1})[0];
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
  if (const Error *error = std::get_if<Error>(&outcome)) throw *error;
  const Result &result = std::get<Result>(outcome);
  return {std::get<DetectResult>(result.prompts[0]), result.effort, time.count()};
}

bool same_boxes(const DetectResult &a, const DetectResult &b) {
  return std::ranges::equal(a.objects, b.objects,
                            [](const auto &x, const auto &y) { return x.box == y.box; });
}

// step: frames that the thing moves between two looks; 0: nothing moves.
void compare(const Model &model, const char *what, int frames, int step, int noise,
             double threshold) {
  CropMemory memory;
  int crops = 0, encoded = 0, reused = 0, same = 0;
  double with = 0, without = 0;
  for (int i = 0; i < frames; ++i) {
    const Image image = frame(step * i, noise);
    const Looked plain = look_at(model, image, threshold, nullptr);
    const Looked known = look_at(model, image, threshold, &memory);
    same += same_boxes(plain.found, known.found);
    if (i == 0) continue;  // there is nothing to know yet
    crops += known.effort.crops;
    encoded += known.effort.crops_encoded;
    reused += known.effort.reused;
    with += known.seconds;
    without += plain.seconds;
  }
  std::printf("%-34s %3d of %3d (%2.0f %%)   %2d of %2d   %7.2f s  %7.2f s  %4.0f %%   %d of %d\n",
              what, crops - encoded, crops, 100.0 * (crops - encoded) / crops, reused, frames - 1,
              without / (frames - 1), with / (frames - 1), 100 * (1 - with / without), same,
              frames);
}

void run(const Model &model, int frames) {
  look_at(model, frame(0, 0), 0, nullptr);  // warms up
  std::printf("%s, %s, %d frames of %dx%d, one prompt\n\n", model.info().name.c_str(),
              model.info().precision.c_str(), frames, kWidth, kHeight);
  std::printf("%-34s %-18s %-10s %9s %10s %6s   %s\n", "", "crops not encoded", "reused", "without",
              "with", "saved", "same boxes");
  compare(model, "nothing moves", frames, 0, 0, 0);
  compare(model, "one thing moves", frames, 1, 0, 0);
  compare(model, "it moves, sensor noise +-2", frames, 1, 2, 0);
  compare(model, "it moves, noise, threshold 0.01", frames, 1, 2, 0.01);
}

}  // namespace
}  // namespace moondream::bench

int main(int argc, char **argv) {
  using namespace moondream;
  const bool full_size = argc > 1 && argv[1] == std::string("--full-size");
  const char *count = argc > (full_size ? 2 : 1) ? argv[full_size ? 2 : 1] : nullptr;
  const int frames = std::max(2, count ? std::atoi(count) : full_size ? 5 : 20);
  try {
    if (full_size) {
      bench::run(bench::full_size_model(Precision::kBFloat16).model, frames);
    } else {
      const auto model = Model::load({.model = MOONDREAM_TEST_DATA "/golden/moondream2-tiny",
                                      .device = "cpu",
                                      .precision = Precision::kFloat32});
      use_cpu_threads(static_cast<int>(std::thread::hardware_concurrency()));
      bench::run(*model, frames);
    }
  } catch (const Error &error) {
    std::fprintf(stderr, "fixed-camera: %s\n", error.what());
    return 1;
  }
}
