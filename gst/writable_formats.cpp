#include "writable_formats.h"

#include <string_view>

#include "gstmoondreamframe.h"

namespace moondream {

bool can_write(GstVideoFormat format) {
  // By name: older versions do not have them.
  const std::string_view name = gst_video_format_to_string(format);
  return name != "NV12_10BE_8L128" && name != "MT2110T" && name != "MT2110R";
}

GstCaps *writable_caps() {
  GstCaps *caps = gst_caps_from_string(GST_MOONDREAM_FRAME_CAPS);
  const GValue *all = gst_structure_get_value(gst_caps_get_structure(caps, 0), "format");
  GValue writable = G_VALUE_INIT;
  g_value_init(&writable, GST_TYPE_LIST);
  for (guint i = 0; i < gst_value_list_get_size(all); ++i) {
    const GValue *name = gst_value_list_get_value(all, i);
    if (can_write(gst_video_format_from_string(g_value_get_string(name))))
      gst_value_list_append_value(&writable, name);
  }
  gst_caps_set_value(caps, "format", &writable);
  g_value_unset(&writable);
  return caps;
}

void add_pad_templates(GstElementClass *element_class, GstCaps *caps) {
  gst_element_class_add_pad_template(
      element_class, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
  gst_element_class_add_pad_template(
      element_class, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
  gst_caps_unref(caps);
}

}  // namespace moondream
