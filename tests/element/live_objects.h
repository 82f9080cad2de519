// What GStreamer's leaks tracer sees. The program must run with GST_TRACERS=leaks.
#pragma once

#include <gst/gst.h>

#include <chrono>
#include <map>
#include <string>
#include <thread>

namespace moondream {

// The tracer, or null if it does not run. Transfer none: it lives until gst_deinit().
inline GstTracer *leaks_tracer() {
  GList *tracers = gst_tracing_get_active_tracers();
  GstTracer *leaks = nullptr;
  for (GList *i = tracers; i; i = i->next) {
    if (std::string(G_OBJECT_TYPE_NAME(i->data)) == "GstLeaksTracer") leaks = GST_TRACER(i->data);
  }
  g_list_free_full(tracers, gst_object_unref);
  return leaks;
}

// How many objects and mini objects of each type are alive.
inline std::map<std::string, int> live_objects(GstTracer *leaks) {
  std::map<std::string, int> counts;
  GstStructure *info = nullptr;
  g_signal_emit_by_name(leaks, "get-live-objects", &info);
  const GValue *list = gst_structure_get_value(info, "live-objects-list");
  for (guint i = 0; i < gst_value_list_get_size(list); ++i) {
    const GstStructure *entry = gst_value_get_structure(gst_value_list_get_value(list, i));
    ++counts[G_VALUE_TYPE_NAME(gst_structure_get_value(entry, "object"))];
  }
  gst_structure_free(info);
  return counts;
}

// Those that came since `before` and stay, as "GstPad: 2", one on a line. A streaming thread lets
// its task go only after it has told whoever waits that it ended, so some time is allowed.
inline std::string grown(const std::map<std::string, int> &before, GstTracer *leaks) {
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text.clear();
    for (const auto &[type, count] : live_objects(leaks)) {
      const auto old = before.find(type);
      const int more = count - (old == before.end() ? 0 : old->second);
      if (more > 0) text += type + ": " + std::to_string(more) + "\n";
    }
    if (text.empty()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return text;
}

}  // namespace moondream
