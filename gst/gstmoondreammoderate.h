// moondreammoderate: decides by rules what of a video may be shown. See moderation_rules.h and
// moderation_intervals.h for how.
#pragma once

#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_MOONDREAM_MODERATE (gst_moondream_moderate_get_type())
G_DECLARE_FINAL_TYPE(GstMoondreamModerate, gst_moondream_moderate, GST, MOONDREAM_MODERATE,
                     GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE(moondreammoderate)

G_END_DECLS
