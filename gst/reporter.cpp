#include "reporter.h"

#include <utility>

#include "gstmoondreamerror.h"

namespace moondream {
namespace {

GstMessage *new_result_message(GstElement *element, const Sample &sample) {
  GstStructure *structure = to_structure(sample.analysis, "moondream-result");
  gst_structure_set(structure, "pts", G_TYPE_UINT64, sample.frame.pts, "running-time",
                    G_TYPE_UINT64, sample.frame.running_time, "stream-time", G_TYPE_UINT64,
                    sample.frame.stream_time, "width", G_TYPE_INT, sample.frame.view.width,
                    "height", G_TYPE_INT, sample.frame.view.height, nullptr);
  return gst_message_new_element(GST_OBJECT(element), structure);
}

}  // namespace

Reporter::Reporter(GstElement *element, std::shared_ptr<const SharedSettings> settings)
    : settings_(std::move(settings)) {
  g_weak_ref_init(&element_, element);
}

Reporter::~Reporter() { g_weak_ref_clear(&element_); }

void Reporter::report(const Sample &sample) {
  if (sample.failure && sample.failure->cancelled) return;
  auto *element = static_cast<GstElement *>(g_weak_ref_get(&element_));
  if (!element) return;
  const auto settings = settings_->get();
  constexpr const char *kCall = "moondream::Stream::submit()";
  if (sample.failure && settings->on_error == OnError::kError) {
    // One error ends the stream; those of other samples in flight would only repeat it.
    if (!failed_.exchange(true)) post_error(element, *sample.failure, kCall);
  } else {
    bool warn = false;
    {
      const std::lock_guard guard(lock_);
      const std::string text = sample.failure ? sample.failure->text : std::string();
      warn = !text.empty() && text != warned_;
      warned_ = text;
    }
    if (warn) post_warning(element, *sample.failure, kCall);
  }
  if (settings->post_messages) {
    gst_element_post_message(element, new_result_message(element, sample));
  }
  gst_object_unref(element);
}

void Reporter::reset() { failed_.store(false); }

}  // namespace moondream
