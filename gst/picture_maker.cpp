#include "picture_maker.h"

#include <algorithm>
#include <utility>

namespace moondream {
namespace {

double aspect_of(const GstVideoInfo &info) {
  const double aspect =
      static_cast<double>(GST_VIDEO_INFO_PAR_N(&info)) / std::max(1, GST_VIDEO_INFO_PAR_D(&info));
  return aspect > 0 ? aspect : 1;
}

}  // namespace

PictureMaker::PictureMaker(const GstVideoInfo &caps)
    : stored_(stored_frame(caps)), pixel_aspect_(aspect_of(stored_.info)) {}

FrameView PictureMaker::view(GstBuffer *buffer, const Orientation &orientation) const {
  FrameView view = FrameView::whole(width(), height());
  view.pixel_aspect = pixel_aspect_;
  view.orientation = orientation;
  if (const GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta(buffer)) {
    const auto size = [](guint from, guint length, int of) {
      return static_cast<int>(std::min(guint64{from} + length, static_cast<guint64>(of)) -
                              std::min<guint64>(from, static_cast<guint64>(of)));
    };
    const PixelRect part{static_cast<int>(std::min(crop->x, static_cast<guint>(view.width))),
                         static_cast<int>(std::min(crop->y, static_cast<guint>(view.height))),
                         size(crop->x, crop->width, view.width),
                         size(crop->y, crop->height, view.height)};
    // One that leaves nothing says nothing.
    if (part.width > 0 && part.height > 0) view.part = part;
  }
  return view;
}

std::shared_ptr<const Image> PictureMaker::picture(GstBuffer *buffer, const FrameView &view) {
  std::unique_ptr<FrameConverter> converter;
  {
    const std::lock_guard guard(lock_);
    if (!idle_.empty()) {
      converter = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!converter) converter = std::make_unique<FrameConverter>(stored_.info, stored_.whole_height);
  std::shared_ptr<const Image> frame = converter->convert(buffer);
  {
    const std::lock_guard guard(lock_);
    idle_.push_back(std::move(converter));
  }
  return look(std::move(frame), view);
}

}  // namespace moondream
