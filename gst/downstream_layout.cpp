#include "downstream_layout.h"

#include <new>

#include "mapped_frame.h"

namespace moondream {
namespace {

bool is_usual(const GstVideoMeta &meta, const GstVideoInfo &info) {
  for (guint plane = 0; plane < GST_VIDEO_INFO_N_PLANES(&info); ++plane) {
    if (meta.offset[plane] != GST_VIDEO_INFO_PLANE_OFFSET(&info, plane) ||
        meta.stride[plane] != GST_VIDEO_INFO_PLANE_STRIDE(&info, plane)) {
      return false;
    }
  }
  return true;
}

}  // namespace

void DownstreamLayout::propose(GstQuery *query) {
  refuse_crop_meta(query);
  reads_meta_ = gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
  if (!reads_meta_) gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
}

BufferPtr DownstreamLayout::lay_out(BufferPtr frame, const PictureMaker &frames) const {
  if (reads_meta_) return frame;
  const GstVideoMeta *meta = gst_buffer_get_video_meta(frame.get());
  if (!meta || is_usual(*meta, frames.stored().info)) return frame;
  const GstVideoInfo &info = frames.stored().info;
  BufferPtr copy(gst_buffer_new_allocate(nullptr, GST_VIDEO_INFO_SIZE(&info), nullptr));
  if (!copy) throw std::bad_alloc();
  gst_buffer_copy_into(
      copy.get(), frame.get(),
      static_cast<GstBufferCopyFlags>(GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS |
                                      GST_BUFFER_COPY_META),
      0, static_cast<gsize>(-1));
  while (GstVideoMeta *copied = gst_buffer_get_video_meta(copy.get())) {
    gst_buffer_remove_meta(copy.get(), &copied->meta);
  }
  MappedFrame from(frames.stored(), frame.get(), GST_MAP_READ);
  MappedFrame to(info, copy.get(), GST_MAP_WRITE);
  gst_video_frame_copy(to.get(), from.get());
  return copy;
}

}  // namespace moondream
