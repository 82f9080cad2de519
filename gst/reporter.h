// Tells the application what became of samples.
#pragma once

#include <gst/gst.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "filter_settings.h"
#include "frame_sampler.h"

namespace moondream {

// Posts on the bus of an element, which may be gone.
// Thread-safety: safe. Posting holds no lock.
class Reporter {
 public:
  Reporter(GstElement *element, std::shared_ptr<const SharedSettings> settings);
  ~Reporter();
  Reporter(const Reporter &) = delete;
  Reporter &operator=(const Reporter &) = delete;

  // For a finished sample: its element message, and, if it failed, the error or warning that
  // on-error asks for. Of equal failures in a row only the first is a warning. Nothing for
  // cancelled samples.
  void report(const Sample &sample);

  // True once an error was posted: the stream cannot go on.
  bool failed() const { return failed_.load(std::memory_order_acquire); }

  // Allows the stream to go on, after a flush.
  void reset();

 private:
  GWeakRef element_;  // locks itself
  const std::shared_ptr<const SharedSettings> settings_;
  std::atomic<bool> failed_ = false;
  std::mutex lock_;
  std::string warned_;  // text of the last warning since the last success; lock_
};

}  // namespace moondream
