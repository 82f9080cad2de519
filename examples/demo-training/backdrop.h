// What is behind the things of a picture, from one colour to a street.
#pragma once

#include <opencv2/core.hpp>

#include "dice.h"

namespace scenes {

// An 8-bit BGR picture in which none of the things is that a model is asked for: flat, a gradient,
// a checker, stripes, smooth or fine noise, blobs, a street, or like a pattern of videotestsrc.
// Some have distractors: rings, lines, bars, arrows and letters.
cv::Mat random_backdrop(Dice &dice, cv::Size size);

}  // namespace scenes
