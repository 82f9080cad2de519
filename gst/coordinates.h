// Whether coordinates that a buffer carries are still those of its picture.
//
// The sentinel survives whatever is done to a picture. Beside it moondreamfilter leaves a second
// GstCustomMeta, "moondream-coordinates", whose tags say that it is about the size and orientation
// of the picture. So an element that crops, flips or pads takes it off, as GStreamer wants of every
// element that does not know such a meta; a scaler asks it to follow, and the copies of a buffer,
// encoders and decoders keep it. Its structure:
//
//   width, height  gint     of the picture as it is now, pixels
//   drift-x, -y    gdouble  how far, in fractions of the picture, what scalers did may have carried
//                           what a coordinate is about
//
// A scaler may keep the aspect of the picture by adding borders, and does not tell. So it is
// followed only where there is no aspect to keep, but for a pixel.
//
// Thread-safety: functions are safe on distinct buffers.
#pragma once

#include <gst/gst.h>

#include <optional>

#include "types.h"

namespace moondream {

// Fractions of the picture, >= 0; 0 if nothing was scaled.
struct Drift {
  double x = 0, y = 0;

  bool operator==(const Drift &) const = default;
};

// Registers the meta. Idempotent.
void register_coordinates_meta();

// Says of a writable buffer that the coordinates it carries are of its picture, of width x height
// pixels; in place of what was said before.
void attach_coordinates(GstBuffer *buffer, int width, int height);

// How far coordinates on `buffer` may be off, which holds a picture of width x height pixels now.
// Nothing if they may be those of another one.
std::optional<Drift> drift_of(GstBuffer *buffer, int width, int height);

// `box` with room for what may have drifted; it may reach out of the frame.
Box widened(const Box &box, const Drift &drift);

}  // namespace moondream
