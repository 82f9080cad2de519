// What the user chose for a moondreamfilter. The only place that knows the defaults.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "cadence.h"
#include "engine.h"
#include "prompts.h"
#include "types.h"

namespace moondream {

enum class FilterMode { kAuto, kSync, kAsync };
enum class OnError { kError, kWarn };
enum class Propagate { kNone, kHold, kFlow, kInterpolate };

struct FilterSettings {
  // Of the model: in force from the next start on.
  std::string model;          // empty: $MOONDREAM_MODEL, else the demo model
  std::string tokenizer;      // empty: the one beside the weights
  std::string variant;        // empty: none
  std::string model_release;  // empty: what its files say
  std::string device = "auto";
  Precision precision = Precision::kAuto;

  // Of the prompts: in force from the next frame on.
  Questions questions;
  GenerationSettings generation;
  // Made of the questions. Other questions are another pointer.
  std::shared_ptr<const PromptList> prompts = std::make_shared<const PromptList>();

  // Of the looks: in force from the next sample on.
  std::string grid_text = "1x1";     // COLUMNSxROWS
  std::optional<Grid> grid{Grid{}};  // what it says; absent: it says nothing that could be done
  double change_threshold = 0;       // [0, 1], as of a Request
  GstClockTime max_interval = 0;     // between looks that reuse no result; 0, NONE: no limit

  // Of the stream. Mode, workers and max_pending are in force from the next start on.
  SampleRate sample_rate;
  FilterMode mode = FilterMode::kAuto;
  Propagate propagate = Propagate::kHold;
  guint workers = 0;                      // 0: as many as suit the device
  guint max_pending = 0;                  // 0: automatic
  GstClockTime max_age = 2 * GST_SECOND;  // GST_CLOCK_TIME_NONE: unlimited
  GstClockTime latency = 0;               // that is declared in sync mode; 0: what is measured
  OnError on_error = OnError::kError;
  bool post_messages = true;
};

// "COLUMNSxROWS", each from 1 to Grid::kMaxSide. Nothing for any other text.
std::optional<Grid> parse_grid(const std::string &text);

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
