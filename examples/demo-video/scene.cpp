#include "scene.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "dice.h"

namespace scenes {
namespace {

double distance(const cv::Scalar &a, const cv::Scalar &b) { return cv::norm(a - b); }

// A pale or dark tone that none of the ten colours is like.
cv::Scalar muted_tone(Dice &dice) {
  const double level = dice.chance(0.7) ? dice.between(170, 225) : dice.between(55, 90);
  return {level + dice.between(-18, 18), level + dice.between(-18, 18),
          level + dice.between(-18, 18)};
}

cv::Mat random_background(Dice &dice, cv::Size size, const cv::Scalar &tone) {
  cv::Mat background(size, CV_8UC3, tone);
  switch (dice.below(3)) {
    case 0:  // flat
      break;
    case 1: {  // gradient from top to bottom
      const double change = dice.between(-35, 35);
      for (int y = 0; y < size.height; ++y) {
        background.row(y).setTo(tone + cv::Scalar::all(change * y / size.height));
      }
      break;
    }
    case 2: {  // checker
      const int side = std::max(8, size.height / (4 + dice.below(5)));
      const cv::Scalar other = tone + cv::Scalar::all(dice.chance(0.5) ? 14 : -14);
      for (int y = 0; y < size.height; y += side) {
        for (int x = (y / side) % 2 * side; x < size.width; x += 2 * side) {
          background(cv::Rect(x, y, side, side) & cv::Rect({0, 0}, size)).setTo(other);
        }
      }
      break;
    }
  }
  return background;
}

std::unique_ptr<Sprite> random_face(Dice &dice, int height) {
  static const std::array<cv::Scalar, 5> skins = {
      cv::Scalar(180, 205, 250), cv::Scalar(140, 180, 235), cv::Scalar(100, 140, 200),
      cv::Scalar(70, 100, 155), cv::Scalar(80, 205, 250)};
  static const std::array<cv::Scalar, 4> hairs = {cv::Scalar(30, 40, 60), cv::Scalar(40, 80, 130),
                                                  cv::Scalar(90, 170, 210), cv::Scalar(60, 60, 60)};
  FaceSprite::Look look;
  look.skin = skins[static_cast<std::size_t>(dice.below(skins.size()))];
  look.hair = hairs[static_cast<std::size_t>(dice.below(hairs.size()))];
  look.smile = dice.between(-0.6, 1);
  look.gaze = {dice.between(-1, 1), dice.between(-1, 1)};
  return std::make_unique<FaceSprite>(look, height);
}

std::unique_ptr<Sprite> random_plate(Dice &dice, int width) {
  std::string text;
  for (const char kind : {'A', 'A', '-', '0', '0', '0', 'A'}) {
    text += kind == 'A'   ? static_cast<char>('A' + dice.below(26))
            : kind == '0' ? static_cast<char>('0' + dice.below(10))
                          : kind;
  }
  const bool yellow = dice.chance(0.3);
  return std::make_unique<PlateSprite>(text, yellow, width);
}

std::unique_ptr<Sprite> random_shape(Dice &dice, int height, const cv::Scalar &backdrop) {
  const auto shape = static_cast<Shape>(dice.below(kShapeCount));
  Color color;
  do {
    color = static_cast<Color>(dice.below(kColorCount));
  } while (distance(bgr(color), backdrop) < 110);
  return std::make_unique<ShapeSprite>(shape, color, height);
}

std::unique_ptr<Sprite> random_sprite(Dice &dice, const SceneOptions &options, bool any_kind,
                                      const cv::Scalar &backdrop) {
  const double height = dice.between(options.min_height, options.max_height) * options.size.height;
  const double kind = dice.between(0, any_kind ? 1 : 0.7);
  if (kind < 0.35 || (kind < 0.7 && !options.plates)) {
    return random_face(dice, static_cast<int>(std::max(24.0, height)));
  }
  // The height range would make a plate wider than half of the frame, so it stands for half of the
  // plate's width.
  if (kind < 0.7) return random_plate(dice, static_cast<int>(std::max(48.0, 2 * height)));
  return random_shape(dice, static_cast<int>(std::max(8.0, height)), backdrop);
}

}  // namespace

Scene Scene::random(std::uint64_t seed, const SceneOptions &options) {
  Dice dice(seed);
  const cv::Scalar tone = muted_tone(dice);
  const cv::Mat background = random_background(dice, options.size, tone);
  const int count = options.min_objects + dice.below(options.max_objects - options.min_objects + 1);
  const cv::Rect frame({0, 0}, options.size);
  constexpr int kGap = 6;  // pixels between things at least
  // Between two moments that are looked at, nothing comes nearer by more than that.
  const int moments = 1 + static_cast<int>(std::ceil(2 * options.duration * options.max_speed *
                                                     options.size.height / kGap));

  // Places are drawn until they fit. A crowded beginning may leave no room for the rest, so after
  // some misses all is begun anew.
  for (int attempt = 0; attempt < 200; ++attempt) {
    Scene scene(background);
    for (int misses = 0; misses < 50 && std::ssize(scene.actors_) < count;) {
      Actor actor{random_sprite(dice, options, !scene.actors_.empty(), tone), {}, {}};
      const cv::Size size = actor.sprite->size();
      actor.start = {dice.between(0, options.size.width - size.width),
                     dice.between(0, options.size.height - size.height)};
      const double speed = dice.between(0.2, 1) * options.max_speed * options.size.height;
      const double direction = dice.between(0, 2 * CV_PI);
      actor.velocity = {speed * std::cos(direction), speed * std::sin(direction)};

      bool fits = true;
      for (int i = 0; fits && i <= moments; ++i) {
        const double t = options.duration * i / moments;
        const cv::Rect box = actor.box(t);
        const cv::Rect room(box.x - kGap, box.y - kGap, box.width + 2 * kGap,
                            box.height + 2 * kGap);
        fits = (box & frame) == box &&
               std::none_of(scene.actors_.begin(), scene.actors_.end(),
                            [&](const Actor &other) { return !(other.box(t) & room).empty(); });
      }
      if (fits) {
        scene.actors_.push_back(std::move(actor));
      } else {
        ++misses;
      }
    }
    if (std::ssize(scene.actors_) == count) return scene;
  }
  throw std::invalid_argument("no room for " + std::to_string(count) + " objects in a frame of " +
                              std::to_string(options.size.width) + "x" +
                              std::to_string(options.size.height));
}

void Scene::add(std::unique_ptr<Sprite> sprite, cv::Point2d start, cv::Point2d velocity) {
  actors_.push_back({std::move(sprite), start, velocity});
}

void Scene::draw(cv::Mat &frame, double seconds) const {
  background_.copyTo(frame);
  for (const Actor &actor : actors_) actor.sprite->draw(frame, actor.box(seconds).tl());
}

std::vector<LabelledBox> Scene::truth(double seconds) const {
  const cv::Size size = background_.size();
  std::vector<LabelledBox> objects;
  int id = 0;
  for (const Actor &actor : actors_) {
    ++id;
    const cv::Rect whole = actor.box(seconds);
    const cv::Rect visible = whole & cv::Rect({0, 0}, size);
    if (4 * visible.area() < whole.area()) continue;
    objects.push_back({actor.sprite->label(),
                       {.x_min = static_cast<double>(visible.x) / size.width,
                        .y_min = static_cast<double>(visible.y) / size.height,
                        .x_max = static_cast<double>(visible.br().x) / size.width,
                        .y_max = static_cast<double>(visible.br().y) / size.height},
                       id});
  }
  return objects;
}

cv::Rect Scene::Actor::box(double seconds) const {
  const cv::Point2d corner = start + seconds * velocity;
  return {{static_cast<int>(std::lround(corner.x)), static_cast<int>(std::lround(corner.y))},
          sprite->size()};
}

}  // namespace scenes
