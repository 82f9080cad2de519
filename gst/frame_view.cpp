#include "frame_view.h"

#include <gst/video/video.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "gstmoondreamerror.h"
#include "pointers.h"

namespace moondream {
namespace {

constexpr double kMaxStretch = 2;

// Of one side, whose pixels are `aspect` times as long as those of the other.
double stretch(double aspect) {
  return aspect >= 1 ? std::min(aspect, kMaxStretch) : aspect * std::min(1 / aspect, kMaxStretch);
}

int scaled(int side, double by) { return std::max(1, static_cast<int>(std::lround(side * by))); }

Image image_of(int width, int height) {
  Image image{.width = width, .height = height, .pixels = {}};
  image.pixels.resize(std::size_t{3} * static_cast<std::size_t>(width) *
                      static_cast<std::size_t>(height));
  return image;
}

const std::uint8_t *pixel(const Image &image, int x, int y) {
  return image.pixels.data() + std::ptrdiff_t{3} * (std::ptrdiff_t{y} * image.width + x);
}

Image cropped(const Image &frame, const PixelRect &part) {
  Image out = image_of(part.width, part.height);
  const std::size_t row = std::size_t{3} * static_cast<std::size_t>(part.width);
  for (int y = 0; y < part.height; ++y) {
    std::memcpy(out.pixels.data() + static_cast<std::size_t>(y) * row,
                pixel(frame, part.x, part.y + y), row);
  }
  return out;
}

// A frame over the pixels of `image`, which outlives it.
class RgbFrame {
 public:
  RgbFrame(const std::uint8_t *pixels, int width, int height) {
    gst_video_info_set_format(&info_, GST_VIDEO_FORMAT_RGB, static_cast<guint>(width),
                              static_cast<guint>(height));
    info_.stride[0] = 3 * width;
    info_.size = static_cast<gsize>(info_.stride[0]) * static_cast<gsize>(height);
    // Written only if it was made of what may be.
    buffer_.reset(gst_buffer_new_wrapped_full(static_cast<GstMemoryFlags>(0),
                                              const_cast<std::uint8_t *>(pixels), info_.size, 0,
                                              info_.size, nullptr, nullptr));
  }

  bool map(GstVideoFrame *frame, GstMapFlags flags) {
    return gst_video_frame_map(frame, &info_, buffer_.get(), flags);
  }
  const GstVideoInfo *info() const { return &info_; }

 private:
  GstVideoInfo info_;
  BufferPtr buffer_;
};

Image resized(const Image &image, int width, int height) {
  Image out = image_of(width, height);
  RgbFrame from(image.pixels.data(), image.width, image.height);
  RgbFrame to(out.pixels.data(), width, height);
  const ConverterPtr converter(gst_video_converter_new(
      from.info(), to.info(),
      gst_structure_new("moondream", GST_VIDEO_CONVERTER_OPT_RESAMPLER_METHOD,
                        GST_TYPE_VIDEO_RESAMPLER_METHOD, GST_VIDEO_RESAMPLER_METHOD_LINEAR,
                        GST_VIDEO_CONVERTER_OPT_DITHER_METHOD, GST_TYPE_VIDEO_DITHER_METHOD,
                        GST_VIDEO_DITHER_NONE, nullptr)));
  GstVideoFrame source, target;
  if (!converter || !from.map(&source, GST_MAP_READ)) {
    throw FrameError("A picture cannot be scaled to square pixels.");
  }
  if (!to.map(&target, GST_MAP_WRITE)) {
    gst_video_frame_unmap(&source);
    throw FrameError("A picture cannot be scaled to square pixels.");
  }
  gst_video_converter_frame(converter.get(), &source, &target);
  gst_video_frame_unmap(&target);
  gst_video_frame_unmap(&source);
  return out;
}

Image upright(const Image &image, const Orientation &orientation) {
  const int width = image.width, height = image.height;
  const bool lies = orientation.turns % 2 == 1;
  Image out = lies ? image_of(height, width) : image_of(width, height);
  std::uint8_t *target = out.pixels.data();
  for (int v = 0; v < out.height; ++v) {
    for (int u = 0; u < out.width; ++u, target += 3) {
      // Where this pixel was before it was turned.
      int x = u, y = v;
      if (orientation.turns == 1) x = v, y = height - 1 - u;
      if (orientation.turns == 2) x = width - 1 - u, y = height - 1 - v;
      if (orientation.turns == 3) x = width - 1 - v, y = u;
      if (orientation.mirrored) x = width - 1 - x;
      std::memcpy(target, pixel(image, x, y), 3);
    }
  }
  return out;
}

}  // namespace

std::optional<Orientation> orientation_of(const GstTagList *tags) {
  gchar *value = nullptr;
  if (!gst_tag_list_get_string(tags, GST_TAG_IMAGE_ORIENTATION, &value)) return std::nullopt;
  const TextPtr owned(value);
  std::string_view text(value);
  Orientation orientation;
  constexpr std::string_view kFlip = "flip-", kRotate = "rotate-";
  orientation.mirrored = text.starts_with(kFlip);
  if (orientation.mirrored) text.remove_prefix(kFlip.size());
  if (!text.starts_with(kRotate)) return std::nullopt;
  text.remove_prefix(kRotate.size());
  constexpr std::string_view kDegrees[] = {"0", "90", "180", "270"};
  const auto *degrees = std::find(std::begin(kDegrees), std::end(kDegrees), text);
  if (degrees == std::end(kDegrees)) return std::nullopt;
  orientation.turns = static_cast<int>(degrees - kDegrees);
  return orientation;
}

int FrameView::square_width() const { return scaled(part.width, stretch(pixel_aspect)); }

int FrameView::square_height() const { return scaled(part.height, stretch(1 / pixel_aspect)); }

Point FrameView::to_frame(const Point &point) const {
  Point in_part = point;
  for (int turn = 0; turn < orientation.turns; ++turn) in_part = {in_part.y, 1 - in_part.x};
  if (orientation.mirrored) in_part.x = 1 - in_part.x;
  const double w = width, h = height;
  return {part.x / w + in_part.x * (part.width / w), part.y / h + in_part.y * (part.height / h)};
}

Box FrameView::to_frame(const Box &box) const {
  const Point a = to_frame(Point{box.x_min, box.y_min}), b = to_frame(Point{box.x_max, box.y_max});
  return {std::min(a.x, b.x), std::min(a.y, b.y), std::max(a.x, b.x), std::max(a.y, b.y)};
}

std::shared_ptr<const Image> look(std::shared_ptr<const Image> frame, const FrameView &view) {
  if (view.part != PixelRect{0, 0, frame->width, frame->height}) {
    frame = std::make_shared<const Image>(cropped(*frame, view.part));
  }
  const int width = view.square_width(), height = view.square_height();
  if (frame->width != width || frame->height != height) {
    frame = std::make_shared<const Image>(resized(*frame, width, height));
  }
  if (view.orientation != Orientation{}) {
    frame = std::make_shared<const Image>(upright(*frame, view.orientation));
  }
  return frame;
}

}  // namespace moondream
