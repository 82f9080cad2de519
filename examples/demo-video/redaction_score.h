// How much of known things is gone from a video, and how much else.
#pragma once

#include <cstdint>
#include <map>
#include <opencv2/core.hpp>
#include <span>
#include <string>
#include <vector>

#include "scene.h"

namespace scenes {

// Things of one label. An appearance is a thing on a frame: hidden if nearly all pixels of its box
// are gone, open if nearly none are.
struct Hiding {
  static constexpr double kHidden = 0.95, kOpen = 0.05;  // shares of the box

  int things = 0;         // different ones
  int always_hidden = 0;  // of these, on each of their frames
  int appearances = 0, hidden = 0, open = 0;
  double gone_sum = 0;  // of the appearances' shares that are gone

  double gone() const { return appearances ? gone_sum / appearances : 0; }  // mean, [0, 1]

  Hiding &operator+=(const Hiding &other);
};

// Thread-safety: const methods are safe.
class RedactionScore {
 public:
  // `labels`: what should be gone.
  explicit RedactionScore(std::vector<std::string> labels);

  // The next frame. `gone`: 8-bit, 255 where pixels were destroyed, else 0. `objects`: all that is
  // there, with ids.
  void add(const cv::Mat &gone, std::span<const LabelledBox> objects);

  Hiding of(const std::string &label) const;
  double in_vain() const;     // share of the pixels outside of all such boxes that are gone, [0, 1]
  std::string table() const;  // a line for each label, and one for all

 private:
  struct Thing {
    std::string label;
    Hiding hiding;  // of this one
  };

  const std::vector<std::string> labels_;
  std::map<int, Thing> things_;  // by id
  std::uint64_t rest_ = 0, rest_gone_ = 0;
};

}  // namespace scenes
