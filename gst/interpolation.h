// What a frame between two results shows.
#pragma once

#include <gst/gst.h>

#include "gstmoondreammeta.h"

namespace moondream {

// Moves what both results show, by ids, in a straight line: to `before` at fraction 0 and to
// `after` at fraction 1, sizes too, scores and labels as in `before`. What only one of them shows
// is there all the time, where that one has it: something appeared or went away between the two,
// nobody knows when, and whoever covers objects must not uncover one too early or too late. Gazes
// have no ids: as many as there are in both are matched by where they begin, nearest first, if that
// is within a tenth of the frame. Caption, answers, times and serial are those of `before`.
//
// The status is predicted. Both must have succeeded; `fraction` is in [0, 1].
// Thread-safety: safe.
FrameAnalysis interpolated(const FrameAnalysis &before, const FrameAnalysis &after,
                           double fraction);

}  // namespace moondream
