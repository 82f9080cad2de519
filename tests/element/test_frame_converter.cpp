#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "gstmoondreamerror.h"
#include "gstmoondreamframe.h"
#include "pointers.h"

namespace moondream {
namespace {

constexpr std::array<int, 3> kColour = {200, 100, 48};
constexpr int kWidth = 50, kHeight = 34;  // no multiple of any tile

// A frame of one colour in any format, made by GStreamer from RGB.
BufferPtr solid(const GstVideoInfo &info) {
  GstVideoInfo rgb;
  gst_video_info_set_format(&rgb, GST_VIDEO_FORMAT_RGB, info.width, kHeight);
  rgb.fps_n = info.fps_n;
  rgb.fps_d = info.fps_d;
  const BufferPtr source(gst_buffer_new_allocate(nullptr, rgb.size, nullptr));
  BufferPtr target(gst_buffer_new_allocate(nullptr, info.size, nullptr));
  gst_buffer_memset(target.get(), 0, 0, info.size);
  GstVideoFrame from, to;
  gst_video_frame_map(&from, &rgb, source.get(), GST_MAP_WRITE);
  for (int y = 0; y < kHeight; ++y) {
    auto *row = static_cast<guint8 *>(GST_VIDEO_FRAME_PLANE_DATA(&from, 0)) +
                y * GST_VIDEO_FRAME_PLANE_STRIDE(&from, 0);
    for (int i = 0; i < 3 * info.width; ++i) row[i] = static_cast<guint8>(kColour[i % 3]);
  }
  gst_video_frame_map(&to, &info, target.get(), GST_MAP_WRITE);
  const ConverterPtr converter(gst_video_converter_new(
      &rgb, &info,
      gst_structure_new("options", GST_VIDEO_CONVERTER_OPT_DITHER_METHOD,
                        GST_TYPE_VIDEO_DITHER_METHOD, GST_VIDEO_DITHER_NONE, nullptr)));
  gst_video_converter_frame(converter.get(), &from, &to);
  gst_video_frame_unmap(&to);
  gst_video_frame_unmap(&from);
  return target;
}

// GStreamer 1.26 leaves the chroma of the last tile of these unwritten, unless it is whole.
int width_of(const std::string &format) { return format.starts_with("MT2110") ? 48 : kWidth; }

// Largest difference from the colour that a format can cause by what it stores.
int tolerance(const GstVideoInfo &info) {
  switch (GST_VIDEO_INFO_FORMAT(&info)) {
    case GST_VIDEO_FORMAT_RGB8P:
      return 26;  // the palette has six levels of each colour, 51 apart
    case GST_VIDEO_FORMAT_RGB15:
    case GST_VIDEO_FORMAT_BGR15:
    case GST_VIDEO_FORMAT_RGB16:
    case GST_VIDEO_FORMAT_BGR16:
      return 8;  // five bits of each colour
    default:
      return 3;  // rounding to 8 bits there and back, times up to 2 for blue from chroma
  }
}

TEST(FrameConverter, ReadsEveryFormatOfTheTemplate) {
  GstCaps *caps = gst_caps_from_string(GST_VIDEO_CAPS_MAKE(GST_MOONDREAM_FRAME_FORMATS));
  const GValue *formats = gst_structure_get_value(gst_caps_get_structure(caps, 0), "format");
  ASSERT_GT(gst_value_list_get_size(formats), 100u);
  for (guint i = 0; i < gst_value_list_get_size(formats); ++i) {
    const char *name = g_value_get_string(gst_value_list_get_value(formats, i));
    GstVideoInfo info;
    gst_video_info_set_format(&info, gst_video_format_from_string(name), width_of(name), kHeight);
    const BufferPtr buffer = solid(info);
    const auto image = FrameConverter(info).convert(buffer.get());
    ASSERT_EQ(image->width, info.width);
    ASSERT_EQ(image->height, kHeight);
    ASSERT_EQ(image->pixels.size(), std::size_t{3} * info.width * kHeight);
    int worst = 0;
    for (std::size_t p = 0; p < image->pixels.size(); ++p) {
      int expected = kColour[p % 3];
      // Brightness alone, as BT.601 weighs colours.
      if (GST_VIDEO_INFO_IS_GRAY(&info)) {
        expected = static_cast<int>(
            std::lround(0.299 * kColour[0] + 0.587 * kColour[1] + 0.114 * kColour[2]));
      }
      worst = std::max(worst, std::abs(image->pixels[p] - expected));
    }
    EXPECT_LE(worst, tolerance(info)) << name;
  }
  gst_caps_unref(caps);
}

TEST(FrameConverter, KeepsPlacesOfPixels) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, GST_VIDEO_FORMAT_BGR, 3, 2);
  BufferPtr buffer(gst_buffer_new_allocate(nullptr, info.size, nullptr));
  GstMapInfo map;
  gst_buffer_map(buffer.get(), &map, GST_MAP_WRITE);
  // Rows of 9 bytes are 12 apart.
  for (gsize i = 0; i < map.size; ++i) map.data[i] = static_cast<guint8>(i);
  gst_buffer_unmap(buffer.get(), &map);
  const auto image = FrameConverter(info).convert(buffer.get());
  EXPECT_EQ(image->pixels, (std::vector<std::uint8_t>{2, 1, 0, 5, 4, 3, 8, 7, 6,  //
                                                      14, 13, 12, 17, 16, 15, 20, 19, 18}));
}

TEST(FrameConverter, FollowsTheLayoutOfAVideoMeta) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, GST_VIDEO_FORMAT_GRAY8, 2, 2);
  // The bottom right corner of a picture of 5x3, whose last row ends with the memory.
  BufferPtr buffer(gst_buffer_new_allocate(nullptr, 15, nullptr));
  for (guint8 i = 0; i < 15; ++i)
    gst_buffer_memset(buffer.get(), i, static_cast<guint8>(16 * i), 1);
  gsize offsets[GST_VIDEO_MAX_PLANES] = {8};
  gint strides[GST_VIDEO_MAX_PLANES] = {5};
  gst_buffer_add_video_meta_full(buffer.get(), GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_GRAY8, 2,
                                 2, 1, offsets, strides);
  const auto image = FrameConverter(info).convert(buffer.get());
  std::vector<int> red;
  for (std::size_t p = 0; p < image->pixels.size(); p += 3) red.push_back(image->pixels[p]);
  // GRAY8 is full range: values are as stored.
  EXPECT_EQ(red, (std::vector<int>{128, 144, 208, 224}));
}

TEST(FrameConverter, MemoryThatEndsInsideThePictureIsRefused) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, GST_VIDEO_FORMAT_GRAY8, 2, 2);
  gsize offsets[GST_VIDEO_MAX_PLANES] = {8};
  gint strides[GST_VIDEO_MAX_PLANES] = {6};
  BufferPtr buffer(gst_buffer_new_allocate(nullptr, 15, nullptr));
  gst_buffer_add_video_meta_full(buffer.get(), GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_GRAY8, 2,
                                 2, 1, offsets, strides);
  EXPECT_THROW(FrameConverter(info).convert(buffer.get()), FrameError);
}

}  // namespace
}  // namespace moondream
