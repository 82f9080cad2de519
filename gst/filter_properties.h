// The properties of moondreamfilter: what GObject knows of FilterSettings.
#pragma once

#include <gst/gst.h>

#include "filter_settings.h"

namespace moondream {

// Read-only; the element answers it.
constexpr guint kFilterPropertyStats = 1;

void install_filter_properties(GObjectClass *object_class);

enum class PropertyOutcome {
  kSet,
  kRefused,  // the value cannot be in force; the one before it is
  kUnknown,  // the id is not that of a setting
};

// in_force: the settings are, so that no value may make them unusable. Otherwise the next start
// says what is wrong with them.
PropertyOutcome set_filter_property(SharedSettings &settings, guint id, const GValue *value,
                                    bool in_force);
// False for an id that is not that of a setting.
bool get_filter_property(const SharedSettings &settings, guint id, GValue *value);

}  // namespace moondream
