// The properties of moondreamredact.
// Thread-safety: set and get are called with the lock that protects the settings.
#pragma once

#include <gst/gst.h>

#include "redact_settings.h"

namespace moondream::redact {

// The element's own property; the others are in Settings.
constexpr guint kPropertyStats = 1;
constexpr guint kPropertyZones = 2;  // whether a new value is good depends on the state

void install_properties(GObjectClass *object_class);

// False: there is no property `id` in Settings.
bool set_property(Settings &settings, guint id, const GValue *value);
bool get_property(const Settings &settings, guint id, GValue *value);

}  // namespace moondream::redact
