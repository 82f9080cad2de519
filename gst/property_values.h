// What every element's properties do with enumerations and texts.
// Thread-safety: safe.
#pragma once

#include <gst/gst.h>

#include <cstddef>
#include <string>

namespace moondream {

template <typename Enum>
constexpr gint value_of(Enum value) {
  return static_cast<gint>(value);
}

// Registers an enumeration, once: keep what it returns. `values` must be static.
template <std::size_t N>
GType register_enum(const char *name, const GEnumValue (&values)[N]) {
  const GType type = g_enum_register_static(name, values);
  gst_type_mark_as_plugin_api(type, static_cast<GstPluginAPIFlags>(0));
  return type;
}

inline std::string text_of(const GValue *value) {
  const gchar *text = g_value_get_string(value);
  return text ? text : "";
}

// Properties that were never set, or set to nothing, read as NULL.
inline void set_text(GValue *value, const std::string &text) {
  g_value_set_string(value, text.empty() ? nullptr : text.c_str());
}

}  // namespace moondream
