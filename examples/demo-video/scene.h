// Pictures with known contents: sprites that move over a background, and where they are.
//
//   const Scene scene = Scene::random(7);
//   scene.draw(frame, 0.4);                        // as it looks 0.4 s after its beginning
//   for (const auto &object : scene.truth(0.4)) ...
#pragma once

#include <cstdint>
#include <memory>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "sprite.h"
#include "types.h"

namespace scenes {

struct LabelledBox {
  std::string label;
  moondream::Box box;  // fractions [0, 1] of the frame
  int id = 0;          // equal ones are the same thing; 0: not known
};

// What Scene::random() may choose from.
struct SceneOptions {
  cv::Size size{640, 360};
  double duration = 2;  // seconds for which nothing leaves the frame or touches another thing
  int min_objects = 2;  // 0 <= min_objects <= max_objects
  int max_objects = 4;
  double min_height = 0.2, max_height = 0.45;  // of a sprite, fractions of the frame's height
  double max_speed = 0.2;                      // frame heights per second
  bool plates = true;                          // whether there may be license plates; else faces
};

// Thread-safety: const methods are safe.
class Scene {
 public:
  // `background`: 8-bit BGR, its size is the frame's.
  explicit Scene(cv::Mat background) : background_(std::move(background)) {}

  // A scene of faces, license plates and shapes, at least one of them a face or a plate unless it
  // is empty, that do not overlap within the duration. Equal seeds and options give equal scenes.
  // Throws std::invalid_argument if the options leave no room for `min_objects`.
  static Scene random(std::uint64_t seed, const SceneOptions &options = {});

  // Adds a sprite on top of the others. `start`: its upper left corner at 0 s, pixels. `velocity`:
  // pixels per second.
  void add(std::unique_ptr<Sprite> sprite, cv::Point2d start, cv::Point2d velocity = {});

  // Makes `frame` the picture at that time, counted from the scene's beginning.
  void draw(cv::Mat &frame, double seconds) const;

  // The visible boxes at that time, in the order of add(), which ids count from 1. A sprite is left
  // out while less than a quarter of its box is inside the frame. Sprites that hide each other are
  // not considered.
  std::vector<LabelledBox> truth(double seconds) const;

 private:
  struct Actor {
    std::unique_ptr<Sprite> sprite;
    cv::Point2d start, velocity;

    // Whole pixels, so that what is drawn has the size that truth() says.
    cv::Rect box(double seconds) const;
  };

  cv::Mat background_;
  std::vector<Actor> actors_;
};

}  // namespace scenes
