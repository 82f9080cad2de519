// The pixel oracle of redaction: for frames of every raw format, of random sizes, strides and
// contents, no sample inside of a region survives and no bit outside of it changes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "../overlay_frames.h"
#include "../redact_frames.h"
#include "redact_planes.h"

namespace moondream::redact {
namespace {

using test::between;
using test::PaddedFrame;
using test::Random;
using test::unpacked;
using test::writable_formats;

constexpr int kRounds = 60;

GstVideoInfo random_info(GstVideoFormat format, Random &random) {
  const bool fields = between(random, 0, 3) == 0;
  GstVideoInfo info;
  gst_video_info_set_interlaced_format(
      &info, format,
      fields ? GST_VIDEO_INTERLACE_MODE_INTERLEAVED : GST_VIDEO_INTERLACE_MODE_PROGRESSIVE,
      static_cast<guint>(between(random, 1, 65)), static_cast<guint>(between(random, 1, 65)));
  return info;
}

// Mostly inside, sometimes out of the frame, sometimes tiny.
Region random_region(const GstVideoInfo &info, Random &random) {
  const int width = GST_VIDEO_INFO_WIDTH(&info), height = GST_VIDEO_INFO_HEIGHT(&info);
  const int x = between(random, -10, width), y = between(random, -10, height);
  const int most = between(random, 0, 3) == 0 ? 3 : 70;
  return {x, y, x + between(random, 0, most), y + between(random, 0, most),
          between(random, 0, 1) ? Shape::kEllipse : Shape::kRectangle};
}

class RedactFormat : public testing::TestWithParam<GstVideoFormat> {
 protected:
  RedactFormat() : format_(gst_video_format_get_info(GetParam())) {
    for (guint c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format_); ++c) {
      columns_ = std::max(columns_, 1 << GST_VIDEO_FORMAT_INFO_W_SUB(format_, c));
      rows_ = std::max(rows_, 1 << GST_VIDEO_FORMAT_INFO_H_SUB(format_, c));
    }
  }

  int components() const { return static_cast<int>(GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format_)); }

  // test_redact_region.cpp shows that this is right.
  Footprint footprint(const GstVideoInfo &info, const Region &region) const {
    const int fields = GST_VIDEO_INFO_IS_INTERLACED(&info) && rows_ > 1 ? 2 : 1;
    return footprint_of(region, {columns_, rows_ * fields, GST_VIDEO_INFO_WIDTH(&info),
                                 GST_VIDEO_INFO_HEIGHT(&info)});
  }

  // Whether the footprint has pixel (x, y).
  bool covers(const GstVideoInfo &info, const Footprint &print, int x, int y) const {
    const int fields = GST_VIDEO_INFO_IS_INTERLACED(&info) && rows_ > 1 ? 2 : 1;
    const int row = y / (rows_ * fields) - print.y, column = x / columns_ - print.x;
    return row >= 0 && row < print.rows() && column >= print.spans[row].begin &&
           column < print.spans[row].end;
  }

  // Whether GStreamer gives a frame a row of chroma that only readers of fields look at, as it does
  // where the number of rows is odd. Not for all formats: readers of others read behind the plane.
  static bool has_spare_row(const GstVideoInfo &info) {
    const int rows = GST_VIDEO_INFO_COMP_HEIGHT(&info, 1);
    if (!GST_VIDEO_INFO_IS_INTERLACED(&info) || rows % 2 == 0) return false;
    const gsize next = GST_VIDEO_INFO_N_PLANES(&info) > 2 ? info.offset[2] : info.size;
    return GST_VIDEO_FORMAT_INFO_IS_TILED(info.finfo) ||
           info.offset[1] + static_cast<gsize>(info.stride[1]) * (rows + 1) <= next;
  }

  // Which bytes of a frame's memory belong to the footprint, of formats with plain samples: those
  // of its samples, and those between the samples of a group.
  std::vector<bool> bytes_of(PaddedFrame &frame, const Footprint &print) const {
    std::vector<bool> inside(frame.memory().size());
    for (guint c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format_); ++c) {
      const int w_sub = static_cast<int>(GST_VIDEO_FORMAT_INFO_W_SUB(format_, c));
      const int h_sub = static_cast<int>(GST_VIDEO_FORMAT_INFO_H_SUB(format_, c));
      int height = GST_VIDEO_INFO_COMP_HEIGHT(&frame.info(), c);
      if (h_sub > 0 && has_spare_row(frame.info())) ++height;
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < GST_VIDEO_INFO_COMP_WIDTH(&frame.info(), c); ++x) {
          if (!covers(frame.info(), print, x << w_sub, y << h_sub)) continue;
          // A whole pixel of packed formats, with bytes that belong to no component; and with the
          // second luma of a pair that is cut off by the frame's edge.
          const int stride = GST_VIDEO_FORMAT_INFO_PSTRIDE(format_, c);
          auto offset = static_cast<std::size_t>(GST_VIDEO_FORMAT_INFO_POFFSET(format_, c));
          if (offset % frame.sample_bytes() != 0) ++offset;  // see PaddedFrame::place()
          const std::size_t first = frame.place(c, x, y) - (stride > 2 ? offset : 0);
          const int count = stride > 2 ? stride : frame.sample_bytes();
          for (int i = 0; i < count; ++i) inside[first + i] = true;
        }
      }
    }
    return inside;
  }

  // Every pixel's components.
  struct Pixel {
    std::vector<std::uint32_t> components;
    int x, y;
  };
  std::vector<Pixel> pixels_of(PaddedFrame &frame) const {
    const int width = GST_VIDEO_INFO_WIDTH(&frame.info());
    const auto unpacked_pixels = unpacked(frame.get());
    std::vector<Pixel> pixels;
    for (int i = 0; i < static_cast<int>(unpacked_pixels.size() / 4); ++i) {
      Pixel pixel{{}, i % width, i / width};
      if (test::has_plain_samples(format_)) {
        // GStreamer 1.22 takes U for V at the end of an odd row of VYUY.
        for (guint c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format_); ++c)
          pixel.components.push_back(
              frame.sample(c, pixel.x >> GST_VIDEO_FORMAT_INFO_W_SUB(format_, c),
                           pixel.y >> GST_VIDEO_FORMAT_INFO_H_SUB(format_, c)));
      } else {
        pixel.components.assign(unpacked_pixels.begin() + 4 * i,
                                unpacked_pixels.begin() + 4 * i + 4);
        if (is_cut(frame.info(), pixel.x)) pixel.components.pop_back();
      }
      pixels.push_back(std::move(pixel));
    }
    return pixels;
  }

  // Whether the frame has no memory, or too little, for V of the last pixel of its rows.
  bool is_cut(const GstVideoInfo &info, int x) const {
    const int width = GST_VIDEO_INFO_WIDTH(&info);
    if (x != width - 1) return false;
    switch (GetParam()) {
      case GST_VIDEO_FORMAT_NV12_10LE32:
      case GST_VIDEO_FORMAT_NV16_10LE32:
        return width % 6 == 3;
      case GST_VIDEO_FORMAT_UYVP:
        return width % 2 == 1;
      default:
        return false;
    }
  }

  // The one property of all styles: what is outside stays.
  void expect_outside_untouched(PaddedFrame &frame, const std::vector<std::uint8_t> &before,
                                const std::vector<std::uint16_t> &pixels_before,
                                const Footprint &print, int round) const {
    if (test::has_plain_samples(format_)) {
      const std::vector<bool> inside = bytes_of(frame, print);
      for (std::size_t i = 0; i < before.size(); ++i) {
        if (!inside[i]) {
          ASSERT_EQ(frame.memory()[i], before[i])
              << "round " << round << ": byte " << i << " outside of the region has changed";
        }
      }
      return;
    }
    const auto after = unpacked(frame.get());
    const int width = GST_VIDEO_INFO_WIDTH(&frame.info());
    for (std::size_t i = 0; i < after.size(); ++i) {
      const int x = static_cast<int>(i / 4) % width, y = static_cast<int>(i / 4) / width;
      if (!covers(frame.info(), print, x, y) && !(i % 4 == 3 && is_cut(frame.info(), x))) {
        ASSERT_EQ(after[i], pixels_before[i])
            << "round " << round << ": pixel " << x << "," << y << " of " << describe(frame.info())
            << " has changed; " << print.x << "," << print.y << " " << print.columns << "x"
            << print.rows();
      }
    }
    // Nor the memory that belongs to no plane.
    std::vector<bool> planes(before.size());
    for (guint p = 0; p < GST_VIDEO_FORMAT_INFO_N_PLANES(format_); ++p) {
      const auto *data = static_cast<const std::uint8_t *>(frame.get()->data[p]);
      const auto begin = static_cast<std::size_t>(data - frame.memory().data());
      const gsize next = p + 1 < GST_VIDEO_FORMAT_INFO_N_PLANES(format_)
                             ? frame.info().offset[p + 1]
                             : frame.info().size;
      const auto stride = static_cast<std::size_t>(frame.get()->info.stride[p]);
      const auto usual = static_cast<std::size_t>(frame.info().stride[p]);
      const std::size_t size = GST_VIDEO_FORMAT_INFO_IS_TILED(format_) || usual == 0
                                   ? next - frame.info().offset[p]
                                   : (next - frame.info().offset[p]) / usual * stride;
      for (std::size_t i = begin; i < std::min(begin + size, planes.size()); ++i) planes[i] = true;
    }
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (!planes[i]) {
        ASSERT_EQ(frame.memory()[i], before[i]) << "round " << round << ": byte " << i;
      }
    }
  }

  const GstVideoFormatInfo *format_;
  int columns_ = 1, rows_ = 1;  // pixels that share a sample
};

std::string format_name(const testing::TestParamInfo<GstVideoFormat> &test) {
  return gst_video_format_to_string(test.param);
}

INSTANTIATE_TEST_SUITE_P(RedactPlanes, RedactFormat, testing::ValuesIn(writable_formats()),
                         format_name);

// Those of which something holds.
std::vector<GstVideoFormat> formats_with(bool (*holds)(const GstVideoFormatInfo *)) {
  std::vector<GstVideoFormat> formats = writable_formats();
  std::erase_if(formats,
                [&](GstVideoFormat format) { return !holds(gst_video_format_get_info(format)); });
  return formats;
}

class RowsThatShareChroma : public RedactFormat {};
INSTANTIATE_TEST_SUITE_P(RedactPlanes, RowsThatShareChroma,
                         testing::ValuesIn(formats_with([](const GstVideoFormatInfo *format) {
                           for (guint c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS(format); ++c)
                             if (GST_VIDEO_FORMAT_INFO_H_SUB(format, c) > 0) return true;
                           return false;
                         })),
                         format_name);

class PlainSamples : public RedactFormat {};
INSTANTIATE_TEST_SUITE_P(RedactPlanes, PlainSamples,
                         testing::ValuesIn(formats_with(test::has_plain_samples)), format_name);

// The converter replaces palettes, and indices have no mean.
class NoPalette : public RedactFormat {};
INSTANTIATE_TEST_SUITE_P(RedactPlanes, NoPalette,
                         testing::ValuesIn(formats_with([](const GstVideoFormatInfo *format) {
                           return !GST_VIDEO_FORMAT_INFO_HAS_PALETTE(format);
                         })),
                         format_name);

// ---- Solid -----------------------------------------------------------------------------------

// What is filled shows nothing of the picture: all of it is the same, whatever was there.
TEST_P(RedactFormat, AFilledRegionIsOneColourAndNothingElseChanges) {
  Random random(2);
  for (int round = 0; round < kRounds; ++round) {
    const GstVideoInfo info = random_info(GetParam(), random);
    const Region region = random_region(info, random);
    const auto rgb = static_cast<std::uint32_t>(random()) & 0xffffffu;
    PaddedFrame frame(info, random);
    const std::vector<std::uint8_t> before(frame.memory().begin(), frame.memory().end());
    const auto pixels_before = unpacked(frame.get());
    PlaneWriter writer(info);
    writer.fill(frame.get(), region, rgb);
    const Footprint print = footprint(info, region);
    ASSERT_NO_FATAL_FAILURE(expect_outside_untouched(frame, before, pixels_before, print, round));

    std::optional<std::vector<std::uint32_t>> colour;
    for (auto &[components, x, y] : pixels_of(frame)) {
      if (!covers(info, print, x, y)) continue;
      if (!colour) colour = components;
      components.resize(colour->size(), colour->back());  // of a cut pixel
      ASSERT_EQ(components, *colour) << "round " << round << ": pixel " << x << "," << y;
    }
  }
}

TEST_P(RedactFormat, ACoveredFrameHasNothingOfThePicture) {
  Random random(3);
  for (int round = 0; round < 20; ++round) {
    const GstVideoInfo info = random_info(GetParam(), random);
    PaddedFrame frame(info, random);
    PlaneWriter(info).cover(frame.get(), 0x20a0f0);
    auto pixels = pixels_of(frame);
    for (auto &[components, x, y] : pixels) {
      components.resize(pixels[0].components.size(), pixels[0].components.back());
      ASSERT_EQ(components, pixels[0].components)
          << "round " << round << ": pixel " << x << "," << y << " of " << describe(info);
    }
  }
}

// Of four rows of a frame in fields, the first and the third share chroma, and the others. Of the
// last two of six, some readers take a row of chroma for each.
TEST_P(RowsThatShareChroma, ACoveredFrameHasNothingOfThePictureForReadersOfFieldsEither) {
  Random random(4);
  for (const int height : {2, 4, 6, 8, 10, 16, 26, 34}) {
    GstVideoInfo info;
    gst_video_info_set_interlaced_format(&info, GetParam(), GST_VIDEO_INTERLACE_MODE_INTERLEAVED,
                                         24, static_cast<guint>(height));
    if (GST_VIDEO_INFO_COMP_HEIGHT(&info, 1) % 2 == 1 && !has_spare_row(info)) continue;
    PaddedFrame frame(info, random);
    PlaneWriter(info).cover(frame.get(), 0x20a0f0);
    for (const auto flags : {GST_VIDEO_PACK_FLAG_NONE, GST_VIDEO_PACK_FLAG_INTERLACED}) {
      std::vector<std::uint64_t> first(64), line(64);
      for (int y = 0; y < height; ++y) {
        for (auto *target : {&first, &line}) {
          if (y > 0 && target == &first) continue;
          format_->unpack_func(format_, flags, target->data(), frame.get()->data,
                               frame.get()->info.stride, 0, y, 24);
        }
        ASSERT_EQ(line, first) << "row " << y << " of " << height << ", flags " << flags;
      }
    }
  }
}

// A wrong matrix or range would show as another colour.
TEST_P(NoPalette, TheFillIsTheColourThatTheConverterMakes) {
  for (const std::uint32_t rgb : {0xe0402au, 0xffffffu, 0x000000u, 0x1050d0u}) {
    const auto ground = test::argb_frame(16, 16, [&](int, int) { return 0xff000000u | rgb; });
    test::Frame wanted(test::info_of(GetParam(), 16, 16)), filled(wanted.info());
    wanted.convert_from(ground.get());
    PlaneWriter(filled.info()).cover(filled.get(), rgb);
    const auto a = filled.unpacked(), b = wanted.unpacked();
    int bits = 8;
    for (int c = 0; c < std::min(3, components()); ++c)
      bits = std::min<int>(bits, GST_VIDEO_FORMAT_INFO_DEPTH(format_, c));
    // Two steps of the coarsest component: a half falls on the other side, and GStreamer truncates
    // what is rounded here.
    const int tolerance = 2 * 65535 / ((1 << bits) - 1);
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance) << i;
  }
}

// ---- Cells -----------------------------------------------------------------------------------

// `total` groups in as many equal parts of at least `least` as there is room for.
std::vector<int> plain_edges(int total, int least) {
  const int parts = std::max(1, total / least);
  std::vector<int> edges;
  for (int i = 0; i <= parts; ++i) edges.push_back(i * total / parts);
  return edges;
}

int part_of(const std::vector<int> &edges, int position) {
  int part = 0;
  while (position >= edges[part + 1]) ++part;
  return part;
}

// Every sample of a mosaic is the mean of its component over its cell, of all formats whose samples
// can be looked at one by one.
TEST_P(PlainSamples, AMosaicIsTheMeansOfItsCells) {
  Random random(5);
  for (int round = 0; round < kRounds; ++round) {
    const GstVideoInfo info = random_info(GetParam(), random);
    const Region region = random_region(info, random);
    const int side = between(random, 1, 20);
    PaddedFrame frame(info, random);
    const std::vector<std::uint8_t> before(frame.memory().begin(), frame.memory().end());
    const Footprint print = footprint(info, region);
    const int fields = GST_VIDEO_INFO_IS_INTERLACED(&info) && rows_ > 1 ? 2 : 1;
    const int rows = rows_ * fields;
    const auto x_edges = plain_edges(print.columns, (side + columns_ - 1) / columns_);
    const auto y_edges = plain_edges(print.rows(), (side + rows - 1) / rows);

    struct Expected {
      std::size_t place;
      int cell;
    };
    std::vector<std::vector<Expected>> expected(components());
    std::vector<std::vector<std::uint64_t>> sums(components()), counts(components());
    for (int c = 0; c < components(); ++c) {
      sums[c].resize(x_edges.size() * y_edges.size());
      counts[c].resize(sums[c].size());
      const int w_sub = static_cast<int>(GST_VIDEO_FORMAT_INFO_W_SUB(format_, c));
      const int h_sub = static_cast<int>(GST_VIDEO_FORMAT_INFO_H_SUB(format_, c));
      for (int y = 0; y < GST_VIDEO_INFO_COMP_HEIGHT(&info, c); ++y) {
        for (int x = 0; x < GST_VIDEO_INFO_COMP_WIDTH(&info, c); ++x) {
          const int column = (x << w_sub) / columns_ - print.x, row = (y << h_sub) / rows - print.y;
          if (column < 0 || row < 0 || column >= print.columns || row >= print.rows()) continue;
          const int cell =
              part_of(y_edges, row) * static_cast<int>(x_edges.size()) + part_of(x_edges, column);
          sums[c][cell] += frame.sample(c, x, y);
          ++counts[c][cell];
          if (covers(info, print, x << w_sub, y << h_sub))
            expected[c].push_back({frame.place(c, x, y), cell});
        }
      }
    }
    PlaneWriter(info).pixelate(frame.get(), region, side);
    for (int c = 0; c < components(); ++c) {
      const auto shift = GST_VIDEO_FORMAT_INFO_SHIFT(format_, c);
      const auto mask = ((1u << GST_VIDEO_FORMAT_INFO_DEPTH(format_, c)) - 1) << shift;
      for (const auto &[place, cell] : expected[c]) {
        const std::uint64_t count = counts[c][cell];
        // A mean of k + 1/2 is rounded up.
        const auto mean = static_cast<std::uint32_t>((2 * sums[c][cell] + count) / (2 * count));
        ASSERT_EQ(frame.sample_at(place), mean & mask)
            << "round " << round << ": component " << c << " at byte " << place << " of "
            << describe(info);
      }
    }
    ASSERT_NO_FATAL_FAILURE(expect_outside_untouched(frame, before, {}, print, round));
  }
}

// What is left of a mosaic or a blur is known by the means of its cells: two pictures with the same
// means give the same. So no pixel of either survives.
TEST_P(NoPalette, CellsOfTheSameMeansLookTheSame) {
  for (int round = 0; round < 5; ++round) {
    // Whole groups of every format, and cells of 8x8 pixels: four blocks of 4x4, which no chroma
    // sample is larger than. Of the other picture, the two on the left are on the right.
    const GstVideoInfo info = test::info_of(GetParam(), 48, 32);
    for (const bool blur : {false, true}) {
      test::Frame a(info), b(info);
      for (test::Frame *frame : {&a, &b}) {
        frame->convert_from(test::argb_frame(48, 32, [&](int x, int y) {
                              const auto column = static_cast<unsigned>(x / 4) ^ (frame == &b);
                              const auto row = static_cast<unsigned>(y / 4);
                              unsigned hash = (column * 12 + row) * 2654435761u + 977u * round;
                              hash = (hash ^ hash >> 15) * 2246822519u;
                              return 0xff000000u | (hash ^ hash >> 13);
                            }).get());
      }
      ASSERT_NE(unpacked(a.get()), unpacked(b.get()));
      PlaneWriter writer(info);
      for (test::Frame *frame : {&a, &b}) {
        if (blur)
          writer.blur(frame->get(), {0, 0, 48, 32}, 8);
        else
          writer.pixelate(frame->get(), {0, 0, 48, 32}, 8);
      }
      ASSERT_EQ(unpacked(a.get()), unpacked(b.get())) << (blur ? "blur" : "mosaic");
    }
  }
}

// Of formats that are written in place, and of those that are not.
TEST_P(RedactFormat, MosaicAndBlurChangeNothingOutside) {
  Random random(7);
  for (int round = 0; round < kRounds; ++round) {
    const GstVideoInfo info = random_info(GetParam(), random);
    const Region region = random_region(info, random);
    PaddedFrame frame(info, random);
    const std::vector<std::uint8_t> before(frame.memory().begin(), frame.memory().end());
    const auto pixels_before = unpacked(frame.get());
    PlaneWriter writer(info);
    if (between(random, 0, 1))
      writer.blur(frame.get(), region, between(random, 1, 20));
    else
      writer.pixelate(frame.get(), region, between(random, 1, 20));
    ASSERT_NO_FATAL_FAILURE(
        expect_outside_untouched(frame, before, pixels_before, footprint(info, region), round));
  }
}

// Smooth transitions: a step in the middle of a wide picture becomes a ramp that is as wide as the
// header says, and not steeper anywhere than a Gaussian of that deviation can be.
TEST(RedactPlanes, ABlurredStepIsAsFlatAsAGaussian) {
  constexpr int kWidth = 400, kSide = 10;
  constexpr double kDeviation = 1.3 * kSide;
  const GstVideoInfo info = test::info_of(GST_VIDEO_FORMAT_GRAY8, kWidth, 40);
  test::Frame frame(info);
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < kWidth; ++x)
      frame.plane(0)[y * frame.stride(0) + x] = x < kWidth / 2 ? 0 : 200;
  PlaneWriter(info).blur(frame.get(), {0, 0, kWidth, 40}, kSide);
  const guint8 *row = frame.plane(0) + 20 * frame.stride(0);
  for (int x = 0; x < kWidth; ++x) {
    const double wanted = 100 * (1 + std::erf((x + 0.5 - kWidth / 2) / kDeviation / std::sqrt(2)));
    // A smoothed polygon of four passes is not quite a Gaussian: a fiftieth of the step.
    ASSERT_NEAR(row[x], wanted, 4) << x;
  }
}

// Nothing from outside of the region comes in, and nothing of the inside stands out at its edge.
TEST(RedactPlanes, ABlurDoesNotDependOnWhatIsAroundIt) {
  Random random(8);
  const GstVideoInfo info = test::info_of(GST_VIDEO_FORMAT_NV12, 64, 64);
  test::Frame a(info), b(info);
  for (gsize i = 0; i < info.size; ++i)
    a.plane(0)[i] = b.plane(0)[i] = static_cast<guint8>(random());
  PlaneWriter writer(info);
  writer.fill(b.get(), {0, 0, 64, 20}, 0xffffff);
  for (test::Frame *frame : {&a, &b}) writer.blur(frame->get(), {10, 20, 50, 60}, 5);
  for (int y = 20; y < 60; ++y)
    for (int x = 10; x < 50; ++x)
      ASSERT_EQ(a.plane(0)[y * a.stride(0) + x], b.plane(0)[y * b.stride(0) + x]);
}

}  // namespace
}  // namespace moondream::redact
