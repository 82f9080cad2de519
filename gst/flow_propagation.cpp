#include "flow_propagation.h"

#include <algorithm>

namespace moondream {

void FlowPropagation::frame(const cv::Mat &grey, const Sample *own) {
  if (!tracks_.advance(grey)) {
    marks_.clear();
    regions_.reset();
    cut_off_ = newest_;
  }
  if (regions_) regions_->advance(tracks_);
  if (!own) return;
  newest_ = own->serial;
  tracks_.replenish();
  marks_[own->serial] = tracks_.mark();
  if (marks_.size() > kMostMarks) marks_.erase(marks_.begin());
}

std::optional<FrameAnalysis> FlowPropagation::moved(const Sample &sample, GstClockTime age) {
  newest_ = std::max(newest_, sample.serial);
  if (!regions_ || moving_ != sample.serial) {
    const auto mark = marks_.find(sample.serial);
    if (mark == marks_.end()) return std::nullopt;
    regions_.emplace(sample.analysis, mark->second, tracks_);
    moving_ = sample.serial;
    marks_.erase(marks_.begin(), std::next(mark));
  }
  return regions_->at(age);
}

void FlowPropagation::clear() {
  tracks_.clear();
  marks_.clear();
  regions_.reset();
  newest_ = cut_off_ = moving_ = 0;
}

}  // namespace moondream
