#include "redaction_score.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>
#include <utility>

namespace scenes {
namespace {

cv::Rect pixels_of(const moondream::Box &box, cv::Size size) {
  const auto pixel = [](double fraction, int count) {
    return static_cast<int>(std::lround(fraction * count));
  };
  const cv::Point begin(pixel(box.x_min, size.width), pixel(box.y_min, size.height));
  const cv::Point end(pixel(box.x_max, size.width), pixel(box.y_max, size.height));
  return cv::Rect(begin, end) & cv::Rect({0, 0}, size);
}

}  // namespace

Hiding &Hiding::operator+=(const Hiding &other) {
  things += other.things;
  always_hidden += other.always_hidden;
  appearances += other.appearances;
  hidden += other.hidden;
  open += other.open;
  gone_sum += other.gone_sum;
  return *this;
}

RedactionScore::RedactionScore(std::vector<std::string> labels) : labels_(std::move(labels)) {}

void RedactionScore::add(const cv::Mat &gone, std::span<const LabelledBox> objects) {
  cv::Mat rest(gone.size(), CV_8U, cv::Scalar(255));
  for (const auto &[label, box, id] : objects) {
    if (std::find(labels_.begin(), labels_.end(), label) == labels_.end()) continue;
    const cv::Rect pixels = pixels_of(box, gone.size());
    if (pixels.empty()) continue;
    rest(pixels).setTo(0);
    const double share = static_cast<double>(cv::countNonZero(gone(pixels))) / pixels.area();
    Thing &thing = things_[id];
    thing.label = label;
    ++thing.hiding.appearances;
    thing.hiding.hidden += share >= Hiding::kHidden;
    thing.hiding.open += share < Hiding::kOpen;
    thing.hiding.gone_sum += share;
  }
  rest_ += static_cast<std::uint64_t>(cv::countNonZero(rest));
  rest_gone_ += static_cast<std::uint64_t>(cv::countNonZero(rest & gone));
}

Hiding RedactionScore::of(const std::string &label) const {
  Hiding sum;
  for (const auto &[id, thing] : things_) {
    if (thing.label != label) continue;
    sum += thing.hiding;
    ++sum.things;
    sum.always_hidden += thing.hiding.hidden == thing.hiding.appearances;
  }
  return sum;
}

double RedactionScore::in_vain() const {
  return rest_ ? static_cast<double>(rest_gone_) / static_cast<double>(rest_) : 0;
}

std::string RedactionScore::table() const {
  std::ostringstream text;
  text << std::left << std::setw(16) << "" << std::right
       << " things  always hidden   on frames  hidden  in part    open  area hidden\n";
  const auto line = [&](const std::string &name, const Hiding &hiding) {
    text << std::left << std::setw(16) << name << std::right << std::setw(7) << hiding.things
         << std::setw(15) << hiding.always_hidden << std::setw(12) << hiding.appearances
         << std::setw(8) << hiding.hidden << std::setw(9)
         << hiding.appearances - hiding.hidden - hiding.open << std::setw(8) << hiding.open
         << std::fixed << std::setprecision(1) << std::setw(11) << 100 * hiding.gone() << " %\n";
  };
  Hiding all;
  for (const std::string &label : labels_) {
    line(label, of(label));
    all += of(label);
  }
  line("all", all);
  return text.str();
}

}  // namespace scenes
