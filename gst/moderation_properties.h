// The properties of moondreammoderate: their types, ranges, texts and how they reach the settings.
#pragma once

#include <gst/gst.h>

#include "moderation_settings.h"

namespace moondream::moderation {

// The one that is no setting: the element fills it.
constexpr guint kPropertyStats = 1;

void install_properties(GObjectClass *object_class);

// False: the id is not that of a setting.
// Thread-safety: the settings are the caller's to protect.
bool set_property(ModerationSettings &settings, guint id, const GValue *value);
bool get_property(const ModerationSettings &settings, guint id, GValue *value);

}  // namespace moondream::moderation
