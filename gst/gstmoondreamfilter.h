// moondreamfilter: runs a Moondream model on samples of a video stream and puts what it saw on the
// buffers. See gstmoondreammeta.h for what that looks like.
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_MOONDREAM_FILTER (gst_moondream_filter_get_type())
G_DECLARE_FINAL_TYPE(GstMoondreamFilter, gst_moondream_filter, GST, MOONDREAM_FILTER, GstElement)

GST_ELEMENT_REGISTER_DECLARE(moondreamfilter)

G_END_DECLS
