#include "backdrop.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <string>

namespace scenes {
namespace {

// Mostly pale or dark tones, which leave most of the ten colours to be seen.
cv::Scalar random_tone(Dice &dice) {
  if (dice.chance(0.2)) {
    return {dice.between(0, 255), dice.between(0, 255), dice.between(0, 255)};
  }
  const double level = dice.chance(0.65) ? dice.between(150, 235) : dice.between(15, 100);
  const double spread = dice.between(0, 35);
  return {level + dice.between(-spread, spread), level + dice.between(-spread, spread),
          level + dice.between(-spread, spread)};
}

cv::Scalar near(Dice &dice, const cv::Scalar &tone, double spread) {
  return tone + cv::Scalar(dice.between(-spread, spread), dice.between(-spread, spread),
                           dice.between(-spread, spread));
}

cv::Rect within(cv::Size size, cv::Rect rect) { return rect & cv::Rect({0, 0}, size); }

// A small picture of random tones, blown up: the fewer its cells, the smoother.
cv::Mat clouds(Dice &dice, cv::Size size, const cv::Scalar &tone, double spread, int cells) {
  cv::Mat small(cells, cells * size.width / size.height + 1, CV_8UC3);
  for (int y = 0; y < small.rows; ++y) {
    for (int x = 0; x < small.cols; ++x) {
      small(cv::Rect(x, y, 1, 1)).setTo(near(dice, tone, spread));
    }
  }
  cv::Mat large;
  cv::resize(small, large, size, 0, 0, dice.chance(0.7) ? cv::INTER_CUBIC : cv::INTER_LINEAR);
  return large;
}

void gradient(Dice &dice, cv::Mat &picture, const cv::Scalar &tone) {
  const cv::Scalar other = near(dice, tone, dice.chance(0.3) ? 120 : 50);
  cv::Mat corners(2, 2, CV_8UC3, tone);
  corners(cv::Rect(1, 1, 1, 1)).setTo(other);
  const bool down = dice.chance(0.6);
  corners(down ? cv::Rect(0, 1, 1, 1) : cv::Rect(1, 0, 1, 1)).setTo(other);
  cv::resize(corners, picture, picture.size(), 0, 0, cv::INTER_LINEAR);
}

void checker(Dice &dice, cv::Mat &picture, const cv::Scalar &tone) {
  const cv::Size size = picture.size();
  const int side = std::max(3, static_cast<int>(size.height * dice.between(0.02, 0.2)));
  const cv::Scalar other = near(dice, tone, dice.chance(0.3) ? 90 : 30);
  picture.setTo(tone);
  for (int y = 0; y < size.height; y += side) {
    for (int x = (y / side) % 2 * side; x < size.width; x += 2 * side) {
      picture(within(size, {x, y, side, side})).setTo(other);
    }
  }
}

void stripes(Dice &dice, cv::Mat &picture, const cv::Scalar &tone) {
  const cv::Size size = picture.size();
  const cv::Scalar other = near(dice, tone, 60);
  picture.setTo(tone);
  const bool upright = dice.chance(0.5);
  const int step = std::max(4, static_cast<int>(size.height * dice.between(0.03, 0.25)));
  for (int at = 0; at < std::max(size.width, size.height); at += 2 * step) {
    picture(within(size, upright ? cv::Rect(at, 0, step, size.height)
                                 : cv::Rect(0, at, size.width, step)))
        .setTo(other);
  }
}

// Smooth noise of several scales.
void texture(Dice &dice, cv::Mat &picture, const cv::Scalar &tone) {
  picture = clouds(dice, picture.size(), tone, dice.between(10, 60), 2 + dice.below(4));
  cv::Mat finer = clouds(dice, picture.size(), tone, dice.between(10, 50), 8 + dice.below(16));
  cv::addWeighted(picture, 0.55, finer, 0.45, 0, picture);
}

// Independent pixels, as `videotestsrc pattern=snow` has them, or fainter ones over a tone.
void grain(Dice &dice, cv::Mat &picture, const cv::Scalar &tone) {
  cv::Mat noise(picture.rows / 2 + 1, picture.cols / 2 + 1, CV_8UC1);
  cv::RNG rng(static_cast<std::uint64_t>(dice.below(1 << 30)) + 1);
  rng.fill(noise, cv::RNG::UNIFORM, 0, 256);
  cv::resize(noise, noise, picture.size(), 0, 0, cv::INTER_NEAREST);
  cv::Mat coloured;
  cv::cvtColor(noise, coloured, cv::COLOR_GRAY2BGR);
  const double share = dice.chance(0.2) ? 0.6 : dice.between(0.05, 0.3);
  picture.setTo(tone);
  cv::addWeighted(picture, 1 - share, coloured, share, 0, picture);
}

void blobs(Dice &dice, cv::Mat &picture, const cv::Scalar &tone) {
  picture.setTo(tone);
  const int h = picture.rows;
  for (int i = 4 + dice.below(12); i > 0; --i) {
    const cv::Point center(dice.below(picture.cols), dice.below(h));
    const cv::Size radii(static_cast<int>(h * dice.between(0.1, 0.5)),
                         static_cast<int>(h * dice.between(0.05, 0.3)));
    cv::ellipse(picture, center, radii, dice.between(0, 180), 0, 360, near(dice, tone, 25),
                cv::FILLED);
  }
  const int side = std::max(3, h / 12) | 1;
  cv::blur(picture, picture, {side, side});
}

// Like the first rows of `videotestsrc pattern=smpte`, often paler.
void bars(Dice &dice, cv::Mat &picture) {
  static const std::array<cv::Scalar, 7> colors = {cv::Scalar(191, 191, 191),
                                                   {0, 191, 191},
                                                   {191, 191, 0},
                                                   {0, 191, 0},
                                                   {191, 0, 191},
                                                   {0, 0, 191},
                                                   {191, 0, 0}};
  for (int i = 0; i < 7; ++i) {
    const int left = picture.cols * i / 7, right = picture.cols * (i + 1) / 7;
    picture(cv::Rect(left, 0, right - left, picture.rows)).setTo(colors[i]);
  }
  const double pale = dice.chance(0.3) ? 0 : dice.between(0.3, 0.75);
  picture.convertTo(picture, -1, 1 - pale, pale * dice.between(60, 230));
}

// Rays from the middle, as in `videotestsrc pattern=spokes`, in two near tones.
void spokes(Dice &dice, cv::Mat &picture, const cv::Scalar &tone) {
  picture.setTo(tone);
  const cv::Scalar other = near(dice, tone, 50);
  const cv::Point middle(picture.cols / 2, picture.rows / 2);
  const int count = 8 + dice.below(16);
  for (int i = 0; i < count; ++i) {
    const double from = 2 * CV_PI * i / count, to = from + CV_PI / count;
    const double far = picture.cols + picture.rows;
    const std::array<cv::Point, 3> wedge = {
        middle, middle + cv::Point(cv::Point2d(far * std::cos(from), far * std::sin(from))),
        middle + cv::Point(cv::Point2d(far * std::cos(to), far * std::sin(to)))};
    cv::fillConvexPoly(picture, wedge.data(), 3, other);
  }
}

void street(Dice &dice, cv::Mat &picture) {
  const cv::Size size = picture.size();
  const int w = size.width, h = size.height;
  const int horizon = static_cast<int>(h * dice.between(0.35, 0.6));
  picture.setTo(cv::Scalar(235, 205, 170) + cv::Scalar::all(dice.between(-90, 15)));
  // Houses with rows of windows.
  for (int x = -dice.below(w / 8 + 1); x < w;) {
    const int width = static_cast<int>(w * dice.between(0.08, 0.22));
    const int top = static_cast<int>(horizon * dice.between(0.1, 0.75));
    const cv::Scalar wall = near(dice, cv::Scalar::all(dice.between(70, 190)), 25);
    picture(within(size, {x, top, width, horizon - top})).setTo(wall);
    const int pitch = std::max(6, h / (12 + dice.below(10)));
    const cv::Scalar window = near(dice, wall + cv::Scalar::all(dice.chance(0.5) ? 45 : -45), 15);
    for (int wy = top + pitch / 2; wy + pitch / 2 < horizon; wy += pitch) {
      for (int wx = x + pitch / 2; wx + pitch / 2 < x + width; wx += pitch) {
        picture(within(size, {wx, wy, pitch / 3, pitch / 2})).setTo(window);
      }
    }
    x += width + (dice.chance(0.3) ? w / 20 : 0);
  }
  const cv::Scalar road = cv::Scalar::all(dice.between(60, 120));
  const cv::Scalar verge = near(dice, {80, 120, 90}, 30);
  picture(cv::Rect(0, horizon, w, h - horizon)).setTo(verge);
  const int vanish = static_cast<int>(w * dice.between(0.3, 0.7));
  const std::array<cv::Point, 4> lane = {
      cv::Point(vanish - w / 30, horizon), {vanish + w / 30, horizon}, {w + w / 8, h}, {-w / 8, h}};
  cv::fillConvexPoly(picture, lane.data(), 4, road, cv::LINE_AA);
  for (int i = 0; i < 5; ++i) {
    const double near_end = std::pow((i + 0.9) / 5.0, 1.6),
                 far_end = std::pow((i + 0.4) / 5.0, 1.6);
    const auto at = [&](double t) {
      return cv::Point(static_cast<int>(vanish + (w / 2.0 - vanish) * t),
                       static_cast<int>(horizon + (h - horizon) * t));
    };
    cv::line(picture, at(far_end), at(near_end), cv::Scalar::all(200),
             1 + static_cast<int>(h * near_end / 60), cv::LINE_AA);
  }
}

void distractor(Dice &dice, cv::Mat &picture) {
  const int h = picture.rows;
  const int side = std::max(6, static_cast<int>(h * dice.between(0.05, 0.3)));
  const cv::Point at(dice.below(picture.cols), dice.below(h));
  const cv::Scalar color(dice.between(0, 255), dice.between(0, 255), dice.between(0, 255));
  const int thin = std::max(1, side / 10);
  switch (dice.below(6)) {
    case 0:  // a ring
      cv::circle(picture, at, side / 2, color, thin, cv::LINE_AA);
      break;
    case 1: {  // a line
      const cv::Point2d way(dice.between(-2, 2) * side, dice.between(-2, 2) * side);
      cv::line(picture, at, at + cv::Point(way), color, thin, cv::LINE_AA);
      break;
    }
    case 2: {  // a bar, never near to a square
      const bool upright = dice.chance(0.5);
      const int across = std::max(2, side / 4);
      cv::rectangle(picture,
                    cv::Rect(at, upright ? cv::Size(across, side) : cv::Size(side, across)), color,
                    cv::FILLED);
      break;
    }
    case 3: {  // an arrow
      const cv::Point2d way(dice.between(-1, 1) * side, dice.between(-1, 1) * side);
      cv::arrowedLine(picture, at, at + cv::Point(way), color, thin, cv::LINE_AA, 0, 0.35);
      break;
    }
    case 4:  // a letter or a digit
      cv::putText(picture,
                  std::string(1, dice.chance(0.7) ? static_cast<char>('A' + dice.below(26))
                                                  : static_cast<char>('0' + dice.below(10))),
                  at, cv::FONT_HERSHEY_SIMPLEX, side / 22.0, color, thin, cv::LINE_AA);
      break;
    case 5: {  // an empty frame
      const cv::Size size(static_cast<int>(side * dice.between(1, 2)), side);
      cv::rectangle(picture, cv::Rect(at, size), color, thin, cv::LINE_AA);
      break;
    }
  }
}

}  // namespace

cv::Mat random_backdrop(Dice &dice, cv::Size size) {
  const cv::Scalar tone = random_tone(dice);
  cv::Mat picture(size, CV_8UC3, tone);
  const int kind = dice.below(100);
  if (kind < 14) {
    // Flat.
  } else if (kind < 18) {
    picture.setTo(cv::Scalar::all(0));  // what `videotestsrc pattern=ball` has behind its ball
  } else if (kind < 32) {
    gradient(dice, picture, tone);
  } else if (kind < 43) {
    checker(dice, picture, tone);
  } else if (kind < 49) {
    stripes(dice, picture, tone);
  } else if (kind < 65) {
    texture(dice, picture, tone);
  } else if (kind < 73) {
    grain(dice, picture, tone);
  } else if (kind < 80) {
    blobs(dice, picture, tone);
  } else if (kind < 84) {
    bars(dice, picture);
  } else if (kind < 87) {
    spokes(dice, picture, tone);
  } else {
    street(dice, picture);
  }
  if (dice.chance(0.4)) {
    for (int i = 1 + dice.below(4); i > 0; --i) distractor(dice, picture);
  }
  return picture;
}

}  // namespace scenes
