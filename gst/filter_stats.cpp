#include "filter_stats.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace moondream {
namespace {

const char *name_of(FilterMode mode) {
  switch (mode) {
    case FilterMode::kSync:
      return "sync";
    case FilterMode::kAsync:
      return "async";
    default:
      return "auto";
  }
}

void set(GstStructure *structure, const char *field, guint64 value) {
  gst_structure_set(structure, field, G_TYPE_UINT64, value, nullptr);
}

void set(GstStructure *structure, const char *field, std::chrono::nanoseconds value) {
  set(structure, field, static_cast<guint64>(value.count()));
}

void set(GstStructure *structure, const char *field, const std::string &text) {
  gst_structure_set(structure, field, G_TYPE_STRING, text.c_str(), nullptr);
}

}  // namespace

GstStructure *to_structure(const FilterStats &stats) {
  GstStructure *structure = gst_structure_new_empty("moondream-stats");
  const FrameSamplerStats &samples = stats.samples;
  set(structure, "frames", stats.frames);
  set(structure, "samples", samples.samples);
  set(structure, "results", samples.results);
  set(structure, "failed", samples.failed);
  set(structure, "skipped", samples.skipped_busy + samples.skipped_void);
  set(structure, "skipped-busy", samples.skipped_busy);
  set(structure, "skipped-void", samples.skipped_void);
  set(structure, "late", stats.late);
  set(structure, "discarded", samples.discarded);
  set(structure, "reused", samples.reused);
  set(structure, "crops", samples.crops);
  set(structure, "crops-encoded", samples.crops_encoded);

  const auto results = static_cast<gint64>(samples.results);
  set(structure, "latency-min", samples.latency_min);
  set(structure, "latency-mean", samples.latency_sum / std::max<gint64>(results, 1));
  set(structure, "latency-p99", samples.latency_p99);
  set(structure, "latency-max", samples.latency_max);
  set(structure, "hold-max", stats.hold);

  set(structure, "queued-frames", stats.queued);
  set(structure, "pending", stats.pending);
  set(structure, "max-pending", stats.max_pending);
  set(structure, "mode", std::string(name_of(stats.mode)));

  set(structure, "model", stats.model.name);
  set(structure, "device", stats.model.device);
  set(structure, "precision", stats.model.precision);
  set(structure, "workers", stats.engine.workers);
  set(structure, "streams", stats.engine.streams);
  set(structure, "weight-bytes", stats.model.weight_bytes);
  set(structure, "request-bytes", stats.engine.request_bytes);
  set(structure, "stream-bytes", stats.engine.stream_bytes);
  return structure;
}

}  // namespace moondream
