// Things to draw: plain shapes in ten colours, cartoon faces and license plates.
#pragma once

#include <array>
#include <opencv2/core.hpp>
#include <string>

namespace scenes {

enum class Color { kRed, kGreen, kBlue, kYellow, kWhite, kBlack, kOrange, kPurple, kPink, kGray };
inline constexpr int kColorCount = 10;

enum class Shape { kCircle, kSquare, kTriangle, kStar, kDiamond, kCross };
inline constexpr int kShapeCount = 6;

const char *to_string(Color color);  // "red"; static
const char *to_string(Shape shape);  // "circle"; static
cv::Scalar bgr(Color color);         // B, G, R in [0, 255]

// A thing of fixed look and size. Thread-safety: const methods are safe.
class Sprite {
 public:
  virtual ~Sprite() = default;

  // What a person would call it: "red star", "face", "license plate".
  virtual std::string label() const = 0;

  // Paints the sprite into an 8-bit BGR frame such that its smallest upright box is exactly
  // Rect(corner, size()), up to the faint edge of anti-aliasing. Parts outside the frame are cut.
  virtual void draw(cv::Mat &frame, cv::Point corner) const = 0;

  cv::Size size() const { return size_; }  // pixels

 protected:
  explicit Sprite(cv::Size size) : size_(size) {}

 private:
  cv::Size size_;
};

class ShapeSprite final : public Sprite {
 public:
  // `height`: pixels, >= 8. `tint`: added to the color's B, G and R.
  ShapeSprite(Shape shape, Color color, int height, const cv::Scalar &tint = {});
  std::string label() const override;
  void draw(cv::Mat &frame, cv::Point corner) const override;

 private:
  Shape shape_;
  Color color_;
  cv::Scalar tint_;
};

class FaceSprite final : public Sprite {
 public:
  enum class Hat { kNone, kTopHat, kCap, kBeanie };
  enum class Glasses { kNone, kClear, kDark };

  struct Look {
    cv::Scalar skin, hair;  // B, G, R
    double smile = 1;       // [-1, 1]: sad to glad
    cv::Point2d gaze;       // [-1, 1] each: where the pupils are in the eyes
    cv::Point2d turn;       // [-1, 1] each: where the head is turned: right and down are positive
    bool bald = false;
    bool beard = false;  // of the hair's color
    Glasses glasses = Glasses::kNone;
    Hat hat = Hat::kNone;
    cv::Scalar hat_color;  // B, G, R
  };
  // `height`: pixels, >= 12, hair and hat included.
  FaceSprite(const Look &look, int height);
  std::string label() const override { return "face"; }
  void draw(cv::Mat &frame, cv::Point corner) const override;

  // Between the eyes, as fractions of a sprite's box.
  static cv::Point2d eyes(const Look &look);

 private:
  Look look_;
};

class PlateSprite final : public Sprite {
 public:
  // `text`: ASCII, 1 to 10 characters. `width`: pixels, >= 28; a plate is 2.8 times as wide as
  // high. `band`: a blue one on the left.
  PlateSprite(std::string text, bool yellow, int width, bool band = false);
  std::string label() const override { return "license plate"; }
  void draw(cv::Mat &frame, cv::Point corner) const override;

 private:
  std::string text_;
  bool yellow_, band_;
};

}  // namespace scenes
