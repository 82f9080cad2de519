#include "picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "backdrop.h"
#include "dice.h"

namespace scenes {
namespace {

enum class Kind { kShape, kFace, kPlate };

// Where something will be drawn; how it looks is decided when what is behind it is there.
struct Place {
  Kind kind = Kind::kShape;
  Shape shape = Shape::kCircle;
  std::optional<Color> color;  // wished for
  cv::Rect box;                // pixels, may reach out of the frame
};

cv::Size random_size(Dice &dice) {
  static const std::array<cv::Size, 8> sizes = {cv::Size(640, 360), {320, 240}, {480, 270},
                                                {640, 480},         {512, 288}, {426, 240},
                                                {854, 480},         {360, 360}};
  // Large frames take longest to draw, and look like small ones once they are scaled down.
  return dice.chance(0.06) ? cv::Size(1280, 720) : dice.one_of(sizes);
}

// A third of the things are small, most are middling.
double random_height(Dice &dice, const PictureOptions &options) {
  const double low = std::log(options.min_height), high = std::log(options.max_height);
  const double share = dice.chance(0.3) ? dice.between(0, 0.45) : dice.between(0.4, 1);
  return std::exp(low + (high - low) * share);
}

int random_count(Dice &dice, int most) {
  static constexpr std::array<int, 20> counts = {0, 1, 1, 1, 1, 2, 2, 2, 2, 3,
                                                 3, 3, 3, 4, 4, 4, 5, 5, 6, 8};
  return std::min(most, dice.one_of(counts));
}

cv::Size size_of(Kind kind, int height) {
  switch (kind) {
    case Kind::kShape:
      return {height, height};
    case Kind::kFace:
      return {height * 5 / 6, height};
    case Kind::kPlate:
      break;
  }
  const int width = std::max(28, height * 14 / 5);
  return {width, width * 5 / 14};
}

// Whether what is in front leaves enough to be seen of all that is behind.
bool fits(const std::vector<Place> &places, const cv::Rect &box, cv::Size frame) {
  if (2 * (box & cv::Rect({0, 0}, frame)).area() < box.area()) return false;
  return std::all_of(places.begin(), places.end(), [&](const Place &other) {
    return (other.box & box).area() <= 0.35 * std::min(other.box.area(), box.area());
  });
}

std::vector<Place> random_places(Dice &dice, const PictureOptions &options, cv::Size frame) {
  std::vector<Place> places;
  const int count = random_count(dice, options.max_things);
  const bool crowd = dice.chance(0.3);  // several of the same kind, so that counting has a meaning
  for (int misses = 0; misses < 30 && std::ssize(places) < count;) {
    Place place;
    if (crowd && !places.empty() && dice.chance(0.6)) {
      place = dice.one_of(places);
      if (dice.chance(0.5)) place.color.reset();
    } else {
      const double kind = dice.between(0, 1);
      place.kind = kind < 0.66 ? Kind::kShape : kind < 0.85 ? Kind::kFace : Kind::kPlate;
      place.shape = static_cast<Shape>(dice.below(kShapeCount));
      place.color = static_cast<Color>(dice.below(kColorCount));
    }
    const int least = place.kind == Kind::kFace ? 14 : 10;
    const double share = random_height(dice, options) * (place.kind == Kind::kPlate ? 0.6 : 1);
    const int height = std::max(least, static_cast<int>(frame.height * share));
    const cv::Size size = size_of(place.kind, height);
    // Most are inside, some are cut off.
    const double out = dice.chance(0.12) ? 0.5 : 0;
    place.box = {
        {static_cast<int>(dice.between(-out * size.width, frame.width - (1 - out) * size.width)),
         static_cast<int>(
             dice.between(-out * size.height, frame.height - (1 - out) * size.height))},
        size};
    if (fits(places, place.box, frame)) {
      places.push_back(place);
    } else {
      ++misses;
    }
  }
  return places;
}

// The share of a grid of points inside the box and on its rim that are not unlike `color`.
double likeness(const cv::Mat &frame, const cv::Rect &box, const cv::Scalar &color) {
  constexpr int kSteps = 6;
  constexpr double kAlike = 85;  // a little less than between the most alike of the ten colours
  int alike = 0, seen = 0;
  for (int i = 0; i < kSteps * kSteps; ++i) {
    const cv::Point at(box.x + box.width * (i % kSteps) / (kSteps - 1),
                       box.y + box.height * (i / kSteps) / (kSteps - 1));
    if (!cv::Rect({0, 0}, frame.size()).contains(at)) continue;
    const cv::Vec3b pixel = frame.at<cv::Vec3b>(at);
    ++seen;
    alike += cv::norm(cv::Scalar(pixel[0], pixel[1], pixel[2]) - color) < kAlike;
  }
  return seen ? static_cast<double>(alike) / seen : 1;
}

// The wished colour if it can be seen there, or else the best of all.
Color visible_color(Dice &dice, const cv::Mat &frame, const Place &place) {
  constexpr double kTolerable = 0.04;
  std::optional<Color> wish = place.color;
  if (!wish) wish = static_cast<Color>(dice.below(kColorCount));
  Color best = *wish;
  double least = likeness(frame, place.box, bgr(best));
  const int first = dice.below(kColorCount);
  for (int i = 0; i < kColorCount && least > kTolerable; ++i) {
    const auto color = static_cast<Color>((first + i) % kColorCount);
    const double like = likeness(frame, place.box, bgr(color));
    if (like < least) {
      least = like;
      best = color;
    }
  }
  return best;
}

FaceSprite::Look random_look(Dice &dice) {
  static const std::array<cv::Scalar, 7> skins = {cv::Scalar(180, 205, 250),
                                                  {140, 180, 235},
                                                  {100, 140, 200},
                                                  {70, 100, 155},
                                                  {80, 205, 250},
                                                  {50, 75, 115},
                                                  {150, 190, 245}};
  static const std::array<cv::Scalar, 7> hairs = {
      cv::Scalar(30, 40, 60), {40, 80, 130}, {90, 170, 210}, {60, 60, 60},
      {25, 25, 25},           {40, 70, 180}, {190, 190, 190}};
  FaceSprite::Look look;
  look.skin = dice.one_of(skins) * dice.between(0.9, 1.05);
  look.hair = dice.one_of(hairs);
  look.smile = dice.between(-1, 1);
  look.bald = dice.chance(0.12);
  look.beard = dice.chance(0.15);
  if (dice.chance(0.3)) {
    look.glasses = dice.chance(0.65) ? FaceSprite::Glasses::kClear : FaceSprite::Glasses::kDark;
  }
  if (dice.chance(0.3)) {
    look.hat = static_cast<FaceSprite::Hat>(1 + dice.below(3));
    look.hat_color = bgr(static_cast<Color>(dice.below(kColorCount)));
  }
  return look;
}

std::string random_plate_text(Dice &dice) {
  static const std::array<std::string, 6> patterns = {"AA-000A",  "AAA 000",   "A 0000 AA",
                                                      "00-AAA-0", "AA 00 AAA", "0AAA000"};
  std::string text = dice.one_of(patterns);
  for (char &c : text) {
    if (c == 'A') c = static_cast<char>('A' + dice.below(26));
    if (c == '0') c = static_cast<char>('0' + dice.below(10));
  }
  return text;
}

moondream::Box fractions(const cv::Rect &box, cv::Size frame) {
  const cv::Rect inside = box & cv::Rect({0, 0}, frame);
  return {.x_min = static_cast<double>(inside.x) / frame.width,
          .y_min = static_cast<double>(inside.y) / frame.height,
          .x_max = static_cast<double>(inside.br().x) / frame.width,
          .y_max = static_cast<double>(inside.br().y) / frame.height};
}

// Turns a face towards something else of the picture, or ahead, out of the picture.
std::optional<moondream::Point> look_at_something(Dice &dice, const std::vector<Place> &places,
                                                  std::size_t face, cv::Size frame,
                                                  FaceSprite::Look *look) {
  const cv::Rect &own = places[face].box;
  const cv::Point2d from(own.x + own.width / 2.0, own.y + own.height / 2.0);
  if (places.size() < 2 || dice.chance(0.3)) {
    look->gaze = {dice.between(-0.15, 0.15), dice.between(-0.15, 0.15)};
    return std::nullopt;
  }
  const std::size_t other =
      (face + 1 + static_cast<std::size_t>(dice.below(static_cast<int>(places.size()) - 1))) %
      places.size();
  const moondream::Box target = fractions(places[other].box, frame);
  const moondream::Point middle{(target.x_min + target.x_max) / 2,
                                (target.y_min + target.y_max) / 2};
  const cv::Point2d way = cv::Point2d(middle.x * frame.width, middle.y * frame.height) - from;
  const cv::Point2d direction = way / std::max(1e-9, cv::norm(way));
  look->gaze = direction;
  look->turn = direction * dice.between(0.5, 1);
  return middle;
}

void motion_blur(Dice &dice, cv::Mat &frame) {
  const int length = std::max(3, static_cast<int>(frame.rows * dice.between(0.008, 0.03))) | 1;
  cv::Mat kernel(length, length, CV_32F, cv::Scalar(0));
  const double angle = dice.between(0, CV_PI);
  const cv::Point2d middle(length / 2, length / 2);
  const cv::Point2d reach = cv::Point2d(std::cos(angle), std::sin(angle)) * (length / 2);
  cv::line(kernel, middle - reach, middle + reach, cv::Scalar(1), 1);
  cv::filter2D(frame, frame, -1, kernel / cv::sum(kernel)[0]);
}

// What cameras and codecs do to a picture.
void spoil(Dice &dice, cv::Mat &frame) {
  if (dice.chance(0.1)) motion_blur(dice, frame);
  if (dice.chance(0.08)) cv::blur(frame, frame, {3, 3});
  if (dice.chance(0.45)) {
    frame.convertTo(frame, -1, dice.between(0.72, 1.2), dice.between(-18, 18));
  }
  if (dice.chance(0.2)) {
    std::vector<unsigned char> jpeg;
    cv::imencode(".jpg", frame, jpeg, {cv::IMWRITE_JPEG_QUALITY, 20 + dice.below(65)});
    cv::imdecode(jpeg, cv::IMREAD_COLOR, &frame);
  }
}

}  // namespace

std::string Thing::label() const {
  return color ? std::string(to_string(*color)) + ' ' + kind : kind;
}

Picture random_picture(std::uint64_t seed, const PictureOptions &options) {
  Dice dice(seed);
  const cv::Size size = options.size.empty() ? random_size(dice) : options.size;
  cv::Mat frame = random_backdrop(dice, size);
  const std::vector<Place> places = random_places(dice, options, size);

  Picture picture;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Place &place = places[i];
    Thing thing;
    thing.box = fractions(place.box, size);
    std::unique_ptr<Sprite> sprite;
    switch (place.kind) {
      case Kind::kShape: {
        thing.kind = to_string(place.shape);
        thing.color = visible_color(dice, frame, place);
        const cv::Scalar tint(dice.between(-14, 14), dice.between(-14, 14), dice.between(-14, 14));
        sprite = std::make_unique<ShapeSprite>(place.shape, *thing.color, place.box.height, tint);
        break;
      }
      case Kind::kFace: {
        thing.kind = "face";
        FaceSprite::Look look = random_look(dice);
        thing.gaze = look_at_something(dice, places, i, size, &look);
        const cv::Point2d eyes = FaceSprite::eyes(look);
        thing.eyes = {(place.box.x + eyes.x * place.box.width) / size.width,
                      (place.box.y + eyes.y * place.box.height) / size.height};
        sprite = std::make_unique<FaceSprite>(look, place.box.height);
        break;
      }
      case Kind::kPlate:
        thing.kind = "license plate";
        sprite = std::make_unique<PlateSprite>(random_plate_text(dice), dice.chance(0.3),
                                               place.box.width, dice.chance(0.3));
        break;
    }
    sprite->draw(frame, place.box.tl());
    picture.things.push_back(std::move(thing));
  }
  spoil(dice, frame);
  cv::cvtColor(frame, picture.pixels, cv::COLOR_BGR2RGB);
  return picture;
}

}  // namespace scenes
