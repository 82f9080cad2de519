#include "line_output.h"

#include <utility>

#include "gstmoondreamerror.h"

namespace moondream {
namespace {

// An element that may be gone. Thread-safety: safe.
class WeakElement {
 public:
  explicit WeakElement(GstElement *element) { g_weak_ref_init(&ref_, element); }
  ~WeakElement() { g_weak_ref_clear(&ref_); }
  WeakElement(const WeakElement &) = delete;
  WeakElement &operator=(const WeakElement &) = delete;

  void warn(const OutputError &error) {
    auto *element = static_cast<GstElement *>(g_weak_ref_get(&ref_));
    if (!element) return;
    post_warning(element, to_failure(error), "moondream::LineWriter");
    gst_object_unref(element);
  }

 private:
  GWeakRef ref_;  // locks itself
};

}  // namespace

std::shared_ptr<LineWriter> open_line_output(GstElement *element, const std::string &location,
                                             int fd, bool append, std::size_t max_bytes) {
  if (location.empty() == (fd < 0)) {
    throw OutputError(GST_RESOURCE_ERROR_SETTINGS,
                      "Lines need one output: either a location or a file descriptor.");
  }
  FileDescriptor output = fd >= 0 ? duplicate_lines(fd) : open_lines(location, append);
  const std::string name = fd >= 0           ? "file descriptor " + std::to_string(fd)
                           : location == "-" ? "standard output"
                                             : location;
  auto weak = std::make_shared<WeakElement>(element);
  return std::make_shared<LineWriter>(std::move(output), max_bytes, [weak, name](int error) {
    weak->warn(write_error(name, error));
  });
}

}  // namespace moondream
