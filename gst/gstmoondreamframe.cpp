#include "gstmoondreamframe.h"

#include <algorithm>
#include <string>

#include "gstmoondreamerror.h"

namespace moondream {
namespace {

std::string describe(const GstVideoInfo &info) {
  return std::string(gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(&info))) + " " +
         std::to_string(GST_VIDEO_INFO_WIDTH(&info)) + "x" +
         std::to_string(GST_VIDEO_INFO_HEIGHT(&info));
}

// A mapped frame.
class MappedFrame {
 public:
  MappedFrame(const GstVideoInfo &info, GstBuffer *buffer, GstMapFlags flags) {
    if (!gst_video_frame_map(&frame_, &info, buffer, flags)) {
      throw FrameError("A buffer of " + std::to_string(gst_buffer_get_size(buffer)) +
                       " bytes cannot be mapped as a " + describe(info) + " frame.");
    }
  }
  ~MappedFrame() { gst_video_frame_unmap(&frame_); }
  MappedFrame(const MappedFrame &) = delete;
  MappedFrame &operator=(const MappedFrame &) = delete;

  GstVideoFrame *get() { return &frame_; }

 private:
  GstVideoFrame frame_;
};

// Bytes that the picture takes in a plane, from its first to its last pixel.
gsize plane_bytes(const GstVideoInfo &format, const GstVideoFrame &frame, guint plane) {
  const GstVideoFormatInfo *info = format.finfo;
  const gsize stride = static_cast<gsize>(frame.info.stride[plane]);
  if (GST_VIDEO_FORMAT_INFO_HAS_PALETTE(info) && plane == 1) return 256 * 4;
  if (GST_VIDEO_FORMAT_INFO_IS_TILED(info)) {
    return static_cast<gsize>(GST_VIDEO_TILE_X_TILES(stride)) * GST_VIDEO_TILE_Y_TILES(stride) *
           info->tile_info[plane].size;
  }
  gsize rows = 0, row_bytes = 0;
  for (guint c = 0; c < GST_VIDEO_FORMAT_INFO_N_COMPONENTS(info); ++c) {
    if (GST_VIDEO_FORMAT_INFO_PLANE(info, c) != plane) continue;
    rows = std::max<gsize>(rows, GST_VIDEO_FORMAT_INFO_SCALE_HEIGHT(info, c, format.height));
    const gsize pixels = GST_VIDEO_FORMAT_INFO_SCALE_WIDTH(info, c, format.width);
    row_bytes = std::max<gsize>(row_bytes, pixels * GST_VIDEO_FORMAT_INFO_PSTRIDE(info, c));
  }
  // Formats that pack pixels across bytes have no pixel stride, only a usual row.
  if (row_bytes == 0) row_bytes = static_cast<gsize>(format.stride[plane]);
  return rows == 0 ? 0 : stride * (rows - 1) + std::min(row_bytes, stride);
}

// A GstVideoMeta says what is in a buffer, where the planes are and how wide their rows. Mapping
// believes it, so it is held against the format, and then against the memory that is really there.
void check_meta(const GstVideoInfo &format, GstBuffer *buffer) {
  const GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);
  if (!meta || (meta->format == GST_VIDEO_INFO_FORMAT(&format) &&
                meta->width == static_cast<guint>(GST_VIDEO_INFO_WIDTH(&format)) &&
                meta->height == static_cast<guint>(GST_VIDEO_INFO_HEIGHT(&format)))) {
    return;
  }
  throw FrameError("A buffer holds a " + std::string(gst_video_format_to_string(meta->format)) +
                   " " + std::to_string(meta->width) + "x" + std::to_string(meta->height) +
                   " frame where the caps say " + describe(format) + ".");
}

void check_planes(const GstVideoInfo &format, const GstVideoFrame &frame) {
  for (guint plane = 0; plane < GST_VIDEO_FRAME_N_PLANES(&frame); ++plane) {
    // Without a meta there is one map for all planes.
    const GstMapInfo &map = frame.map[frame.meta ? plane : 0];
    const auto *first = static_cast<const guint8 *>(frame.data[plane]);
    const gsize available = static_cast<gsize>(map.data + map.size - first);
    if (frame.info.stride[plane] < 0 || plane_bytes(format, frame, plane) > available) {
      throw FrameError("Plane " + std::to_string(plane) + " of a " + describe(format) +
                       " frame has " + std::to_string(available) + " bytes, too few for rows of " +
                       std::to_string(frame.info.stride[plane]) + ".");
    }
  }
}

}  // namespace

FrameConverter::FrameConverter(const GstVideoInfo &info) : in_(info) {
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
  check_meta(in_, buffer);
  MappedFrame source(in_, buffer, GST_MAP_READ);
  check_planes(in_, *source.get());
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
