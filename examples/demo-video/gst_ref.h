// Owns one reference to a GStreamer object.
#pragma once

#include <gst/gst.h>

#include <memory>

struct GstUnref {
  void operator()(gpointer object) const { gst_object_unref(object); }
  void operator()(GstMessage *message) const { gst_message_unref(message); }
  void operator()(GstSample *sample) const { gst_sample_unref(sample); }
  void operator()(GstStructure *structure) const { gst_structure_free(structure); }
};

template <typename T>
using GstRef = std::unique_ptr<T, GstUnref>;
