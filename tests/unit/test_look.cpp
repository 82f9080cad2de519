// What a batch of jobs asks of its pictures, through the real backend on small weights: what is
// known is not computed again, parts are joined, and no job disturbs another.
#include "look.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <thread>

#include "crop_memory.h"
#include "gaze.h"
#include "grid.h"
#include "test_support.h"

namespace moondream {
namespace {

const std::filesystem::path kTiny =
    std::filesystem::path(MOONDREAM_TEST_DATA) / "golden" / "moondream2-tiny";
constexpr int kCropSize = 378;
constexpr std::size_t kCropBytes = std::size_t{3} * kCropSize * kCropSize;

std::unique_ptr<Backend> load(const std::string &path) {
  return load_model_backend({.model = path, .device = "cpu", .precision = Precision::kFloat32}, {});
}

Backend &tiny() {
  static const auto backend = load(kTiny.string());
  return *backend;
}

std::vector<Outcome> run(std::span<const Job> jobs) {
  return tiny().run(jobs, static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
}

std::shared_ptr<Image> noise(int width, int height, unsigned seed = 1) {
  Image image{width, height, std::vector<std::uint8_t>(std::size_t{3} * width * height)};
  for (std::uint8_t &byte : image.pixels) byte = (seed = seed * 1664525u + 1013904223u) >> 24;
  return std::make_shared<Image>(std::move(image));
}

// A picture that is another one but for a square of noise.
std::shared_ptr<Image> with_spot(const Image &image, int x, int y, int side) {
  auto changed = std::make_shared<Image>(image);
  const auto spot = noise(side, side, 99);
  for (int row = 0; row < side; ++row) {
    const auto from = spot->pixels.begin() + std::ptrdiff_t{3} * side * row;
    std::copy(from, from + std::ptrdiff_t{3} * side,
              changed->pixels.begin() + std::ptrdiff_t{3} * ((y + row) * image.width + x));
  }
  return changed;
}

std::shared_ptr<Image> cut_out(const Image &image, const Part &part) {
  auto cut = std::make_shared<Image>(Image{part.width, part.height, {}});
  for (int y = part.y; y < part.y + part.height; ++y) {
    const auto row = image.pixels.begin() + std::ptrdiff_t{3} * (y * image.width + part.x);
    cut->pixels.insert(cut->pixels.end(), row, row + std::ptrdiff_t{3} * part.width);
  }
  return cut;
}

Request request(std::shared_ptr<const Image> image, std::vector<Prompt> prompts) {
  Request made;
  made.image = std::move(image);
  made.prompts = std::move(prompts);
  made.settings.max_objects = 3;
  made.settings.max_tokens = 6;
  return made;
}

Outcome look_at(const Request &request, StreamMemory *memory = nullptr) {
  const Job job{.request = &request, .image = request.image.get(), .memory = memory};
  return run({&job, 1})[0];
}

Result result_of(const Request &request, StreamMemory *memory = nullptr) {
  const Outcome outcome = look_at(request, memory);
  if (const Error *error = std::get_if<Error>(&outcome)) throw *error;
  return std::get<Result>(outcome);
}

// All that a result says, every digit of it.
std::string told(const std::vector<PromptResult> &results) {
  std::ostringstream text;
  text << std::hexfloat;
  const auto box = [&](const ScoredBox &one) {
    text << one.box.x_min << ' ' << one.box.y_min << ' ' << one.box.x_max << ' ' << one.box.y_max;
  };
  const auto gaze = [&](const std::optional<Point> &point) {
    if (point) text << " gaze " << point->x << ' ' << point->y;
  };
  for (const PromptResult &result : results) {
    text << "[" << result.index() << "] ";
    if (const auto *caption = std::get_if<CaptionResult>(&result)) text << caption->text;
    if (const auto *query = std::get_if<QueryResult>(&result)) text << query->answer;
    if (const auto *detect = std::get_if<DetectResult>(&result)) {
      for (const ScoredBox &object : detect->objects) box(object), text << ", ";
    }
    if (const auto *point = std::get_if<PointResult>(&result)) {
      for (const auto &[place, score] : point->points) text << place.x << ' ' << place.y << ", ";
    }
    if (const auto *one = std::get_if<GazeResult>(&result)) gaze(one->gaze);
    if (const auto *faces = std::get_if<FaceGazeResult>(&result)) {
      for (const FaceGaze &face : faces->faces) {
        box(face.face), text << " eyes " << face.eyes.x << ' ' << face.eyes.y, gaze(face.gaze);
      }
    }
    text << '\n';
  }
  return text.str();
}

// How many crops of `now` are not the same bytes as those of `before`.
int changed_crops(const Image &before, const Image &now) {
  const VisionConfig config;  // crops as the tiny model's
  const Crops a = overlap_crop_image(before.view(), config);
  const Crops b = overlap_crop_image(now.view(), config);
  int changed = 0;
  for (int i = 0; i < a.count; ++i) {
    const auto begin = a.pixels.begin() + static_cast<std::ptrdiff_t>(i * kCropBytes);
    changed += !std::equal(begin, begin + kCropBytes,
                           b.pixels.begin() + static_cast<std::ptrdiff_t>(i * kCropBytes));
  }
  return changed;
}

// ---- What is known ---------------------------------------------------------------------------

TEST(LookMemory, AnUnchangedPictureIsAnsweredAtOnce) {
  const auto memory = tiny().open_stream();
  const Request asked = request(noise(1280, 720), {DetectPrompt{"face"}, CaptionPrompt{}});
  const Result first = result_of(asked, memory.get());
  EXPECT_EQ(first.effort.crops, 9);
  EXPECT_EQ(first.effort.crops_encoded, 9);
  EXPECT_FALSE(first.effort.reused);

  Request again = asked;
  again.image = noise(1280, 720);  // other memory, equal pixels
  const Result second = result_of(again, memory.get());
  EXPECT_TRUE(second.effort.reused);
  EXPECT_EQ(second.effort.crops, 9);
  EXPECT_EQ(second.effort.crops_encoded, 0);
  EXPECT_EQ(told(second.prompts), told(first.prompts));
}

TEST(LookMemory, ReuseCanBeRefusedAndThenTheModelAnswersFromKnownCrops) {
  const auto memory = tiny().open_stream();
  Request asked = request(noise(1280, 720), {DetectPrompt{"face"}, CaptionPrompt{}});
  const Result first = result_of(asked, memory.get());
  asked.reuse_result = false;
  const Result second = result_of(asked, memory.get());
  EXPECT_FALSE(second.effort.reused);
  EXPECT_EQ(second.effort.crops_encoded, 0);
  // From the same features, in the same order: bit for bit.
  EXPECT_EQ(told(second.prompts), told(first.prompts));
}

TEST(LookMemory, WhateverElseIsAskedIsAnsweredAnewFromKnownCrops) {
  const auto memory = tiny().open_stream();
  const Request asked = request(noise(640, 480), {CaptionPrompt{}});
  result_of(asked, memory.get());

  Request prompt = asked, settings = asked;
  prompt.prompts = {QueryPrompt{"What is it?", false, {}}};
  settings.settings.max_tokens = 4;
  for (const Request &other : {prompt, settings}) {
    const Result result = result_of(other, memory.get());
    EXPECT_FALSE(result.effort.reused);
    EXPECT_EQ(result.effort.crops_encoded, 0);
    EXPECT_EQ(told(result.prompts), told(result_of(other).prompts));
  }
}

TEST(LookMemory, OnlyChangedCropsAreEncodedAndTheBoxesAreTheSame) {
  const auto before = noise(1280, 720);
  const auto now = with_spot(*before, 1150, 600, 60);
  const int changed = changed_crops(*before, *now);
  ASSERT_EQ(changed, 2);  // the global one and the lower right one

  const auto memory = tiny().open_stream();
  const std::vector<Prompt> prompts = {DetectPrompt{"face"}, PointPrompt{"hat"}};
  result_of(request(before, prompts), memory.get());
  const Result known = result_of(request(now, prompts), memory.get());
  EXPECT_EQ(known.effort.crops, 9);
  EXPECT_EQ(known.effort.crops_encoded, changed);
  EXPECT_FALSE(known.effort.reused);
  EXPECT_EQ(told(known.prompts), told(result_of(request(now, prompts)).prompts));

  // And what is new is known from now on.
  EXPECT_TRUE(result_of(request(now, prompts), memory.get()).effort.reused);
}

TEST(LookMemory, PartsOfAGridAreRememberedEach) {
  const auto before = noise(1280, 720);
  const auto now = with_spot(*before, 1150, 600, 60);
  const auto memory = tiny().open_stream();
  Request asked = request(before, {DetectPrompt{"face"}});
  asked.grid = {2, 2};
  int crops = 0, changed = 0;
  for (const Part &part : parts_of(1280, 720, asked.grid)) {
    const auto old_part = cut_out(*before, part), new_part = cut_out(*now, part);
    crops += overlap_crop_image(old_part->view(), VisionConfig{}).count;
    changed += changed_crops(*old_part, *new_part);
  }
  EXPECT_EQ(result_of(asked, memory.get()).effort.crops, crops);
  asked.image = now;
  const Result known = result_of(asked, memory.get());
  EXPECT_EQ(known.effort.crops_encoded, changed);
  EXPECT_LT(changed, crops / 2);
  EXPECT_EQ(told(known.prompts), told(result_of(asked).prompts));
}

// A picture of one crop's size is not scaled: its crop is the picture.
std::shared_ptr<Image> grey(std::uint8_t level) {
  return std::make_shared<Image>(
      Image{kCropSize, kCropSize, std::vector<std::uint8_t>(kCropBytes, level)});
}

TEST(LookMemory, SlowChangesAddUpUntilTheyCount) {
  const auto memory = tiny().open_stream();
  std::vector<bool> encoded;
  for (const std::uint8_t level : {100, 101, 102, 103, 104, 105, 105}) {
    Request asked = request(grey(level), {CaptionPrompt{}});
    asked.change_threshold = 2.5 / 255;
    encoded.push_back(result_of(asked, memory.get()).effort.crops_encoded == 1);
  }
  // 103 is the first that is more than 2.5 from 100, and 106 would be the next.
  EXPECT_EQ(encoded, (std::vector{true, false, false, true, false, false, false}));
}

TEST(LookMemory, WithoutAThresholdTheSmallestChangeCounts) {
  const auto memory = tiny().open_stream();
  const auto image = grey(100);
  result_of(request(image, {CaptionPrompt{}}), memory.get());
  auto other = std::make_shared<Image>(*image);
  other->pixels[7000] += 1;
  const Result result = result_of(request(other, {CaptionPrompt{}}), memory.get());
  EXPECT_EQ(result.effort.crops_encoded, 1);
  EXPECT_FALSE(result.effort.reused);
}

TEST(LookMemory, ARequestWithoutAPictureIsAnsweredAtOnceToo) {
  const auto memory = tiny().open_stream();
  const Request asked = request(nullptr, {QueryPrompt{"Why?", false, {}}});
  const Result first = result_of(asked, memory.get());
  EXPECT_FALSE(first.effort.reused);
  EXPECT_EQ(first.effort.crops, 0);
  const Result second = result_of(asked, memory.get());
  EXPECT_TRUE(second.effort.reused);
  EXPECT_EQ(told(second.prompts), told(first.prompts));
}

TEST(LookMemory, AFailedRequestHasSeenItsPictureAllTheSame) {
  const auto memory = tiny().open_stream();
  const auto image = noise(1280, 720);
  const Request bad = request(image, {QueryPrompt{std::string(10000, 'x'), false, {}}});
  EXPECT_EQ(std::get<Error>(look_at(bad, memory.get())).kind(), ErrorKind::kSettings);
  const Request good = request(image, {CaptionPrompt{}});
  const Result result = result_of(good, memory.get());
  EXPECT_EQ(result.effort.crops_encoded, 0);
  EXPECT_FALSE(result.effort.reused);
  EXPECT_EQ(told(result.prompts), told(result_of(good).prompts));
}

TEST(LookMemory, ACancelledOrRefusedRequestLeavesWhatIsKnown) {
  const auto memory = tiny().open_stream();
  const Request asked = request(noise(1280, 720), {CaptionPrompt{}});
  const Result first = result_of(asked, memory.get());

  std::stop_source stop;
  stop.request_stop();
  const Request other = request(noise(640, 480, 5), {CaptionPrompt{}});
  const Job job{.request = &other,
                .image = other.image.get(),
                .memory = memory.get(),
                .cancelled = stop.get_token()};
  EXPECT_EQ(std::get<Error>(run({&job, 1})[0]).kind(), ErrorKind::kCancelled);
  Request refused = other;
  refused.grid = {9, 1};
  EXPECT_EQ(std::get<Error>(look_at(refused, memory.get())).kind(), ErrorKind::kSettings);

  const Result again = result_of(asked, memory.get());
  EXPECT_TRUE(again.effort.reused);
  EXPECT_EQ(told(again.prompts), told(first.prompts));
}

TEST(LookMemory, TakesWhatThePixelsAndFeaturesTake) {
  const auto memory = tiny().open_stream();
  EXPECT_EQ(memory->bytes(), 0u);
  result_of(request(noise(1280, 720), {CaptionPrompt{}}), memory.get());
  // The tiny model's features: 729 patches of width 32 in float32.
  EXPECT_EQ(memory->bytes(), 9 * (kCropBytes + 729 * 32 * 4));
}

TEST(LookMemory, RequestsOfOneStreamMayRunAtTheSameTime) {
  const auto memory = tiny().open_stream();
  const auto still = noise(640, 480);
  const std::vector<Request> asked = {
      request(still, {DetectPrompt{"face"}}),
      request(with_spot(*still, 20, 20, 40), {DetectPrompt{"face"}}),
      request(noise(200, 330), {CaptionPrompt{}}),
  };
  std::vector<std::string> expected;
  for (const Request &one : asked) expected.push_back(told(result_of(one).prompts));
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < 4; ++i) {
          const std::size_t which = (t + i) % asked.size();
          EXPECT_EQ(told(result_of(asked[which], memory.get()).prompts), expected[which]);
        }
      });
    }
  }
}

// ---- Batches ---------------------------------------------------------------------------------

TEST(Look, JobsOfABatchAreAnsweredAsAlone) {
  std::stop_source stop;
  stop.request_stop();
  const std::vector<Request> asked = {
      request(noise(1280, 720), {DetectPrompt{"face"}, CaptionPrompt{}}),
      request(noise(640, 480), {CaptionPrompt{}}),         // cancelled
      request(noise(300, 300), {DetectPrompt{""}}),        // refused by the prompt
      request(nullptr, {QueryPrompt{"Why?", false, {}}}),  // without a picture
      request(noise(200, 330), {FaceGazePrompt{}, CaptionPrompt{}}),
  };
  std::vector<Job> jobs;
  for (const Request &one : asked) jobs.push_back({.request = &one, .image = one.image.get()});
  jobs[1].cancelled = stop.get_token();
  const auto outcomes = run(jobs);
  ASSERT_EQ(outcomes.size(), 5u);
  EXPECT_EQ(std::get<Error>(outcomes[1]).kind(), ErrorKind::kCancelled);
  EXPECT_EQ(std::get<Error>(outcomes[2]).kind(), ErrorKind::kSettings);
  for (const std::size_t i : {0, 3, 4}) {
    ASSERT_TRUE(std::holds_alternative<Result>(outcomes[i]));
    EXPECT_EQ(told(std::get<Result>(outcomes[i]).prompts), told(result_of(asked[i]).prompts)) << i;
  }
}

TEST(Look, APreparedPictureIsAnsweredAsAnUnpreparedOne) {
  Request asked = request(noise(800, 600), {DetectPrompt{"face"}, CaptionPrompt{}});
  asked.grid = {2, 1};
  const auto preparation = tiny().prepare(asked, *asked.image);
  ASSERT_NE(preparation, nullptr);
  const Job job{.request = &asked, .image = asked.image.get(), .preparation = preparation.get()};
  const Outcome outcome = run({&job, 1})[0];
  const Result expected = result_of(asked);
  EXPECT_EQ(told(std::get<Result>(outcome).prompts), told(expected.prompts));
  EXPECT_EQ(preparation->bytes(), expected.effort.crops * kCropBytes);
}

TEST(Look, RefusesGridsOutOfRangeAndPicturesThatAreNone) {
  Request asked = request(noise(64, 64), {CaptionPrompt{}});
  asked.grid = {9, 1};
  const Outcome grid = look_at(asked);
  ASSERT_TRUE(std::holds_alternative<Error>(grid));
  EXPECT_EQ(std::get<Error>(grid).kind(), ErrorKind::kSettings);
  EXPECT_TRUE(test::says(std::get<Error>(grid), "9x1"));
  const Outcome nothing = look_at(request(std::make_shared<Image>(), {CaptionPrompt{}}));
  ASSERT_TRUE(std::holds_alternative<Error>(nothing));
  EXPECT_EQ(std::get<Error>(nothing).kind(), ErrorKind::kSettings);
}

// ---- Grids -----------------------------------------------------------------------------------

TEST(LookGrid, ObjectsArePutTogetherOfTheWholePictureAndItsParts) {
  const auto image = noise(700, 500);
  Request asked = request(image, {DetectPrompt{"face"}, PointPrompt{"hat"}, CaptionPrompt{}});
  asked.grid = {2, 2};
  asked.settings.max_objects = 2;
  const Result found = result_of(asked);

  std::vector<Box> places;
  std::vector<std::vector<ScoredBox>> boxes;
  std::vector<std::vector<ScoredPoint>> points;
  int crops = 0;
  for (const Part &part : parts_of(700, 500, asked.grid)) {
    Request alone = asked;
    alone.grid = {};
    alone.image = cut_out(*image, part);
    const Result result = result_of(alone);
    places.push_back(part.place);
    boxes.push_back(std::get<DetectResult>(result.prompts[0]).objects);
    points.push_back(std::get<PointResult>(result.prompts[1]).points);
    crops += result.effort.crops;
  }
  ASSERT_FALSE(boxes[1].empty());
  EXPECT_EQ(found.effort.crops, crops);
  const std::vector<PromptResult> expected = {
      DetectResult{merge_boxes(places, boxes, 2)}, PointResult{merge_points(places, points, 2)},
      result_of(request(image, {CaptionPrompt{}})).prompts[0]};
  EXPECT_EQ(told(found.prompts), told(expected));
}

TEST(LookGrid, PromptsThatLookForNoObjectsLeaveThePartsAlone) {
  Request asked =
      request(noise(700, 500), {CaptionPrompt{}, FaceGazePrompt{}, GazePrompt{{0.5, 0.5}, false}});
  const Result expected = result_of(asked);
  asked.grid = {3, 3};
  const Result found = result_of(asked);
  EXPECT_EQ(found.effort.crops, expected.effort.crops);
  EXPECT_EQ(told(found.prompts), told(expected.prompts));
}

// ---- Gazes of faces --------------------------------------------------------------------------

TEST(LookFaces, EachFaceFoundHasTheGazeThatItsEyesHaveAlone) {
  const auto image = noise(640, 480);
  Request asked = request(image, {CaptionPrompt{}, FaceGazePrompt{}});
  asked.settings.max_objects = 2;
  const Result found = result_of(asked);
  const auto &faces = std::get<FaceGazeResult>(found.prompts[1]).faces;
  const Result detected = result_of(request(image, {DetectPrompt{"face"}}));
  const auto &boxes = std::get<DetectResult>(detected.prompts[0]).objects;
  ASSERT_EQ(faces.size(), 2u);
  ASSERT_GE(boxes.size(), 2u);
  for (std::size_t i = 0; i < faces.size(); ++i) {
    const Box &box = boxes[i].box;
    EXPECT_EQ(faces[i].face.box, box);
    const Point &eyes = faces[i].eyes;
    EXPECT_DOUBLE_EQ(eyes.x, std::clamp((box.x_min + box.x_max) / 2, 0.0, 1.0));
    EXPECT_DOUBLE_EQ(eyes.y, std::clamp(0.6 * box.y_min + 0.4 * box.y_max, 0.0, 1.0));
    const Result alone = result_of(request(image, {GazePrompt{eyes, false}}));
    EXPECT_EQ(faces[i].gaze, std::get<GazeResult>(alone.prompts[0]).gaze);
  }
}

// Twenty looks one by one, half of them at a picture that was mirrored before.
TEST(LookFaces, AFacesGazeIsTheMeanOfManyLooksAtThePictureAndItsMirrorImage) {
  const auto image = noise(400, 300);
  const auto mirror = std::make_shared<Image>(mirrored(image->view()));
  const Box face{0.2, 0.1, 0.5, 0.6};
  Request asked = request(image, {GazePrompt{{}, true, face}, DetectPrompt{"face"}});
  asked.settings.seed = 5;
  asked.grid = {2, 1};
  const auto found = std::get<GazeResult>(result_of(asked).prompts[0]).gaze;

  std::vector<Prompt> looks[2];
  const std::vector<Point> eyes = gaze_eyes(face, 5);
  for (std::size_t i = 0; i < eyes.size(); ++i) {
    looks[i / kGazeLooks].push_back(GazePrompt{eyes[i], true, {}});
  }
  std::vector<Point> gazes;
  for (const bool is_mirrored : {false, true}) {
    const Result result = result_of(request(is_mirrored ? mirror : image, looks[is_mirrored]));
    for (const PromptResult &one : result.prompts) {
      const Point gaze = std::get<GazeResult>(one).gaze.value();
      gazes.push_back(is_mirrored ? mirrored(gaze) : gaze);
    }
  }
  const auto expected = mean_gaze(gazes);
  ASSERT_TRUE(found && expected);
  EXPECT_DOUBLE_EQ(found->x, expected->x);
  EXPECT_DOUBLE_EQ(found->y, expected->y);
}

TEST(LookFaces, AModelThatCannotDetectSaysSo) {
  const test::TempDir folder;
  for (const char *file : {"model.safetensors", "tokenizer.json"}) {
    std::filesystem::copy_file(kTiny / file, folder / file);
  }
  std::string config = test::file_contents(kTiny / "config.json");
  const std::size_t begin = config.find("\"detect\""), end = config.find('}', begin);
  config.replace(begin, end + 1 - begin, "\"detect\": null");
  test::write_file(folder / "config.json", config);

  const auto backend = load(folder.path().string());
  const Request asked = request(noise(64, 64), {FaceGazePrompt{}});
  const Job job{.request = &asked, .image = asked.image.get()};
  const Outcome outcome = backend->run({&job, 1}, 1)[0];
  ASSERT_TRUE(std::holds_alternative<Error>(outcome));
  EXPECT_EQ(std::get<Error>(outcome).kind(), ErrorKind::kSettings);
  EXPECT_TRUE(test::says(std::get<Error>(outcome), "detect"));
}

}  // namespace
}  // namespace moondream
