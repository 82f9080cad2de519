#include "gstmoondreamframe.h"

#include <string>

#include "gstmoondreamerror.h"
#include "mapped_frame.h"

namespace moondream {
FrameConverter::FrameConverter(const GstVideoInfo &info, int whole_height)
    : in_(info), whole_height_(whole_height) {
  const gsize width = static_cast<gsize>(GST_VIDEO_INFO_WIDTH(&info));
  const gsize height = static_cast<gsize>(GST_VIDEO_INFO_HEIGHT(&info));
  gst_video_info_set_interlaced_format(&out_, GST_VIDEO_FORMAT_RGB,
                                       GST_VIDEO_INFO_INTERLACE_MODE(&info),
                                       GST_VIDEO_INFO_WIDTH(&info), GST_VIDEO_INFO_HEIGHT(&info));
  out_.stride[0] = static_cast<gint>(3 * width);
  out_.size = 3 * width * height;
  // The converter refuses two infos that differ in these.
  out_.fps_n = info.fps_n;
  out_.fps_d = info.fps_d;
  // Without dithering equal frames give equal pictures wherever they come from.
  converter_.reset(gst_video_converter_new(
      &in_, &out_,
      gst_structure_new("moondream", GST_VIDEO_CONVERTER_OPT_DITHER_METHOD,
                        GST_TYPE_VIDEO_DITHER_METHOD, GST_VIDEO_DITHER_NONE, nullptr)));
  if (!converter_) throw FrameError("GStreamer cannot convert " + describe(info) + " to RGB.");
}

std::shared_ptr<const Image> FrameConverter::convert(GstBuffer *buffer) const {
  MappedFrame source(in_, buffer, GST_MAP_READ, whole_height_);
  auto image = std::make_shared<Image>();
  image->width = GST_VIDEO_INFO_WIDTH(&in_);
  image->height = GST_VIDEO_INFO_HEIGHT(&in_);
  image->pixels.resize(out_.size);
  const BufferPtr wrapped(gst_buffer_new_wrapped_full(static_cast<GstMemoryFlags>(0),
                                                      image->pixels.data(), out_.size, 0, out_.size,
                                                      nullptr, nullptr));
  {
    MappedFrame target(out_, wrapped.get(), GST_MAP_WRITE);
    gst_video_converter_frame(converter_.get(), source.get(), target.get());
  }
  return image;
}

}  // namespace moondream
