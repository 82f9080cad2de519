// The counters of a moondreamfilter as an application sees them.
#pragma once

#include <gst/gst.h>

#include <cstddef>

#include "engine.h"
#include "filter_settings.h"
#include "frame_sampler.h"

namespace moondream {

struct FilterStats {
  guint64 frames = 0;       // that came in
  guint64 late = 0;         // not sampled when they were due, because QoS says that they are late
  std::size_t queued = 0;   // frames that wait for results or downstream
  std::size_t pending = 0;  // samples that are not finished
  std::size_t max_pending = 0;
  GstClockTime hold = 0;  // longest that a frame waited for results
  FilterMode mode = FilterMode::kAuto;
  FrameSamplerStats samples;
  ModelInfo model;
  EngineStats engine;  // of all elements that share it; zero once it is released
};

// The property stats. Transfer full.
GstStructure *to_structure(const FilterStats &stats);

}  // namespace moondream
