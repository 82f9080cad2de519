// The properties of moondreamfilter: what GObject knows of FilterSettings.
#pragma once

#include <gst/gst.h>

#include "filter_settings.h"

namespace moondream {

// Read-only; the element answers it.
constexpr guint kFilterPropertyStats = 1;

void install_filter_properties(GObjectClass *object_class);

// False for an id that is not a setting.
bool set_filter_property(SharedSettings &settings, guint id, const GValue *value);
bool get_filter_property(const SharedSettings &settings, guint id, GValue *value);

}  // namespace moondream
