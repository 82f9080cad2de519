// What filter_properties.cpp, which gets and sets, and filter_property_specs.cpp, which says what
// there is, both know.
#pragma once

#include <gst/gst.h>

#include <optional>

#include "filter_properties.h"
#include "types.h"

namespace moondream {

enum FilterProperty : guint {
  kStats = kFilterPropertyStats,
  kModel,
  kTokenizer,
  kVariant,
  kModelRelease,
  kDevice,
  kPrecision,
  kDetect,
  kPoint,
  kQuery,
  kReasoning,
  kCaption,
  kGaze,
  kGrid,
  kMaxObjects,
  kStopAtDuplicates,
  kMaxTokens,
  kTemperature,
  kTopP,
  kSeed,
  kSampleRate,
  kChangeThreshold,
  kMaxInterval,
  kMode,
  kPropagate,
  kLatency,
  kMaxAge,
  kWorkers,
  kMaxPending,
  kOnError,
  kPostMessages,
};

// Value of GstMoondreamCaption: 0 is none.
gint to_value(std::optional<CaptionLength> caption);
std::optional<CaptionLength> to_caption(gint value);

// Of every enumeration of this element but that.
}  // namespace moondream
