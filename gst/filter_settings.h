// What the user chose for a moondreamfilter. The only place that knows the defaults.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "cadence.h"
#include "prompts.h"
#include "types.h"

namespace moondream {

enum class FilterMode { kAuto, kSync, kAsync };
enum class OnError { kError, kWarn };
enum class Propagate { kNone, kHold, kFlow, kInterpolate };
enum class CaptionSetting { kNone, kShort, kNormal, kLong };

struct FilterSettings {
  // Of the model: in force from the next start on.
  std::string model;      // empty: $MOONDREAM_MODEL, else the demo model
  std::string tokenizer;  // empty: the one beside the weights
  std::string variant;    // empty: none
  std::string device = "auto";
  Precision precision = Precision::kAuto;

  // Of the prompts: in force from the next frame on.
  std::string detect, point, query;
  CaptionSetting caption = CaptionSetting::kNone;
  GenerationSettings generation;
  // Made of the four above. Another list is another pointer.
  std::shared_ptr<const PromptList> prompts = std::make_shared<const PromptList>();

  // Of the stream. Mode and max_pending are in force from the next start on.
  SampleRate sample_rate;
  FilterMode mode = FilterMode::kAuto;
  Propagate propagate = Propagate::kHold;
  guint max_pending = 0;                  // 0: automatic
  GstClockTime max_age = 2 * GST_SECOND;  // GST_CLOCK_TIME_NONE: unlimited
  OnError on_error = OnError::kError;
  bool post_messages = true;
};

// Settings that properties write and streams read. A reader gets all of one moment, which does not
// change any more, so that a frame costs no copies.
// Thread-safety: safe.
class SharedSettings {
 public:
  // Never null.
  std::shared_ptr<const FilterSettings> get() const {
    const std::lock_guard guard(lock_);
    return values_;
  }

  // Calls `change` with a copy of the settings, which are then in force. The lock is held: it must
  // not call out.
  template <typename Change>
  void change(Change &&change) {
    const std::lock_guard guard(lock_);
    auto changed = std::make_shared<FilterSettings>(*values_);
    change(*changed);
    values_ = std::move(changed);
  }

 private:
  mutable std::mutex lock_;
  std::shared_ptr<const FilterSettings> values_ =
      std::make_shared<const FilterSettings>();  // lock_
};

}  // namespace moondream
