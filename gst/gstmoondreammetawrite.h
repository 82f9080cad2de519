// moondreammetawrite: writes down what moondreamfilter saw, as JSON Lines. See analysis_json.h for
// the lines and line_writer.h for how they are written.
#pragma once

#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_MOONDREAM_METAWRITE (gst_moondream_metawrite_get_type())
G_DECLARE_FINAL_TYPE(GstMoondreamMetawrite, gst_moondream_metawrite, GST, MOONDREAM_METAWRITE,
                     GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE(moondreammetawrite)

G_END_DECLS
