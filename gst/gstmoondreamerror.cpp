#include "gstmoondreamerror.h"

#include <new>

#include "pointers.h"

namespace moondream {
namespace {

struct BusCode {
  GQuark domain;
  gint code;
};

BusCode bus_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kSettings:
      return {GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS};
    case ErrorKind::kNotFound:
    case ErrorKind::kNoDevice:
      return {GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND};
    case ErrorKind::kRead:
      return {GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ};
    case ErrorKind::kNoMemory:
      return {GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT};
    case ErrorKind::kMismatch:
      return {GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SETTINGS};
    case ErrorKind::kCancelled:
      return {GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_SHUTDOWN};
    case ErrorKind::kFailed:
      break;
  }
  return {GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_FAILED};
}

// File names and other people's exceptions need not be UTF-8; bus messages must.
std::string valid_text(const char *text) { return TextPtr(g_utf8_make_valid(text, -1)).get(); }

void post(GstElement *element, GstMessageType type, const Failure &failure, const char *call) {
  gst_element_message_full(element, type, failure.domain, failure.code,
                           g_strdup(failure.text.c_str()),
                           g_strdup_printf("%s failed: %s", call, failure.text.c_str()), __FILE__,
                           GST_FUNCTION, __LINE__);
}

}  // namespace

Failure to_failure(const Error &error) {
  const auto [domain, code] = bus_code(error.kind());
  return {domain, code, valid_text(error.what()), error.kind() == ErrorKind::kCancelled};
}

Failure to_failure(const OutputError &error) {
  return {GST_RESOURCE_ERROR, error.code(), valid_text(error.what()), false};
}

Failure current_failure() {
  try {
    throw;
  } catch (const Error &error) {
    return to_failure(error);
  } catch (const FrameError &error) {
    return {GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, valid_text(error.what()), false};
  } catch (const OutputError &error) {
    return to_failure(error);
  } catch (const std::bad_alloc &) {
    return to_failure(Error(ErrorKind::kNoMemory, "Out of memory."));
  } catch (const std::exception &error) {
    return to_failure(Error(ErrorKind::kFailed, error.what()));
  } catch (...) {
    return to_failure(Error(ErrorKind::kFailed, "Unknown exception."));
  }
}

void post_error(GstElement *element, const Failure &failure, const char *call) {
  post(element, GST_MESSAGE_ERROR, failure, call);
}

void post_warning(GstElement *element, const Failure &failure, const char *call) {
  post(element, GST_MESSAGE_WARNING, failure, call);
}

}  // namespace moondream
