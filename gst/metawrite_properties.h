// What the user chose for a moondreammetawrite, and its properties: their types, ranges, texts and
// how they reach the settings. The only place that knows the defaults.
#pragma once

#include <gst/gst.h>

#include <string>

namespace moondream::metawrite {

// Which buffers get a line.
enum class Frames { kResults, kFresh, kAll };

// What leaves through the source pad.
enum class Output { kStream, kJson };

// Thread-safety: values.
struct Settings {
  std::string location;  // "-": standard output; empty: none
  gint fd = -1;          // -1: none
  bool append = false;
  Frames frames = Frames::kResults;
  guint max_bytes = 4 << 20;  // of lines that wait
  Output output = Output::kStream;
};

// The one that is no setting: the element fills it.
constexpr guint kPropertyStats = 1;

void install_properties(GObjectClass *object_class);

// False: the id is not that of a setting.
// Thread-safety: the settings are the caller's to protect.
bool set_property(Settings &settings, guint id, const GValue *value);
bool get_property(const Settings &settings, guint id, GValue *value);

}  // namespace moondream::metawrite
