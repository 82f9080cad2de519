// The plugin with the demo model on drawn pictures, of which everything is known: what comes out at
// the end of a pipeline is what is there. How good the model is altogether is for demo-evaluate to
// say; the bounds here are somewhat below what it reaches on these pictures. In float32, so that
// they do not depend on how a CPU rounds.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>

#include "ball.h"
#include "filter_harness.h"
#include "matching.h"
#include "picture.h"
#include "scene.h"

namespace moondream {
namespace {

constexpr int kWidth = 640, kHeight = 360, kPictures = 12;
constexpr GstClockTime kFrame = GST_SECOND / 5;
const std::string kFilter =
    "moondreamfilter mode=sync sample-rate=0/1 propagate=none precision=float32 ";

struct Drawn {
  cv::Mat picture;  // BGR
  std::vector<scenes::LabelledBox> truth;
};

// Pictures as the demo's video has them.
std::vector<Drawn> drawn_pictures() {
  std::vector<Drawn> pictures;
  for (std::uint64_t seed = 101; seed < 101 + kPictures; ++seed) {
    const scenes::Scene scene = scenes::Scene::random(seed, {.size = {kWidth, kHeight}});
    Drawn drawn;
    scene.draw(drawn.picture, 0);
    drawn.truth = scene.truth(0);
    pictures.push_back(std::move(drawn));
  }
  return pictures;
}

// What left a pipeline.
struct Frame {
  FrameAnalysis analysis;
  cv::Mat picture;
};

// Sends them through the elements, as frames of 5 a second. format: "BGR" or "RGB".
std::vector<Frame> passed(const std::string &elements, const std::vector<cv::Mat> &pictures,
                          const std::string &format = "BGR") {
  const HarnessPtr harness(gst_harness_new_parse(elements.c_str()));
  const cv::Size size = pictures.at(0).size();
  gst_harness_set_src_caps_str(
      harness.get(), ("video/x-raw,format=" + format + ",width=" + std::to_string(size.width) +
                      ",height=" + std::to_string(size.height) + ",framerate=5/1")
                         .c_str());
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const gsize bytes = pictures[i].total() * pictures[i].elemSize();
    GstBuffer *buffer = gst_buffer_new_allocate(nullptr, bytes, nullptr);
    gst_buffer_fill(buffer, 0, pictures[i].data, bytes);
    GST_BUFFER_PTS(buffer) = i * kFrame;
    GST_BUFFER_DURATION(buffer) = kFrame;
    EXPECT_EQ(gst_harness_push(harness.get(), buffer), GST_FLOW_OK);
  }
  EXPECT_TRUE(gst_harness_push_event(harness.get(), gst_event_new_eos()));
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const BufferPtr buffer(gst_harness_pull(harness.get()));
    if (!buffer) {
      ADD_FAILURE() << "frame " << i << " did not come out";
      break;
    }
    Frame frame{FilterHarness::analysis_of(buffer), cv::Mat(size, CV_8UC3)};
    EXPECT_EQ(frame.analysis.status, AnalysisStatus::kFresh) << "frame " << i;
    gst_buffer_extract(buffer.get(), 0, frame.picture.data, frame.picture.total() * 3);
    frames.push_back(std::move(frame));
  }
  return frames;
}

std::vector<Frame> looked_at(const std::vector<Drawn> &drawn, const std::string &elements) {
  std::vector<cv::Mat> pictures;
  for (const Drawn &one : drawn) pictures.push_back(one.picture);
  return passed(elements, pictures);
}

std::vector<Box> found_boxes(const FrameAnalysis &analysis, const std::string &label) {
  std::vector<Box> boxes;
  for (const AnalysisObject &object : analysis.objects) {
    if (object.label == label) boxes.push_back(object.box);
  }
  return boxes;
}

bool is_there(const Drawn &drawn, const std::string &label) {
  return !scenes::boxes_of(drawn.truth, label).empty();
}

bool inside(const Point &point, const Box &box) {
  return point.x >= box.x_min && point.x <= box.x_max && point.y >= box.y_min &&
         point.y <= box.y_max;
}

TEST(DemoModel, BoxesAndPointsAreWhereThingsAre) {
  const std::vector<Drawn> drawn = drawn_pictures();
  const std::vector<Frame> frames =
      looked_at(drawn, kFilter + "detect=\"face,license plate\" point=\"face,license plate\"");
  ASSERT_EQ(frames.size(), drawn.size());
  scenes::Agreement boxes;
  int things = 0, points = 0, hits = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const FrameAnalysis &analysis = frames[i].analysis;
    points += static_cast<int>(analysis.points.size());
    for (const std::string label : {"face", "license plate"}) {
      const std::vector<Box> truth = scenes::boxes_of(drawn[i].truth, label);
      boxes += scenes::match(found_boxes(analysis, label), truth);
      things += static_cast<int>(truth.size());
      for (const Box &box : truth) {
        hits += std::any_of(analysis.points.begin(), analysis.points.end(), [&](const auto &point) {
          return point.label == label && inside(point.point, box);
        });
      }
    }
  }
  ASSERT_GE(things, kPictures);
  EXPECT_GE(boxes.precision(), 0.9) << boxes.matched << " of " << boxes.found;
  EXPECT_GE(boxes.recall(), 0.9) << boxes.matched << " of " << boxes.existing;
  EXPECT_GE(boxes.mean_iou(), 0.8);
  EXPECT_GE(hits, 0.9 * things) << "of " << things;
  EXPECT_LE(points, 1.1 * things) << "for " << things;
}

TEST(DemoModel, NothingIsFoundOfWhatItDoesNotKnowOrSee) {
  const std::vector<Frame> frames =
      looked_at(drawn_pictures(), kFilter + "detect=\"dog,bicycle,traffic light\"");
  int found = 0;
  for (const Frame &frame : frames) found += static_cast<int>(frame.analysis.objects.size());
  EXPECT_LE(found, 2) << "in " << 3 * frames.size() << " looks";
}

TEST(DemoModel, CaptionsAndAnswersSayWhatIsThere) {
  const std::vector<Drawn> drawn = drawn_pictures();
  const std::vector<Frame> frames =
      looked_at(drawn, kFilter + "caption=short query=\"Is there a face?\"");
  ASSERT_EQ(frames.size(), drawn.size());
  int named = 0, things = 0, right = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const FrameAnalysis &analysis = frames[i].analysis;
    for (const scenes::LabelledBox &thing : drawn[i].truth) {
      // "red circle" is a circle in a short caption.
      const std::string kind = thing.label == "license plate"
                                   ? thing.label
                                   : thing.label.substr(thing.label.rfind(' ') + 1);
      ++things;
      named += analysis.caption.value_or("").find(kind) != std::string::npos;
    }
    ASSERT_EQ(analysis.answers.size(), 1u);
    right += analysis.answers[0].answer == (is_there(drawn[i], "face") ? "Yes" : "No");
  }
  EXPECT_GE(named, 0.85 * things) << "of " << things;
  EXPECT_GE(right, kPictures - 1);
}

TEST(DemoModel, ABoxFollowsTheBallOfVideotestsrc) {
  std::vector<scenes::BallFrame> balls = scenes::ball_frames(20);
  std::vector<cv::Mat> pictures;
  for (scenes::BallFrame &ball : balls) {
    pictures.emplace_back(ball.image.height, ball.image.width, CV_8UC3, ball.image.pixels.data());
  }
  const std::vector<Frame> frames = passed(kFilter + "detect=ball", pictures, "RGB");
  ASSERT_EQ(frames.size(), balls.size());
  scenes::Agreement agreement;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    agreement += scenes::match(found_boxes(frames[i].analysis, "ball"), std::vector{balls[i].ball});
  }
  EXPECT_GE(agreement.recall(), 0.9) << agreement.matched << " of " << agreement.existing;
  EXPECT_GE(agreement.precision(), 0.9) << agreement.matched << " of " << agreement.found;
}

// Share of a box's pixels that are black, or of the whole picture.
double black_share(const cv::Mat &picture, const Box &box = {0, 0, 1, 1}) {
  const cv::Rect area(cv::Point(cvFloor(box.x_min * kWidth), cvFloor(box.y_min * kHeight)),
                      cv::Point(cvCeil(box.x_max * kWidth), cvCeil(box.y_max * kHeight)));
  cv::Mat black;
  cv::inRange(picture(area & cv::Rect({0, 0}, picture.size())), cv::Scalar::all(0),
              cv::Scalar::all(0), black);
  return static_cast<double>(cv::countNonZero(black)) / static_cast<double>(black.total());
}

TEST(DemoModel, RedactedPicturesShowNoFaceAndNoPlate) {
  const std::vector<Drawn> drawn = drawn_pictures();
  const std::vector<Frame> frames =
      looked_at(drawn, kFilter + "detect=\"face,license plate\" ! moondreamredact margin=0.2");
  ASSERT_EQ(frames.size(), drawn.size());
  int things = 0, gone = 0;
  double covered = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    covered += black_share(frames[i].picture) / kPictures;
    for (const scenes::LabelledBox &thing : drawn[i].truth) {
      if (thing.label != "face" && thing.label != "license plate") continue;
      ++things;
      gone += black_share(frames[i].picture, thing.box) >= 0.95;
    }
  }
  EXPECT_GE(gone, 0.9 * things) << "of " << things;
  EXPECT_LT(covered, 0.5) << "of the pictures is black";
}

TEST(DemoModel, ModerationCoversPicturesWithAPlateAndNoOthers) {
  const std::vector<Drawn> drawn = drawn_pictures();
  const std::vector<Frame> frames = looked_at(
      drawn, kFilter +
                 "detect=\"license plate\" ! moondreammoderate action=cover "
                 "labels=\"license plate\" trigger-after=0 release-results=1 release-after=0");
  ASSERT_EQ(frames.size(), drawn.size());
  int right = 0, plates = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const bool plate = is_there(drawn[i], "license plate");
    plates += plate;
    right += (black_share(frames[i].picture) == 1) == plate;
  }
  ASSERT_GT(plates, 2);
  ASSERT_LT(plates, kPictures - 2);
  EXPECT_GE(right, kPictures - 1);
}

// Whether the two pictures differ less than `radius` pixels from a place, a fraction of the frame.
bool differ(const cv::Mat &one, const cv::Mat &other, double x, double y, int radius) {
  const cv::Point middle(cvFloor(x * kWidth), cvFloor(y * kHeight));
  const cv::Rect area =
      cv::Rect(middle - cv::Point(radius, radius), middle + cv::Point(radius, radius)) &
      cv::Rect({0, 0}, one.size());
  return cv::norm(one(area), other(area), cv::NORM_INF) > 0;
}

TEST(DemoModel, TheOverlayOutlinesThingsAndLeavesTheRest) {
  const std::vector<Drawn> drawn = drawn_pictures();
  const std::vector<Frame> frames = looked_at(
      drawn, kFilter + "detect=\"face,license plate\" ! moondreamoverlay draw-labels=false");
  ASSERT_EQ(frames.size(), drawn.size());
  int sides = 0, outlined = 0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const cv::Mat &before = drawn[i].picture, &after = frames[i].picture;
    for (const std::string label : {"face", "license plate"}) {
      for (const Box &box : scenes::boxes_of(drawn[i].truth, label)) {
        const double x = (box.x_min + box.x_max) / 2, y = (box.y_min + box.y_max) / 2;
        sides += 4;
        // The outlines are of boxes that are a few pixels beside the true ones.
        constexpr int kNear = 10;
        outlined += differ(before, after, box.x_min, y, kNear);
        outlined += differ(before, after, box.x_max, y, kNear);
        outlined += differ(before, after, x, box.y_min, kNear);
        outlined += differ(before, after, x, box.y_max, kNear);
      }
    }
    cv::Mat changed;
    cv::absdiff(before, after, changed);
    EXPECT_LT(cv::countNonZero(changed.reshape(1)), 0.1 * static_cast<double>(3 * before.total()));
    if (!is_there(drawn[i], "face") && !is_there(drawn[i], "license plate")) {
      EXPECT_EQ(cv::countNonZero(changed.reshape(1)), 0) << "picture " << i;
    }
  }
  ASSERT_GE(sides, 4 * kPictures);
  EXPECT_GE(outlined, 0.9 * sides) << "of " << sides;
}

TEST(DemoModel, ALineForEachFrameSaysWhatIsInIt) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "demo-model-results.jsonl";
  std::filesystem::remove(path);
  const std::vector<Drawn> drawn = drawn_pictures();
  looked_at(drawn, kFilter + "detect=face caption=short query=\"How many faces are there?\" ! " +
                       "moondreammetawrite location=" + path.string());
  std::ifstream file(path);
  scenes::Agreement faces;
  std::size_t lines = 0;
  int counted = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    ASSERT_LT(lines, drawn.size());
    const nlohmann::json json = nlohmann::json::parse(line);
    EXPECT_EQ(json.at("pts"), lines * kFrame);
    EXPECT_EQ(json.at("model"), "demo-model");
    EXPECT_FALSE(json.at("caption").get<std::string>().empty());
    std::vector<Box> found;
    for (const nlohmann::json &object : json.at("objects")) {
      EXPECT_EQ(object.at("label"), "face");
      found.push_back(
          {object.at("x_min"), object.at("y_min"), object.at("x_max"), object.at("y_max")});
    }
    const std::vector<Box> truth = scenes::boxes_of(drawn[lines].truth, "face");
    faces += scenes::match(found, truth);
    counted += json.at("answers").at(0).at("answer") == std::to_string(truth.size());
  }
  EXPECT_EQ(lines, drawn.size());
  EXPECT_GE(faces.precision(), 0.9) << faces.matched << " of " << faces.found;
  EXPECT_GE(faces.recall(), 0.9) << faces.matched << " of " << faces.existing;
  EXPECT_GE(counted, kPictures - 2);
  std::filesystem::remove(path);
}

TEST(DemoModel, GazesEndAtWhatFacesLookAt) {
  int asked = 0, right = 0;
  for (std::uint64_t seed = 9001; asked < 8 && seed < 9100; ++seed) {
    const scenes::Picture picture =
        scenes::random_picture(seed, {.size = {kWidth, kHeight}, .min_height = 0.2});
    std::vector<const scenes::Thing *> faces;
    for (const scenes::Thing &thing : picture.things) {
      if (thing.kind == "face") faces.push_back(&thing);
    }
    // Of one face it is clear whose gaze was found.
    if (faces.size() != 1 || !faces[0]->gaze) continue;
    ++asked;
    const std::vector<Frame> frames = passed(kFilter + "gaze=true", {picture.pixels}, "RGB");
    ASSERT_EQ(frames.size(), 1u);
    const std::vector<AnalysisGaze> &gazes = frames[0].analysis.gaze;
    right += gazes.size() == 1 && std::abs(gazes[0].to.x - faces[0]->gaze->x) <= 0.15 &&
             std::abs(gazes[0].to.y - faces[0]->gaze->y) <= 0.15;
  }
  ASSERT_EQ(asked, 8);
  EXPECT_GE(right, 5) << "of " << asked;
}

}  // namespace
}  // namespace moondream
