#include "grey_picture.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "gstmoondreamerror.h"

namespace moondream {
namespace {

GstVideoInfo info_of(GstVideoFormat format, guint width, guint height) {
  GstVideoInfo info;
  gst_video_info_set_format(&info, format, width, height);
  return info;
}

// A frame of a format, from a grey gradient: 2 x + 3 y, at most 235.
BufferPtr gradient(const GstVideoInfo &info) {
  GstVideoInfo grey =
      info_of(GST_VIDEO_FORMAT_GRAY8, GST_VIDEO_INFO_WIDTH(&info), GST_VIDEO_INFO_HEIGHT(&info));
  BufferPtr from(gst_buffer_new_allocate(nullptr, grey.size, nullptr));
  BufferPtr to(gst_buffer_new_allocate(nullptr, info.size, nullptr));
  GstVideoFrame in, out;
  gst_video_frame_map(&in, &grey, from.get(), GST_MAP_WRITE);
  for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT(&in); ++y) {
    auto *row = static_cast<guint8 *>(GST_VIDEO_FRAME_PLANE_DATA(&in, 0)) +
                y * GST_VIDEO_FRAME_PLANE_STRIDE(&in, 0);
    for (int x = 0; x < GST_VIDEO_FRAME_WIDTH(&in); ++x) {
      row[x] = static_cast<guint8>(std::min(16 + 2 * x + 3 * y, 235));
    }
  }
  gst_video_frame_map(&out, &info, to.get(), GST_MAP_WRITE);
  const ConverterPtr converter(
      gst_video_converter_new(&grey, const_cast<GstVideoInfo *>(&info), nullptr));
  gst_video_converter_frame(converter.get(), &in, &out);
  gst_video_frame_unmap(&in);
  gst_video_frame_unmap(&out);
  return to;
}

TEST(GreyPicture, IsTheMeanOfSquaresOfTheYPlane) {
  const GstVideoInfo info = info_of(GST_VIDEO_FORMAT_I420, 642, 5);
  const BufferPtr buffer(gst_buffer_new_allocate(nullptr, info.size, nullptr));
  gst_buffer_memset(buffer.get(), 0, 7, info.size);
  GstVideoFrame frame;
  gst_video_frame_map(&frame, &info, buffer.get(), GST_MAP_WRITE);
  auto *y_plane = static_cast<guint8 *>(GST_VIDEO_FRAME_PLANE_DATA(&frame, 0));
  const int stride = GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0);
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 642; ++x)
      y_plane[y * stride + x] = static_cast<guint8>((x * 7 + y * 31) % 251);
  }
  gst_video_frame_unmap(&frame);
  GreyPicture grey(info);
  const cv::Mat picture = grey.of(buffer.get());
  // 642 columns in 320 need squares of 3; two rows and no columns are left over.
  ASSERT_EQ(picture.size(), cv::Size(214, 1));
  for (int x = 0; x < 214; ++x) {
    int sum = 0;
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 3; ++i) sum += ((3 * x + i) * 7 + j * 31) % 251;
    }
    EXPECT_EQ(picture.at<std::uint8_t>(0, x), sum / 9) << x;
  }
}

// Every format of video/x-raw, those that are read as they are and those that are converted.
TEST(GreyPicture, EveryFormatGivesThePicture) {
  for (int i = GST_VIDEO_FORMAT_I420; i <= GST_VIDEO_FORMAT_Y410; ++i) {
    const auto format = static_cast<GstVideoFormat>(i);
    if (format == GST_VIDEO_FORMAT_RGB8P) continue;  // its palette has no such greys
    const GstVideoInfo info = info_of(format, 64, 36);
    const GstVideoFormatInfo *finfo = info.finfo;
    GreyPicture grey(info);
    const BufferPtr buffer = gradient(info);
    const cv::Mat picture = grey.of(buffer.get());
    ASSERT_EQ(picture.size(), cv::Size(64, 36));
    // RGB spans 0 to 255 where YUV and grey in this test span 16 to 235; formats of 5 bits a
    // colour err by 8 levels; GRAY8 itself is full range.
    const bool rgb = GST_VIDEO_FORMAT_INFO_IS_RGB(finfo);
    double error = 0;
    for (int y = 0; y < 36; ++y) {
      for (int x = 0; x < 64; ++x) {
        double expected = std::min(16 + 2 * x + 3 * y, 235);
        const double value = picture.at<std::uint8_t>(y, x);
        const double studio = 16 + expected * 219 / 255;
        const double full = (expected - 16) * 255 / 219;
        error = std::max(error, std::min({std::abs(value - expected), std::abs(value - studio),
                                          std::abs(value - full)}));
      }
    }
    EXPECT_LE(error, rgb ? 18 : 3) << gst_video_format_to_string(format);
  }
}

TEST(GreyPicture, ADamagedFrameIsAnError) {
  const GstVideoInfo info = info_of(GST_VIDEO_FORMAT_I420, 64, 48);
  GreyPicture grey(info);
  const BufferPtr small(gst_buffer_new_allocate(nullptr, info.size / 2, nullptr));
  EXPECT_THROW(grey.of(small.get()), FrameError);
}

TEST(GreyPicture, ExtremeShapesAreFine) {
  for (const auto &[width, height] : {std::pair{1u, 1u}, {1u, 4000u}, {4000u, 1u}, {321u, 2u}}) {
    const GstVideoInfo info = info_of(GST_VIDEO_FORMAT_RGB, width, height);
    GreyPicture grey(info);
    const BufferPtr buffer(gst_buffer_new_allocate(nullptr, info.size, nullptr));
    gst_buffer_memset(buffer.get(), 0, 200, info.size);
    const cv::Mat picture = grey.of(buffer.get());
    EXPECT_LE(std::max(picture.cols, picture.rows), GreyPicture::kMaxSize);
    EXPECT_EQ(picture.at<std::uint8_t>(0, 0), 200);
    EXPECT_EQ(picture.at<std::uint8_t>(picture.rows - 1, picture.cols - 1), 200);
  }
}

}  // namespace
}  // namespace moondream
