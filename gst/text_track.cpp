#include "text_track.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace moondream {
namespace {

// How long a text may stand when a better one could be there at any moment.
constexpr GstClockTime kPatience = GST_SECOND / 2;
// Of a frame about which nothing is known.
constexpr GstClockTime kUsualDuration = GST_SECOND / 25;
// MP4's timed text counts bytes in 16 bits.
constexpr std::size_t kMaxBytes = 65535;

GstClockTime sum(GstClockTime a, GstClockTime b) {
  return a > G_MAXUINT64 - b ? G_MAXUINT64 : a + b;
}

// Appends the lines of `text`, without the space around them and without empty ones.
void append_lines(std::string &out, std::string_view text) {
  bool begins_line = true;
  std::size_t spaces = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      begins_line = true;
    } else if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') {
      ++spaces;
      continue;
    } else {
      if (begins_line) {
        if (!out.empty()) out += '\n';
      } else {
        out.append(spaces, ' ');
      }
      out += c;
      begins_line = false;
    }
    spaces = 0;
  }
}

// Not in the middle of a character.
void shorten(std::string &text, std::size_t bytes) {
  if (text.size() <= bytes) return;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  text.resize(bytes);
}

}  // namespace

std::string text_of(const FrameAnalysis &analysis, TextContent content) {
  std::string text;
  if (analysis.status == AnalysisStatus::kPending || analysis.status == AnalysisStatus::kFailed) {
    return text;
  }
  if (content != TextContent::kAnswers && analysis.caption) append_lines(text, *analysis.caption);
  if (content != TextContent::kCaption) {
    for (const AnalysisAnswer &answer : analysis.answers) append_lines(text, answer.answer);
  }
  shorten(text, kMaxBytes);
  return text;
}

GstSegment TextTrack::undefined_segment() {
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_UNDEFINED);
  return segment;
}

void TextTrack::reset() { *this = TextTrack(); }

void TextTrack::set_segment(const GstSegment &segment) {
  if (gst_segment_is_equal(&segment_, &segment)) return;
  reset();
  segment_ = segment;
}

std::optional<TextSpan> TextTrack::frame(const TextFrame &frame, TextContent content) {
  if (segment_.format != GST_FORMAT_TIME || !GST_CLOCK_TIME_IS_VALID(frame.pts)) return {};
  const GstClockTime duration = duration_of(frame);
  last_pts_ = frame.pts;
  std::string text = text_of(*frame.analysis, content);
  std::optional<TextSpan> span;
  const bool speaks = !text.empty() && segment_.rate > 0;
  if (speaks) span = cue(frame, duration, std::move(text));
  speaking_ = speaks;
  return span ? span : silence(frame.pts, frame.pts + duration);
}

std::optional<TextSpan> TextTrack::gap(GstClockTime start, GstClockTime duration) {
  if (segment_.format != GST_FORMAT_TIME || !GST_CLOCK_TIME_IS_VALID(start)) return {};
  return silence(start, start + (GST_CLOCK_TIME_IS_VALID(duration) ? duration : 1));
}

GstClockTime TextTrack::duration_of(const TextFrame &frame) const {
  if (GST_CLOCK_TIME_IS_VALID(frame.duration) && frame.duration > 0) return frame.duration;
  if (GST_CLOCK_TIME_IS_VALID(last_pts_) && frame.pts > last_pts_) return frame.pts - last_pts_;
  return kUsualDuration;
}

std::optional<TextSpan> TextTrack::cue(const TextFrame &frame, GstClockTime duration,
                                       std::string text) {
  const FrameAnalysis &analysis = *frame.analysis;
  const bool is_new = analysis.serial != serial_ || !GST_CLOCK_TIME_IS_VALID(first_);
  if (is_new) {
    if (GST_CLOCK_TIME_IS_VALID(first_) && frame.pts > first_) interval_ = frame.pts - first_;
    serial_ = analysis.serial;
    first_ = frame.pts;
  } else if (frame.pts < end_) {
    return {};
  }

  // How long results take: as the last one did, or as this one already does.
  const GstClockTime taken = std::max(interval_, frame.pts > first_ ? frame.pts - first_ : 0);
  GstClockTime length = std::max({frame.period, duration, std::min(taken, kPatience)});
  if (!is_new) length = std::max(duration, std::min(length, kPatience));

  GstClockTime end = sum(frame.pts, length);
  if (GST_CLOCK_TIME_IS_VALID(frame.max_age) && GST_CLOCK_TIME_IS_VALID(analysis.sample_pts)) {
    const GstClockTime expiry = sum(analysis.sample_pts, frame.max_age);
    end = std::min(end, sum(std::max(expiry, frame.pts), duration));
  }
  GstClockTime start = !is_new && speaking_ ? end_ : std::max(frame.pts, end_);
  if (!clip(start, end)) return {};
  end_ = end;
  position_ = start;
  return TextSpan{start, end, std::move(text)};
}

std::optional<TextSpan> TextTrack::silence(GstClockTime start, GstClockTime end) {
  if (start < end_) end = std::min(end, end_);
  start = std::max(start, position_);
  if (!clip(start, end)) return {};
  position_ = end;
  return TextSpan{start, end, {}};
}

// To what is in the segment; false: nothing is.
bool TextTrack::clip(GstClockTime &start, GstClockTime &end) const {
  start = std::max(start, segment_.start);
  if (GST_CLOCK_TIME_IS_VALID(segment_.stop)) end = std::min(end, segment_.stop);
  return start < end;
}

}  // namespace moondream
