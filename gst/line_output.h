// What an element writes its records to.
#pragma once

#include <gst/gst.h>

#include <cstddef>
#include <memory>
#include <string>

#include "line_writer.h"

namespace moondream {

// Opens `location` ("-" is standard output) or, if it is empty, duplicates the descriptor `fd`.
// Writes that fail are warnings on the bus of `element`, which the writer may outlive.
// `append` and `max_bytes` are as in open_lines() and LineWriter, and so is what is thrown; neither
// or both of location and fd are an OutputError (RESOURCE / SETTINGS).
// Thread-safety: safe. Must not be called with a lock held.
std::shared_ptr<LineWriter> open_line_output(GstElement *element, const std::string &location,
                                             int fd, bool append, std::size_t max_bytes);

}  // namespace moondream
