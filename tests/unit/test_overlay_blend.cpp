// Layers on frames of every raw format, checked against GstVideoConverter's own idea of a colour.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "../overlay_frames.h"
#include "overlay_blend.h"
#include "overlay_pixels.h"

namespace moondream::overlay {
namespace {

using test::argb_frame;
using test::Frame;
using test::info_of;
using test::writable_formats;

constexpr std::uint32_t kRed = 0xffe0402au;
constexpr std::uint32_t kGround = 0xff50a070u;

Layer solid(int x, int y, int width, int height, std::uint32_t premultiplied) {
  auto bitmap = std::make_shared<Bitmap>();
  bitmap->width = width;
  bitmap->height = height;
  bitmap->pixels.assign(static_cast<std::size_t>(width) * height, premultiplied);
  return {x, y, std::move(bitmap)};
}

std::uint32_t premultiplied(std::uint32_t argb) {
  const std::uint32_t alpha = argb >> 24;
  std::uint32_t out = alpha << 24;
  for (int shift = 0; shift < 24; shift += 8)
    out |= ((argb >> shift & 255) * alpha + 127) / 255 << shift;
  return out;
}

// Straight ARGB of `source`, straight too, over an opaque `ground`.
std::uint32_t mixed(std::uint32_t source, std::uint32_t ground) {
  const double alpha = (source >> 24) / 255.0;
  std::uint32_t out = 0xff000000u;
  for (int shift = 0; shift < 24; shift += 8)
    out |= static_cast<std::uint32_t>(
               std::lround((source >> shift & 255) * alpha + (ground >> shift & 255) * (1 - alpha)))
           << shift;
  return out;
}

// An opaque colour that has nothing to do with its neighbours'.
std::uint32_t noise(int x, int y) {
  auto hash = static_cast<std::uint32_t>(x) * 73856093u ^ static_cast<std::uint32_t>(y) * 19349663u;
  hash = (hash ^ hash >> 15) * 0x2c1b3c6du;
  hash = (hash ^ hash >> 12) * 0x297a2d39u;
  return 0xff000000u | (hash ^ hash >> 15);
}

void draw(std::span<const Layer> layers, Frame *frame) {
  BlendPlan(layers, frame->info()).blend(frame->get());
  ASSERT_TRUE(frame->guard_is_intact()) << "wrote behind the frame";
}

std::vector<GstVideoFormat> alpha_formats() {
  std::vector<GstVideoFormat> formats = writable_formats();
  // Not all are flagged as having it.
  std::erase_if(formats, [](GstVideoFormat format) {
    return GST_VIDEO_FORMAT_INFO_N_COMPONENTS(gst_video_format_get_info(format)) != 4;
  });
  return formats;
}

class EveryFormat : public testing::TestWithParam<GstVideoFormat> {
 protected:
  EveryFormat() : format_(gst_video_format_get_info(GetParam())) {}

  bool is_palette() const { return GST_VIDEO_FORMAT_INFO_HAS_PALETTE(format_); }
  // The width that is nearest to `width` and that the converter can write: its UYVP rows of odd
  // width reach behind the frame.
  int convertible(int width) const {
    return GetParam() == GST_VIDEO_FORMAT_UYVP ? (width + 1) / 2 * 2 : width;
  }
  int columns() const { return 1 << GST_VIDEO_FORMAT_INFO_W_SUB(format_, 1); }
  int rows() const { return 1 << GST_VIDEO_FORMAT_INFO_H_SUB(format_, 1); }

  // Two steps of the coarsest component, in 16 bits: one where a value falls on the other side of a
  // half, one where GStreamer truncates bits that this rounds, or the reverse.
  int tolerance() const {
    int bits = 16;
    for (unsigned c = 0; c < std::min(3u, GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format_)); ++c)
      bits = std::min<int>(bits, GST_VIDEO_FORMAT_INFO_DEPTH(format_, c));
    // Layers have eight bits.
    return 2 * (65535 / ((1 << std::min(bits, 8)) - 1));
  }

  const GstVideoFormatInfo *format_;
};

std::string format_name(const testing::TestParamInfo<GstVideoFormat> &test) {
  return gst_video_format_to_string(test.param);
}

INSTANTIATE_TEST_SUITE_P(BlendPlan, EveryFormat, testing::ValuesIn(writable_formats()),
                         format_name);

// Wrong matrices, ranges, byte orders or bit positions would show here.
TEST_P(EveryFormat, ShowsTheColourThatTheConverterShows) {
  if (is_palette()) GTEST_SKIP() << "the converter replaces the palette";
  constexpr int kHeight = 53;
  const int width = convertible(67);
  const auto ground = argb_frame(width, kHeight, [](int, int) { return kGround; });
  for (const std::uint32_t colour : {kRed, 0x80e0402au, 0xffffffffu, 0xff000000u, 0xb4000000u}) {
    Frame drawn(info_of(GetParam(), width, kHeight)), wanted(drawn.info());
    drawn.convert_from(ground.get());
    wanted.convert_from(
        argb_frame(width, kHeight, [&](int, int) { return mixed(colour, kGround); }).get());
    const Layer layer = solid(13, 9, 40, 31, premultiplied(colour));
    draw({&layer, 1}, &drawn);
    const auto a = drawn.unpacked(), b = wanted.unpacked();
    // What shares chroma with the outside is another test's.
    for (int y = 9 + rows(); y < 9 + 31 - rows(); ++y)
      for (int x = 13 + columns(); x < 13 + 40 - columns(); ++x)
        for (int c = 1; c < 4; ++c) {
          const std::size_t i = 4 * (y * width + x) + c;
          ASSERT_NEAR(a[i], b[i], tolerance()) << x << "," << y << " component " << c;
        }
  }
}

// A row or a group of pixels that is written back as something else would be a scratch in the
// picture.
TEST_P(EveryFormat, KeepsEveryPixelThatSharesNothingWithTheLayer) {
  for (const auto &[natural_width, height] : {std::pair{67, 53}, {64, 48}, {130, 36}}) {
    const int width = convertible(natural_width);
    const auto ground = argb_frame(width, height, noise);
    Frame frame(info_of(GetParam(), width, height));
    frame.convert_from(ground.get());
    const auto before = frame.unpacked();
    const int x0 = 13, y0 = 9, x1 = 53, y1 = 27;
    const Layer layer = solid(x0, y0, x1 - x0, y1 - y0, kRed);
    draw({&layer, 1}, &frame);
    const auto after = frame.unpacked();
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const std::size_t i = 4 * (static_cast<std::size_t>(y) * width + x);
        if (x >= x0 && x < x1 && y >= y0 && y < y1) continue;
        ASSERT_EQ(after[i + 1], before[i + 1]) << x << "," << y;
        const bool shares_chroma =
            x >= x0 / columns() * columns() && x < (x1 + columns() - 1) / columns() * columns() &&
            y >= y0 / rows() * rows() && y < (y1 + rows() - 1) / rows() * rows();
        if (shares_chroma) continue;
        ASSERT_EQ(after[i], before[i]) << "alpha at " << x << "," << y;
        ASSERT_EQ(after[i + 2], before[i + 2]) << x << "," << y;
        ASSERT_EQ(after[i + 3], before[i + 3]) << x << "," << y;
      }
    }
  }
}

// Sizes smaller than a chroma sample, a tile or a packed group: nothing outside of the frame's
// memory may be touched, and what the converter can write is drawn.
TEST_P(EveryFormat, DrawsOnTheSmallestFrames) {
  for (const auto mode :
       {GST_VIDEO_INTERLACE_MODE_PROGRESSIVE, GST_VIDEO_INTERLACE_MODE_INTERLEAVED}) {
    for (const auto &[natural_width, height] :
         {std::pair{1, 1}, {3, 5}, {2, 1}, {1, 7}, {5, 3}, {4, 2}, {2, 6}}) {
      const int width = convertible(natural_width);
      GstVideoInfo info;
      gst_video_info_set_interlaced_format(&info, GetParam(), mode, width, height);
      Frame drawn(info), wanted(info);
      const auto black = [](int, int) { return 0xff000000u; };
      const auto white = [](int, int) { return 0xffffffffu; };
      drawn.convert_from(argb_frame(width, height, black, mode).get());
      wanted.convert_from(argb_frame(width, height, white, mode).get());
      const Layer layer = solid(-2, -2, 20, 20, 0xffffffffu);
      draw({&layer, 1}, &drawn);
      const auto a = drawn.unpacked(), b = wanted.unpacked();
      for (std::size_t i = 1; i < a.size(); i += 4)
        ASSERT_NEAR(a[i], b[i], tolerance()) << width << "x" << height;
    }
  }
}

// Rows of formats that are drawn on in the middle begin at other addresses than those of the
// converter, which always begins at 0.
TEST_P(EveryFormat, DrawsTheSameAtEveryColumn) {
  constexpr int kWidth = 96, kHeight = 8;
  const auto ground = argb_frame(kWidth, kHeight, [](int, int) { return kGround; });
  for (int x0 = 0; x0 < 24; ++x0) {
    Frame frame(info_of(GetParam(), kWidth, kHeight));
    frame.convert_from(ground.get());
    const auto before = frame.unpacked();
    const Layer layer = solid(x0, 0, 9, kHeight, 0xffffffffu);
    draw({&layer, 1}, &frame);
    const auto after = frame.unpacked();
    for (int x = 0; x < kWidth; ++x)
      ASSERT_EQ(after[4 * x + 1] != before[4 * x + 1], x >= x0 && x < x0 + 9) << x0 << ": " << x;
  }
}

class EveryAlphaFormat : public EveryFormat {};

INSTANTIATE_TEST_SUITE_P(BlendPlan, EveryAlphaFormat, testing::ValuesIn(alpha_formats()),
                         format_name);

// Overlays on transparent video must be seen, and weigh as their own alpha says.
TEST_P(EveryAlphaFormat, CoversTransparentPixelsWithItsOwnColour) {
  constexpr int kSize = 32;
  Frame drawn(info_of(GetParam(), kSize, kSize)), wanted(drawn.info());
  drawn.convert_from(argb_frame(kSize, kSize, [](int, int) { return 0x0000ff00u; }).get());
  wanted.convert_from(argb_frame(kSize, kSize, [](int, int) { return 0x80e0402au; }).get());
  const Layer layer = solid(0, 0, kSize, kSize, premultiplied(0x80e0402au));
  draw({&layer, 1}, &drawn);
  const auto a = drawn.unpacked(), b = wanted.unpacked();
  // Half of the colour's precision is lost in premultiplying by a half; alpha of two bits has
  // steps of a third.
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], i % 4 == 0 ? 65535 / 3 : 2 * tolerance()) << i;
}

// UYVP rows of odd width are too short for their last pixel, so it stays as it is.
TEST(BlendPlan, StaysWithinShortRows) {
  for (const int width : {1, 3, 67}) {
    Frame frame(info_of(GST_VIDEO_FORMAT_UYVP, width, 5));
    const Layer layer = solid(-2, -2, 100, 100, 0xffffffffu);
    draw({&layer, 1}, &frame);
    // White is Y = 235 << 2 of ten bits, the ten that follow those of U.
    if (width > 1) {
      EXPECT_EQ((frame.plane(0)[1] & 63) << 4 | frame.plane(0)[2] >> 4, 235 << 2);
    }
  }
}

// One pixel of four that share a chroma sample gives it a quarter of its colour.
TEST(BlendPlan, ChromaIsTheMeanOfItsPixels) {
  Frame frame(info_of(GST_VIDEO_FORMAT_I420, 8, 8));
  frame.convert_from(argb_frame(8, 8, [](int, int) { return 0xff808080u; }).get());
  ASSERT_EQ(frame.plane(2)[0], 128);
  const Layer layer = solid(3, 3, 1, 1, 0xffff0000u);
  draw({&layer, 1}, &frame);
  const int v = frame.plane(2)[frame.stride(2) + 1];
  // Full red has V = 240 in BT.601 and BT.709; 128 + (240 - 128) / 4 = 156.
  EXPECT_EQ(v, 156);
  EXPECT_EQ(frame.plane(2)[0], 128);
}

// The rows of a field share chroma with rows of the same field: drawing on the even rows must not
// colour the odd ones.
TEST(BlendPlan, FieldsKeepTheirOwnChroma) {
  GstVideoInfo info;
  gst_video_info_set_interlaced_format(&info, GST_VIDEO_FORMAT_I420,
                                       GST_VIDEO_INTERLACE_MODE_INTERLEAVED, 8, 8);
  Frame frame(info);
  std::fill_n(frame.plane(0), 64, 126);
  std::fill_n(frame.plane(1), 16, 128);
  std::fill_n(frame.plane(2), 16, 128);
  std::vector<Layer> layers = {solid(0, 0, 8, 1, 0xffff0000u), solid(0, 2, 8, 1, 0xffff0000u)};
  draw(layers, &frame);
  EXPECT_EQ(frame.plane(2)[0], 240) << "rows 0 and 2, the first field";
  EXPECT_EQ(frame.plane(2)[frame.stride(2)], 128) << "rows 1 and 3, the second field";
  EXPECT_EQ(frame.plane(2)[2 * frame.stride(2)], 128) << "rows 4 and 6";
}

TEST(BlendPlan, LaterLayersAreOnTop) {
  Frame frame(info_of(GST_VIDEO_FORMAT_ARGB, 16, 16));
  frame.convert_from(argb_frame(16, 16, [](int, int) { return kGround; }).get());
  const std::vector<Layer> layers = {solid(0, 0, 10, 10, 0xffff0000u),
                                     solid(5, 5, 10, 10, premultiplied(0x800000ffu))};
  draw(layers, &frame);
  const auto pixel = [&](int x, int y) {
    return GST_READ_UINT32_BE(frame.plane(0) + y * frame.stride(0) + 4 * x);
  };
  EXPECT_EQ(pixel(2, 2), 0xffff0000u);
  EXPECT_EQ(pixel(7, 7), mixed(0x800000ffu, 0xffff0000u));
  EXPECT_EQ(pixel(15, 15), kGround);
}

TEST(BlendPlan, LayersOutsideOfTheFrameDrawNothing) {
  const GstVideoInfo info = info_of(GST_VIDEO_FORMAT_NV12, 16, 16);
  const std::vector<Layer> layers = {solid(-5, 0, 5, 5, kRed), solid(0, 16, 5, 5, kRed),
                                     solid(16, 0, 1000, 5, kRed), solid(3, -9, 5, 9, kRed)};
  EXPECT_TRUE(BlendPlan(layers, info).empty());
}

// Other elements' pixels depend on the palette.
TEST(BlendPlan, PaletteStaysAndTheNearestOfItsColoursIsDrawn) {
  Frame frame(info_of(GST_VIDEO_FORMAT_RGB8P, 8, 8));
  auto *palette = reinterpret_cast<std::uint32_t *>(frame.plane(1));
  for (int i = 0; i < 256; ++i) palette[i] = 0xff000000u | static_cast<unsigned>(i) * 0x010101u;
  palette[200] = palette[77];  // the same colour twice
  palette[9] = 0xffe04030u;
  std::fill_n(frame.plane(0), 8 * frame.stride(0), 200);
  const std::vector<std::uint32_t> palette_before(palette, palette + 256);
  const Layer layer = solid(2, 2, 3, 3, kRed);
  draw({&layer, 1}, &frame);
  EXPECT_TRUE(std::equal(palette_before.begin(), palette_before.end(), palette));
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 8; ++x)
      EXPECT_EQ(frame.plane(0)[y * frame.stride(0) + x],
                x >= 2 && x < 5 && y >= 2 && y < 5 ? 9 : 200);
}

// Frames come with strides and plane offsets of their own.
TEST(BlendPlan, FollowsTheStridesOfTheFrame) {
  const GstVideoInfo info = info_of(GST_VIDEO_FORMAT_I420, 20, 10);
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, 2000, nullptr);
  gst_buffer_memset(buffer, 0, 0xaa, 2000);
  gsize offsets[GST_VIDEO_MAX_PLANES] = {100, 700, 1200};
  gint strides[GST_VIDEO_MAX_PLANES] = {50, 30, 40};
  gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_FORMAT_I420, 20, 10,
                                 3, offsets, strides);
  GstVideoFrame frame;
  ASSERT_TRUE(gst_video_frame_map(&frame, &info, buffer, GST_MAP_READWRITE));
  const Layer layer = solid(0, 0, 20, 10, 0xff000000u);
  BlendPlan({&layer, 1}, info).blend(&frame);
  gst_video_frame_unmap(&frame);
  GstMapInfo map;
  ASSERT_TRUE(gst_buffer_map(buffer, &map, GST_MAP_READ));
  for (gsize i = 0; i < map.size; ++i) {
    int wanted = 0xaa;
    for (int p = 0; p < 3; ++p) {
      const gsize width = p ? 10 : 20, height = p ? 5 : 10, stride = strides[p];
      if (i >= offsets[p] && i < offsets[p] + height * stride && (i - offsets[p]) % stride < width)
        wanted = p ? 128 : 16;
    }
    ASSERT_EQ(map.data[i], wanted) << i;
  }
  gst_buffer_unmap(buffer, &map);
  gst_buffer_unref(buffer);
}

TEST(Pixels, MultiplyIsExact) {
  for (std::uint32_t a = 0; a < 256; ++a)
    for (std::uint32_t b = 0; b < 256; ++b)
      ASSERT_EQ(multiply<std::uint8_t>(a, b), (a * b + 127) / 255);
  // Every 16-bit value times those at the ends, where carries are, and some between.
  for (const std::uint32_t b : {0u, 1u, 2u, 255u, 256u, 32767u, 32768u, 40000u, 65534u, 65535u})
    for (std::uint64_t a = 0; a < 65536; ++a)
      ASSERT_EQ(multiply<std::uint16_t>(static_cast<std::uint32_t>(a), b), (a * b + 32767) / 65535);
}

}  // namespace
}  // namespace moondream::overlay
