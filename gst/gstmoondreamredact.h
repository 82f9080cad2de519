// moondreamredact: destroys the pixels of what moondreamfilter saw. See redact_run.h for what it
// does with a frame.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_MOONDREAM_REDACT (gst_moondream_redact_get_type())
G_DECLARE_FINAL_TYPE(GstMoondreamRedact, gst_moondream_redact, GST, MOONDREAM_REDACT, GstElement)

GST_ELEMENT_REGISTER_DECLARE(moondreamredact)

G_END_DECLS
