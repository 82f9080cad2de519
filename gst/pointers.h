// Owning pointers for GStreamer's reference-counted and boxed types.
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include <memory>

namespace moondream {

struct Release {
  void operator()(GstBuffer *buffer) const { gst_buffer_unref(buffer); }
  void operator()(GstEvent *event) const { gst_event_unref(event); }
  void operator()(GstQuery *query) const { gst_query_unref(query); }
  void operator()(GstVideoConverter *converter) const { gst_video_converter_free(converter); }
  void operator()(GstStructure *structure) const { gst_structure_free(structure); }
  void operator()(gchar *text) const { g_free(text); }
};

using BufferPtr = std::unique_ptr<GstBuffer, Release>;
using EventPtr = std::unique_ptr<GstEvent, Release>;
using QueryPtr = std::unique_ptr<GstQuery, Release>;
using ConverterPtr = std::unique_ptr<GstVideoConverter, Release>;
using StructurePtr = std::unique_ptr<GstStructure, Release>;
using TextPtr = std::unique_ptr<gchar, Release>;

}  // namespace moondream
