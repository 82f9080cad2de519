// A pipeline from a launch line.
#pragma once

#include <string>

#include "filter_harness.h"

namespace moondream {

// Stops when it goes.
class Pipeline {
 public:
  explicit Pipeline(const std::string &description) {
    GError *error = nullptr;
    GstElement *element = gst_parse_launch(description.c_str(), &error);
    EXPECT_FALSE(error) << error->message;
    gst_object_ref_sink(element);
    element_.reset(element);
    bus_.reset(gst_element_get_bus(element));
  }
  ~Pipeline() { gst_element_set_state(element_.get(), GST_STATE_NULL); }

  GstElement *get() const { return element_.get(); }
  ElementPtr child(const char *name) const {
    return ElementPtr(gst_bin_get_by_name(GST_BIN(element_.get()), name));
  }
  const BusPtr &bus() const { return bus_; }
  void play() { gst_element_set_state(element_.get(), GST_STATE_PLAYING); }

  // The samples whose messages came before EOS; an error fails the test.
  int results_until_eos() {
    int results = 0;
    for (;;) {
      const MessagePtr message =
          wait_for(bus_, GST_MESSAGE_ELEMENT | GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
      EXPECT_TRUE(message) << "no EOS";
      if (!message || GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_EOS) return results;
      if (GST_MESSAGE_TYPE(message.get()) == GST_MESSAGE_ERROR) {
        ADD_FAILURE() << error_of(message.get())->message;
        return results;
      }
      results += gst_message_has_name(message.get(), "moondream-result");
    }
  }

 private:
  ElementPtr element_;
  BusPtr bus_;
};

}  // namespace moondream
