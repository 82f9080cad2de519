// The properties of moondreamoverlay: their types, ranges, texts and how they reach the settings.
#pragma once

#include <gst/gst.h>

#include "overlay_analysis.h"

namespace moondream::overlay {

void install_properties(GObjectClass *object_class);

// False: there is no property of this id.
// Thread-safety: the settings are the caller's to protect.
bool set_property(Settings &settings, guint id, const GValue *value);
bool get_property(const Settings &settings, guint id, GValue *value);

}  // namespace moondream::overlay
