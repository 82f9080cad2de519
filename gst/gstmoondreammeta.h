// What a buffer carries about its own picture: the struct that elements work with, and the metas
// that it travels in.
//
// Every frame that left moondreamfilter has a GstCustomMeta "moondream", the sentinel. It has no
// tags, so format conversion, scaling, cropping and encoding keep it. A consumer that finds none
// knows that nothing was analysed. Its structure:
//
//   status      string   fresh, held, predicted, pending, failed
//   sample-pts  guint64  PTS of the frame that the result is about, or GST_CLOCK_TIME_NONE
//   age         guint64  ns from that frame to this one, or GST_CLOCK_TIME_NONE
//   serial      guint64  number of the sample in its element, from 1; 0 = no sample yet
//   model       string   name of the model
//   objects     GstValueArray of "object": label, score, x_min, y_min, x_max, y_max (doubles),
//               id (guint), label_id (gint)
//   points      GstValueArray of "point": label, score, x, y (doubles), id (guint)
//   gaze        GstValueArray of "gaze": from-x, from-y, to-x, to-y
//   caption     string, absent if none was asked for
//   answers     GstValueArray of "answer": question, answer, and, if the model was to think first,
//               reasoning: a structure of text and grounding, a GstValueArray of "grounding":
//               start_idx, end_idx (guint64, code points of the text) and points, a GstValueArray
//               of "point": x, y
//
// An id says which objects and points of different frames are the same one: it stays with it from
// result to result, begins at 1 and is given once in a stream. 0 is none.
//
// Coordinates are fractions [0, 1] of the frame as it left the filter; (0, 0) is its top left
// corner. They are not adjusted when a later element crops or flips the picture; whether one did is
// told by a second meta, see coordinates.h.
//
// Objects are written for stock consumers too: a GstVideoRegionOfInterestMeta each, with the param
// structures "detection" and "object_id" (gint id, the object's, as trackers of DL Streamer write
// it). Its own id is the object's, or, where GStreamer has GstAnalyticsODMtd, that of the one with
// the same label on the same buffer, to which a GstAnalyticsTrackingMtd with the object's id is
// related.
//
// Labels are what the user asked for and may become GQuarks. Text of the model never does.
// Thread-safety: functions are safe on distinct buffers and structures.
#pragma once

#include <gst/gst.h>

#include <optional>
#include <string>
#include <vector>

#include "types.h"

namespace moondream {

enum class AnalysisStatus {
  kFresh,      // about this very frame
  kHeld,       // about an earlier frame, see age
  kPredicted,  // about an earlier frame, moved to where this one should show it
  kPending,    // nothing is known about this frame yet
  kFailed,     // the newest finished sample failed; nothing is known
};

struct AnalysisObject {
  std::string label;  // as asked for
  double score = 0;   // [0, 1]
  Box box;            // [0, 1], x_min < x_max, y_min < y_max
  guint id = 0;       // from 1, stays with the object from result to result; 0 = none
  gint label_id = 0;  // position of the label among those asked for
  // PTS of the first frame that a result showed it on. Not in the sentinel.
  GstClockTime first_seen = GST_CLOCK_TIME_NONE;
};

struct AnalysisPoint {
  std::string label;
  double score = 0;  // [0, 1]
  Point point;       // [0, 1]
  guint id = 0;      // as of objects; no object and point share one
};

struct AnalysisGaze {
  Point from, to;  // [0, 1]: eyes and what they look at
};

struct AnalysisAnswer {
  std::string question, answer;        // UTF-8
  std::optional<Reasoning> reasoning;  // UTF-8; points [0, 1]
};

struct FrameAnalysis {
  AnalysisStatus status = AnalysisStatus::kPending;
  GstClockTime sample_pts = GST_CLOCK_TIME_NONE;
  GstClockTime age = GST_CLOCK_TIME_NONE;
  guint64 serial = 0;
  std::string model;
  std::vector<AnalysisObject> objects;
  std::vector<AnalysisPoint> points;
  std::vector<AnalysisGaze> gaze;
  std::optional<std::string> caption;  // UTF-8
  std::vector<AnalysisAnswer> answers;
};

// "fresh", "held" and so on: the nick of a status. Static.
const char *to_string(AnalysisStatus status);

// Registers the sentinel, and what says whose its coordinates are, with GStreamer. Every function
// here that needs it calls it; elements that look for the meta by themselves call it first.
// Idempotent.
void register_analysis_meta();

// Puts `analysis` on a writable buffer that holds a frame of width x height pixels: the sentinel,
// in place of one that is there, with whose coordinates these are, and the metas of its objects
// beside those of other elements.
void attach_analysis(GstBuffer *buffer, const FrameAnalysis &analysis, int width, int height);

// Whether a sentinel is there, a malformed one, too.
bool has_analysis(GstBuffer *buffer);

// Reads the sentinel. Nothing if there is none or if it is malformed, so that a consumer which
// must not miss anything treats a damaged one as absent.
std::optional<FrameAnalysis> read_analysis(GstBuffer *buffer);

// The sentinel's fields as a new structure of that name, for bus messages. Transfer full.
GstStructure *to_structure(const FrameAnalysis &analysis, const char *name);

// The reverse; other fields are ignored. Nothing if it is malformed.
std::optional<FrameAnalysis> from_structure(const GstStructure *structure);

}  // namespace moondream
