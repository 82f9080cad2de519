// moondreamoverlay: draws on frames what moondreamfilter saw on them. See gstmoondreammeta.h for
// where it finds that.
#pragma once

#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_MOONDREAM_OVERLAY (gst_moondream_overlay_get_type())
G_DECLARE_FINAL_TYPE(GstMoondreamOverlay, gst_moondream_overlay, GST, MOONDREAM_OVERLAY,
                     GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE(moondreamoverlay)

G_END_DECLS
