// The one place where exceptions become bus messages.
//
//   kSettings    a property is missing, out of range or conflicts   RESOURCE / SETTINGS
//   kNotFound    a file is absent                                   RESOURCE / NOT_FOUND
//   kRead        a file is unreadable or corrupt                    RESOURCE / READ
//   kNoDevice    the device does not exist here                     RESOURCE / NOT_FOUND
//   kNoMemory    memory ran out, std::bad_alloc                     RESOURCE / NO_SPACE_LEFT
//   kMismatch    weights, configuration, tokenizer do not fit       LIBRARY / SETTINGS
//   kCancelled   the caller did not want it any more                LIBRARY / SHUTDOWN
//   kFailed      inference failed, and every other exception        LIBRARY / FAILED
//   FrameError   a frame cannot be mapped or converted              STREAM / FORMAT
//   OutputError  a file or pipe cannot be opened or written         RESOURCE / as it says
//
// Thread-safety: safe. Nothing here may be called with a lock held: posting takes the element's.
#pragma once

#include <gst/gst.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "types.h"

namespace moondream {

// A frame's memory or format is not what its caps say.
class FrameError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A file, pipe or socket cannot be opened or written.
class OutputError : public std::runtime_error {
 public:
  OutputError(GstResourceError code, const std::string &text)
      : std::runtime_error(text), code_(code) {}
  GstResourceError code() const noexcept { return code_; }

 private:
  GstResourceError code_;
};

// An exception, ready for the bus.
struct Failure {
  GQuark domain;
  gint code;
  std::string text;  // UTF-8, for a person
  bool cancelled;    // not worth a message: somebody asked for it
};

Failure to_failure(const Error &error);
Failure to_failure(const OutputError &error);

// The exception that is being handled. Only inside a catch block.
Failure current_failure();

// Post `failure` as an error, which ends the stream, or as a warning. `call` is what failed, for
// the message's debug text.
void post_error(GstElement *element, const Failure &failure, const char *call);
void post_warning(GstElement *element, const Failure &failure, const char *call);

// Runs `body` where C code calls: no exception gets through. One that is thrown is posted, unless
// it is a cancellation, and `on_failure` returned.
template <typename R, typename Body>
R guarded(GstElement *element, const char *call, R on_failure, Body &&body) noexcept {
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    const Failure failure = current_failure();
    if (!failure.cancelled) post_error(element, failure, call);
    return on_failure;
  }
}

}  // namespace moondream
