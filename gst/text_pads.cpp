#include "text_pads.h"

#include <gst/video/video.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "text_queue.h"

namespace moondream {
namespace {

// From the frame rate, if it is constant.
GstClockTime frame_duration(GstEvent *caps_event) {
  GstCaps *caps;
  gst_event_parse_caps(caps_event, &caps);
  GstVideoInfo info;
  if (!gst_video_info_from_caps(&info, caps) || info.fps_n <= 0) return GST_CLOCK_TIME_NONE;
  return gst_util_uint64_scale_int(GST_SECOND, info.fps_d, info.fps_n);
}

GstClockTime period_of(const SampleRate &rate) {
  if (rate.numerator == 0) return 0;
  return gst_util_uint64_scale_int(GST_SECOND, rate.denominator, rate.numerator);
}

EventPtr another(GstEvent *event) { return EventPtr(gst_event_ref(event)); }

}  // namespace

// ---- Pads ------------------------------------------------------------------------------------

std::string TextPads::name(const gchar *wished) {
  guint number = 0;
  const bool numbered = wished && std::sscanf(wished, "text_%u", &number) == 1;
  const std::lock_guard guard(lock_);
  if (!wished) number = next_;
  if (!wished || numbered) next_ = std::max(next_, number + 1);
  return wished ? wished : "text_" + std::to_string(number);
}

bool TextPads::add(GstMoondreamTextPad *pad) {
  const PadPtr added(GST_MOONDREAM_TEXT_PAD(gst_object_ref_sink(pad)), gst_object_unref);
  if (running_ || GST_STATE(element_) > GST_STATE_READY) gst_pad_set_active(GST_PAD(pad), TRUE);
  {
    const std::lock_guard guard(lock_);
    pads_.push_back(added);
    for (const EventPtr *event : {&stream_start_, &segment_, &eos_}) {
      if (*event) gst_moondream_text_pad_event(pad, event->get());
    }
  }
  if (gst_element_add_pad(element_, GST_PAD(pad))) return true;
  release(pad);
  return false;
}

void TextPads::release(GstMoondreamTextPad *pad) {
  PadPtr released;
  {
    const std::lock_guard guard(lock_);
    const auto found = std::find_if(pads_.begin(), pads_.end(),
                                    [pad](const PadPtr &other) { return other.get() == pad; });
    if (found == pads_.end()) return;
    released = std::move(*found);
    pads_.erase(found);
  }
  gst_moondream_text_pad_finish(pad);
  if (GST_OBJECT_PARENT(pad) == GST_OBJECT(element_))
    gst_element_remove_pad(element_, GST_PAD(pad));
}

GstMoondreamTextPad *TextPads::at(guint position) const {
  const std::lock_guard guard(lock_);
  if (position >= pads_.size()) return nullptr;
  return GST_MOONDREAM_TEXT_PAD(gst_object_ref(pads_[position].get()));
}

guint TextPads::count() const {
  const std::lock_guard guard(lock_);
  return static_cast<guint>(pads_.size());
}

std::vector<TextPads::PadPtr> TextPads::copy() const {
  const std::lock_guard guard(lock_);
  return pads_;
}

// ---- What the video does ---------------------------------------------------------------------

void TextPads::event(GstEvent *event) {
  const std::lock_guard guard(lock_);
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_STREAM_START:
      stream_start_ = another(event);
      eos_.reset();
      break;
    case GST_EVENT_CAPS:
      duration_ = frame_duration(event);
      break;
    case GST_EVENT_SEGMENT:
      segment_ = another(event);
      break;
    case GST_EVENT_EOS:
      eos_ = another(event);
      break;
    default:
      break;
  }
  for (const PadPtr &pad : pads_) gst_moondream_text_pad_event(pad.get(), event);
}

void TextPads::frame(GstBuffer *buffer, const FilterSettings &settings,
                     const FrameAnalysis &analysis) {
  guint dropped = 0;
  {
    const std::lock_guard guard(lock_);
    if (pads_.empty()) return;
    const TextFrame frame{
        .pts = GST_BUFFER_PTS(buffer),
        .duration = GST_BUFFER_DURATION_IS_VALID(buffer) ? GST_BUFFER_DURATION(buffer) : duration_,
        .period = period_of(settings.sample_rate),
        .max_age = settings.max_age,
        .analysis = &analysis};
    for (const PadPtr &pad : pads_) dropped += gst_moondream_text_pad_frame(pad.get(), frame);
  }
  if (dropped == 0) return;
  if (warned_.exchange(true)) return;
  GST_ELEMENT_WARNING(element_, STREAM, FAILED,
                      ("Texts are lost: what is linked to a text pad does not take them."),
                      ("a queue of %" G_GSIZE_FORMAT " items was full", TextQueue::kMaxItems));
}

void TextPads::flush_start(GstEvent *event) {
  for (const PadPtr &pad : copy()) {
    gst_moondream_text_pad_flush_start(pad.get(), gst_event_ref(event));
  }
}

void TextPads::flush_stop(GstEvent *event) {
  for (const PadPtr &pad : copy()) {
    gst_moondream_text_pad_flush_stop(pad.get(), gst_event_ref(event));
  }
  const std::lock_guard guard(lock_);
  segment_.reset();
  eos_.reset();
}

void TextPads::start() {
  warned_ = false;
  running_ = true;
}

void TextPads::stop() {
  running_ = false;
  const std::lock_guard guard(lock_);
  stream_start_.reset();
  segment_.reset();
  eos_.reset();
  duration_ = GST_CLOCK_TIME_NONE;
}

}  // namespace moondream
