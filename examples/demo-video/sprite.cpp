#include "sprite.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <opencv2/imgproc.hpp>
#include <utility>
#include <vector>

namespace scenes {
namespace {

// OpenCV draws at fractions of a pixel when coordinates come as integers with this many binary
// places behind the point.
constexpr int kFractionBits = 4;

const cv::Scalar kInk(40, 34, 32);
const cv::Scalar kPaper(248, 250, 250);

// Maps fractions of a sprite's box to fixed-point frame coordinates. OpenCV's integer coordinates
// are the centres of pixels, so a box of w pixels spans w - 1 from the first centre to the last.
class Canvas {
 public:
  Canvas(cv::Mat &frame, cv::Rect box) : frame_(frame), box_(box) {}

  cv::Point at(double u, double v) const {
    return {fixed(box_.x + u * (box_.width - 1)), fixed(box_.y + v * (box_.height - 1))};
  }

  void polygon(const std::vector<cv::Point2d> &corners, const cv::Scalar &color) const {
    std::vector<cv::Point> points;
    for (const cv::Point2d &corner : corners) points.push_back(at(corner.x, corner.y));
    cv::fillPoly(frame_, points, color, cv::LINE_AA, kFractionBits);
  }

  void rectangle(double u0, double v0, double u1, double v1, const cv::Scalar &color) const {
    polygon({{u0, v0}, {u1, v0}, {u1, v1}, {u0, v1}}, color);
  }

  // Radii are fractions of the box's width and height.
  void ellipse(cv::Point2d center, double radius_u, double radius_v,
               const cv::Scalar &color) const {
    cv::ellipse(frame_, at(center.x, center.y), radii(radius_u, radius_v), 0, 0, 360, color,
                cv::FILLED, cv::LINE_AA, kFractionBits);
  }

  // The part of the ellipse that fills the box which lies above the chord at height `v`.
  void cap(double v, const cv::Scalar &color) const {
    const double end = std::asin(1 - 2 * v);  // from the horizontal, of the chord's right end
    std::vector<cv::Point2d> corners;
    constexpr int kSteps = 120;
    for (int i = 0; i <= kSteps; ++i) {
      const double angle = end + (std::numbers::pi - 2 * end) * i / kSteps;
      corners.emplace_back(0.5 + 0.5 * std::cos(angle), 0.5 - 0.5 * std::sin(angle));
    }
    polygon(corners, color);
  }

  // The upper half of an ellipse.
  void dome(cv::Point2d center, double radius_u, double radius_v, const cv::Scalar &color) const {
    cv::ellipse(frame_, at(center.x, center.y), radii(radius_u, radius_v), 0, 180, 360, color,
                cv::FILLED, cv::LINE_AA, kFractionBits);
  }

  // A line along an ellipse; angles in degrees, clockwise from the right; thickness in pixels.
  void arc(cv::Point2d center, double radius_u, double radius_v, double from, double to,
           int thickness, const cv::Scalar &color) const {
    cv::ellipse(frame_, at(center.x, center.y), radii(radius_u, radius_v), 0, from, to, color,
                thickness, cv::LINE_AA, kFractionBits);
  }

 private:
  static int fixed(double pixels) {
    return static_cast<int>(std::lround(pixels * (1 << kFractionBits)));
  }
  cv::Size radii(double u, double v) const {
    return {fixed(u * (box_.width - 1)), fixed(v * (box_.height - 1))};
  }

  cv::Mat &frame_;
  cv::Rect box_;
};

// A five-pointed star, stretched so that it touches all four sides of the unit box.
std::vector<cv::Point2d> star_corners() {
  std::vector<cv::Point2d> corners;
  for (int i = 0; i < 10; ++i) {
    const double radius = i % 2 == 0 ? 1 : 0.42;
    const double angle = std::numbers::pi * (i / 5.0 - 0.5);
    corners.emplace_back(radius * std::cos(angle), radius * std::sin(angle));
  }
  const auto [left, right] = std::minmax_element(corners.begin(), corners.end(),
                                                 [](auto &a, auto &b) { return a.x < b.x; });
  const auto [top, bottom] = std::minmax_element(corners.begin(), corners.end(),
                                                 [](auto &a, auto &b) { return a.y < b.y; });
  const cv::Point2d origin(left->x, top->y), extent(right->x - left->x, bottom->y - top->y);
  for (cv::Point2d &corner : corners) {
    corner = {(corner.x - origin.x) / extent.x, (corner.y - origin.y) / extent.y};
  }
  return corners;
}

}  // namespace

const char *to_string(Color color) {
  constexpr std::array<const char *, kColorCount> names = {
      "red", "green", "blue", "yellow", "white", "black", "orange", "purple", "pink", "gray"};
  return names.at(static_cast<std::size_t>(color));
}

const char *to_string(Shape shape) {
  constexpr std::array<const char *, kShapeCount> names = {"circle", "square",  "triangle",
                                                           "star",   "diamond", "cross"};
  return names.at(static_cast<std::size_t>(shape));
}

cv::Scalar bgr(Color color) {
  static const std::array<cv::Scalar, kColorCount> values = {
      cv::Scalar(40, 40, 220),    // red
      cv::Scalar(60, 170, 50),    // green
      cv::Scalar(220, 90, 40),    // blue
      cv::Scalar(50, 220, 245),   // yellow
      cv::Scalar(250, 250, 250),  // white
      cv::Scalar(20, 20, 20),     // black
      cv::Scalar(30, 140, 250),   // orange
      cv::Scalar(170, 50, 140),   // purple
      cv::Scalar(190, 150, 250),  // pink
      cv::Scalar(128, 128, 128),  // gray
  };
  return values.at(static_cast<std::size_t>(color));
}

ShapeSprite::ShapeSprite(Shape shape, Color color, int height, const cv::Scalar &tint)
    : Sprite({height, height}), shape_(shape), color_(color), tint_(tint) {}

std::string ShapeSprite::label() const {
  return std::string(to_string(color_)) + ' ' + to_string(shape_);
}

void ShapeSprite::draw(cv::Mat &frame, cv::Point corner) const {
  const Canvas canvas(frame, {corner, size()});
  const cv::Scalar color = bgr(color_) + tint_;
  switch (shape_) {
    case Shape::kCircle:
      canvas.ellipse({0.5, 0.5}, 0.5, 0.5, color);
      break;
    case Shape::kSquare:
      canvas.rectangle(0, 0, 1, 1, color);
      break;
    case Shape::kTriangle:
      canvas.polygon({{0.5, 0}, {1, 1}, {0, 1}}, color);
      break;
    case Shape::kStar:
      canvas.polygon(star_corners(), color);
      break;
    case Shape::kDiamond:
      canvas.polygon({{0.5, 0}, {1, 0.5}, {0.5, 1}, {0, 0.5}}, color);
      break;
    case Shape::kCross:
      canvas.rectangle(0.34, 0, 0.66, 1, color);
      canvas.rectangle(0, 0.34, 1, 0.66, color);
      break;
  }
}

FaceSprite::FaceSprite(const Look &look, int height)
    : Sprite({height * 5 / 6, height}), look_(look) {}

namespace {

// Where the head is in the sprite's box: a hat takes the upper part for itself.
constexpr double kUnderHat = 0.2;
double head_top(const FaceSprite::Look &look) {
  return look.hat == FaceSprite::Hat::kNone ? 0 : kUnderHat;
}

// What is in the middle of the face moves with the head, as fractions of the head's box.
cv::Point2d turned(const FaceSprite::Look &look, double u, double v) {
  return {u + 0.13 * look.turn.x, v + 0.06 * look.turn.y};
}

constexpr double kEyeHeight = 0.46;

void draw_hat(const Canvas &canvas, const FaceSprite::Look &look) {
  const cv::Scalar dark = look.hat_color * 0.6;
  switch (look.hat) {
    case FaceSprite::Hat::kNone:
      break;
    case FaceSprite::Hat::kTopHat:
      canvas.rectangle(0.2, 0, 0.8, 0.26, look.hat_color);
      canvas.rectangle(0.2, 0.19, 0.8, 0.26, dark);
      canvas.rectangle(0.02, 0.26, 0.98, 0.32, look.hat_color);
      break;
    case FaceSprite::Hat::kCap: {
      canvas.dome({0.5, 0.34}, 0.46, 0.34, look.hat_color);
      const double side = look.turn.x < 0 ? 0.0 : 0.4;
      canvas.rectangle(side, 0.29, side + 0.6, 0.35, dark);
      break;
    }
    case FaceSprite::Hat::kBeanie:
      canvas.dome({0.5, 0.3}, 0.44, 0.3, look.hat_color);
      canvas.rectangle(0.05, 0.26, 0.95, 0.36, dark);
      break;
  }
}

}  // namespace

cv::Point2d FaceSprite::eyes(const Look &look) {
  const cv::Point2d eyes = turned(look, 0.5, kEyeHeight);
  const double top = head_top(look);
  return {eyes.x, top + (1 - top) * eyes.y};
}

void FaceSprite::draw(cv::Mat &frame, cv::Point corner) const {
  const int above = static_cast<int>(std::lround(head_top(look_) * size().height));
  const Canvas canvas(frame, {corner.x, corner.y + above, size().width, size().height - above});
  const int line = std::max(1, size().height / 40);
  // The head fills its box; the hair is a cap on its upper part.
  canvas.ellipse({0.5, 0.5}, 0.5, 0.5, look_.skin);
  if (!look_.bald) {
    canvas.cap(0.3, look_.hair);
    canvas.ellipse(turned(look_, 0.5, 0.31), 0.34, 0.1, look_.skin);
  }
  if (look_.beard) {
    canvas.ellipse(turned(look_, 0.5, 0.77), 0.29, 0.16, look_.hair);
    canvas.ellipse(turned(look_, 0.5, 0.73), 0.17, 0.06, look_.skin);
  }
  for (const double side : {-1.0, 1.0}) {
    const cv::Point2d eye = turned(look_, 0.5 + 0.2 * side, kEyeHeight);
    if (look_.glasses == Glasses::kDark) {
      canvas.ellipse(eye, 0.15, 0.1, kInk);
      // The sun in them, on the side that they look at.
      canvas.ellipse({eye.x + 0.07 * look_.gaze.x, eye.y + 0.045 * look_.gaze.y}, 0.045, 0.035,
                     kPaper);
      continue;
    }
    canvas.ellipse(eye, 0.105, 0.07, kPaper);
    canvas.ellipse({eye.x + 0.045 * look_.gaze.x, eye.y + 0.025 * look_.gaze.y}, 0.05, 0.042, kInk);
    if (look_.glasses == Glasses::kClear) {
      canvas.arc(eye, 0.15, 0.105, 0, 360, line, kInk);
    } else {
      canvas.arc({eye.x, eye.y - 0.05}, 0.12, 0.06, 225, 315, line, kInk);
    }
  }
  if (look_.glasses != Glasses::kNone) {
    const cv::Point2d bridge = turned(look_, 0.5, kEyeHeight);
    canvas.rectangle(bridge.x - 0.06, bridge.y - 0.01, bridge.x + 0.06, bridge.y + 0.01, kInk);
  }
  canvas.arc(turned(look_, 0.5, 0.58), 0.05, 0.05, 20, 160, line, kInk);
  // The mouth bends down for a smile, up for the opposite.
  const double bend = 0.02 + 0.09 * std::abs(look_.smile);
  const cv::Point2d mouth = turned(look_, 0.5, 0.72);
  if (look_.smile >= 0) {
    canvas.arc(mouth, 0.21, bend, 10, 170, line + 1, cv::Scalar(50, 40, 170));
  } else {
    canvas.arc({mouth.x, mouth.y + bend}, 0.21, bend, 190, 350, line + 1, cv::Scalar(50, 40, 170));
  }
  draw_hat(Canvas(frame, {corner, size()}), look_);
}

PlateSprite::PlateSprite(std::string text, bool yellow, int width, bool band)
    : Sprite({width, width * 5 / 14}), text_(std::move(text)), yellow_(yellow), band_(band) {}

void PlateSprite::draw(cv::Mat &frame, cv::Point corner) const {
  const cv::Rect box(corner, size());
  const Canvas canvas(frame, box);
  // A dark rim of the same thickness on all sides.
  const double rim = std::max(2, box.height / 16);
  const double rim_u = rim / (box.width - 1), rim_v = rim / (box.height - 1);
  canvas.rectangle(0, 0, 1, 1, kInk);
  canvas.rectangle(rim_u, rim_v, 1 - rim_u, 1 - rim_v, yellow_ ? cv::Scalar(60, 205, 245) : kPaper);
  constexpr double kBand = 0.1;
  if (band_) canvas.rectangle(rim_u, rim_v, kBand, 1 - rim_v, cv::Scalar(150, 60, 20));

  // The text as large as fits 84 % of the width and 50 % of the height.
  const int face = cv::FONT_HERSHEY_DUPLEX;
  int base = 0;
  const cv::Size unit = cv::getTextSize(text_, face, 1, 1, &base);
  const double left = band_ ? kBand * box.width : 0;
  const double scale =
      std::min(0.84 * (box.width - left) / unit.width, 0.5 * box.height / unit.height);
  const int thickness = std::max(1, box.height / 18);
  const cv::Size text = cv::getTextSize(text_, face, scale, thickness, &base);
  cv::putText(frame, text_,
              {box.x + (box.width + static_cast<int>(left) - text.width) / 2,
               box.y + (box.height + text.height) / 2},
              face, scale, kInk, thickness, cv::LINE_AA);
}

}  // namespace scenes
