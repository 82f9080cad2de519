// What a subtitle track of results says, and when.
#pragma once

#include <gst/gst.h>

#include <optional>
#include <string>

#include "gstmoondreammeta.h"

namespace moondream {

enum class TextContent { kAll, kCaption, kAnswers };

// What an analysis says in words: its caption and answers, one below the other, without the
// questions. Plain UTF-8: no control characters but single line ends between lines that are not
// empty, so that every subtitle format can hold it. Empty: it says nothing, or nothing is known
// (pending, failed).
std::string text_of(const FrameAnalysis &analysis, TextContent content);

// A stretch of a track in ns of its segment, start < end: a cue, or, if the text is empty, a gap.
// Gaps tell consumers how far the track is. They may lie in the time of a cue: no further one comes
// there.
struct TextSpan {
  GstClockTime start = 0, end = 0;
  std::string text;

  bool is_gap() const { return text.empty(); }
};

// A video frame and what it says.
struct TextFrame {
  GstClockTime pts = GST_CLOCK_TIME_NONE;
  GstClockTime duration = GST_CLOCK_TIME_NONE;
  GstClockTime period = 0;                     // between samples; 0: every frame is one
  GstClockTime max_age = GST_CLOCK_TIME_NONE;  // for which a result is shown
  const FrameAnalysis *analysis = nullptr;     // outlives the call
};

// Turns frames, in the order in which they leave, into a track that can be muxed and drawn as it
// grows: nothing is taken back, cues do not overlap, and after every frame the track is known up to
// the end of that frame.
//
// A result's first cue begins with the first frame that carries it, or where the cue before it
// ends, and lasts until the next is due: for a period, or, if results come slower than that, for as
// long as they take but no more than half a second. While the result is still shown then, the next
// cue continues it without a pause. No cue outlasts its result's max-age by more than a frame.
//
// Streams that play backwards, and frames without timestamp or outside of the segment, are silent.
// Thread-safety: one thread at a time.
class TextTrack {
 public:
  // A change of segment begins a new track. Only tracks in GST_FORMAT_TIME say anything.
  void set_segment(const GstSegment &segment);
  // For a flush or a new stream, until set_segment().
  void reset();

  // What `frame` adds to the track. Nothing: it is part of what was said before.
  std::optional<TextSpan> frame(const TextFrame &frame, TextContent content);

  // The video has no frames in this time. duration: may be GST_CLOCK_TIME_NONE, unknown.
  std::optional<TextSpan> gap(GstClockTime start, GstClockTime duration);

 private:
  GstClockTime duration_of(const TextFrame &frame) const;
  std::optional<TextSpan> cue(const TextFrame &frame, GstClockTime duration, std::string text);
  std::optional<TextSpan> silence(GstClockTime start, GstClockTime end);
  bool clip(GstClockTime &start, GstClockTime &end) const;

  GstSegment segment_ = undefined_segment();
  GstClockTime end_ = 0;       // of the last cue
  GstClockTime position_ = 0;  // up to which gaps were told, or of the last cue's start
  bool speaking_ = false;      // the last frame said something
  GstClockTime last_pts_ = GST_CLOCK_TIME_NONE;  // of the last frame
  guint64 serial_ = 0;                           // of the last result that was told
  GstClockTime first_ = GST_CLOCK_TIME_NONE;     // frame that said it first
  GstClockTime interval_ = 0;                    // from the one before to that

  static GstSegment undefined_segment();
};

}  // namespace moondream
