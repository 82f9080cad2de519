// A moondreamfilter with a mock model, a harness around it and a bus to listen to.
#pragma once

#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gstmoondreammeta.h"
#include "mock_backend.h"
#include "pointers.h"

namespace moondream {

struct ReleaseObject {
  void operator()(GstElement *element) const { gst_object_unref(element); }
  // Messages hold the element that holds the bus.
  void operator()(GstBus *bus) const {
    gst_bus_set_flushing(bus, TRUE);
    gst_object_unref(bus);
  }
  void operator()(GstHarness *harness) const { gst_harness_teardown(harness); }
  void operator()(GstMessage *message) const { gst_message_unref(message); }
  void operator()(GError *error) const { g_error_free(error); }
};
using ElementPtr = std::unique_ptr<GstElement, ReleaseObject>;
using BusPtr = std::unique_ptr<GstBus, ReleaseObject>;
using HarnessPtr = std::unique_ptr<GstHarness, ReleaseObject>;
using MessagePtr = std::unique_ptr<GstMessage, ReleaseObject>;
using ErrorPtr = std::unique_ptr<GError, ReleaseObject>;

// What flushing may take while a model hangs: it waits for nothing.
constexpr std::chrono::milliseconds kFlush(200);
// What stopping may take then. Half of it an engine gives its workers to end.
constexpr std::chrono::milliseconds kStop(200);
// No correct test waits this long.
constexpr GstClockTime kPatience = 20 * GST_SECOND;

constexpr const char *kSmallCaps = "video/x-raw,format=I420,width=64,height=48,framerate=30/1";

// Names and values as on a command line.
using Properties = std::vector<std::pair<const char *, const char *>>;

inline ElementPtr make_filter(const Properties &properties) {
  GstElement *element = gst_element_factory_make("moondreamfilter", nullptr);
  if (!element) throw std::runtime_error("the plugin is not where GST_PLUGIN_PATH says");
  gst_object_ref_sink(element);
  for (const auto &[name, value] : properties)
    gst_util_set_object_arg(G_OBJECT(element), name, value);
  return ElementPtr(element);
}

inline void set(GstElement *element, const char *name, const char *value) {
  gst_util_set_object_arg(G_OBJECT(element), name, value);
}

// A number of its property stats.
inline guint64 stat_of(GstElement *element, const char *name) {
  GstStructure *stats = nullptr;
  g_object_get(element, "stats", &stats, nullptr);
  guint64 value = G_MAXUINT64;
  EXPECT_TRUE(gst_structure_get_uint64(stats, name, &value)) << name;
  gst_structure_free(stats);
  return value;
}

// A new bus that hears the element.
inline BusPtr listen_to(GstElement *element) {
  GstBus *bus = gst_bus_new();
  gst_element_set_bus(element, bus);
  return BusPtr(bus);
}

// The next message of these types; null if it does not come in time.
inline MessagePtr wait_for(const BusPtr &bus, int types, GstClockTime patience = kPatience) {
  return MessagePtr(
      gst_bus_timed_pop_filtered(bus.get(), patience, static_cast<GstMessageType>(types)));
}

inline ErrorPtr error_of(GstMessage *message, std::string *debug = nullptr) {
  GError *error = nullptr;
  gchar *text = nullptr;
  if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_WARNING) {
    gst_message_parse_warning(message, &error, &text);
  } else {
    gst_message_parse_error(message, &error, &text);
  }
  if (debug) *debug = text ? text : "";
  g_free(text);
  return ErrorPtr(error);
}

class FilterHarness {
 public:
  explicit FilterHarness(const Properties &properties, const char *caps = kSmallCaps)
      : element_(make_filter(properties)),
        bus_(listen_to(element_.get())),
        harness_(gst_harness_new_with_element(element_.get(), "sink", "src")) {
    set_caps(caps);
  }

  GstElement *element() { return element_.get(); }
  GstHarness *get() { return harness_.get(); }
  const BusPtr &bus() { return bus_; }

  void set_caps(const char *caps) {
    gst_harness_set_src_caps_str(harness_.get(), caps);
    GstCaps *parsed = gst_caps_from_string(caps);
    gst_video_info_from_caps(&info_, parsed);
    gst_caps_unref(parsed);
  }

  // A frame with every byte of the same value, so that results can be told apart by the picture.
  BufferPtr frame(GstClockTime pts, guint8 value = 128) const {
    GstBuffer *buffer = gst_buffer_new_allocate(nullptr, info_.size, nullptr);
    gst_buffer_memset(buffer, 0, value, info_.size);
    GST_BUFFER_PTS(buffer) = pts;
    return BufferPtr(buffer);
  }

  GstFlowReturn push(GstClockTime pts, guint8 value = 128) { return push(frame(pts, value)); }
  GstFlowReturn push(BufferPtr buffer) {
    return gst_harness_push(harness_.get(), buffer.release());
  }
  bool push_event(GstEvent *event) { return gst_harness_push_event(harness_.get(), event); }

  // The next frame that came out; fails the test if none comes.
  BufferPtr pull() {
    BufferPtr buffer(gst_harness_pull(harness_.get()));
    EXPECT_TRUE(buffer) << "no frame came out";
    return buffer;
  }

  // What it carries.
  FrameAnalysis pull_analysis() { return analysis_of(pull()); }
  static FrameAnalysis analysis_of(const BufferPtr &buffer) {
    if (!buffer) return {};
    const std::optional<FrameAnalysis> analysis = read_analysis(buffer.get());
    EXPECT_TRUE(analysis) << "a frame without a readable sentinel";
    return analysis.value_or(FrameAnalysis{});
  }

  // Pushes a frame and takes it out again.
  FrameAnalysis pass(GstClockTime pts, guint8 value = 128) {
    EXPECT_EQ(push(pts, value), GST_FLOW_OK);
    return pull_analysis();
  }

  // Waits for the message of a finished sample.
  MessagePtr wait_for_result() { return wait_for(bus_, GST_MESSAGE_ELEMENT); }

  guint64 stat(const char *name) { return stat_of(element(), name); }

 private:
  GstVideoInfo info_;
  ElementPtr element_;
  BusPtr bus_;
  HarnessPtr harness_;  // stops the element, so it goes first
};

// Milliseconds that something takes.
template <typename Body>
std::chrono::milliseconds time_of(Body &&body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               start);
}

}  // namespace moondream
