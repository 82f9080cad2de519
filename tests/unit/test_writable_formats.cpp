#include "writable_formats.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "../overlay_frames.h"

namespace moondream {
namespace {

TEST(WritableFormats, AreAllButThree) {
  // Two of them are new in GStreamer 1.24.
  const std::set<std::string> others = {"NV12_10BE_8L128", "MT2110T", "MT2110R"};
  for (const GstVideoFormat format : test::all_formats()) {
    const std::string name = gst_video_format_to_string(format);
    EXPECT_EQ(can_write(format), !others.contains(name)) << name;
  }
  GstCaps *caps = writable_caps();
  const GValue *list = gst_structure_get_value(gst_caps_get_structure(caps, 0), "format");
  EXPECT_EQ(gst_value_list_get_size(list), test::writable_formats().size());
  gst_caps_unref(caps);
}

}  // namespace
}  // namespace moondream
