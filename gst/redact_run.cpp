#include "redact_run.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "gstmoondreamerror.h"
#include "mapped_frame.h"

GST_DEBUG_CATEGORY_EXTERN(gst_moondream_redact_debug);
#define GST_CAT_DEFAULT gst_moondream_redact_debug

namespace moondream::redact {
namespace {

using namespace std::chrono_literals;

// How long the audit's reader may take for what is left at EOS.
constexpr auto kAuditPatience = 5s;

GstClockTime distance(GstClockTimeDiff a, GstClockTimeDiff b) {
  return static_cast<GstClockTime>(a < b ? b - a : a - b);
}

// When what was seen was where the boxes of a frame say.
GstClockTimeDiff seen_at(GstClockTimeDiff time, const Findings &findings) {
  return findings.moves ? time : time - static_cast<GstClockTimeDiff>(findings.age);
}

// Whether frames of the two may show different pictures: anything but their pace.
bool differ(StoredFrame a, const StoredFrame &b) {
  a.info.fps_n = b.info.fps_n;
  a.info.fps_d = b.info.fps_d;
  return a.whole_height != b.whole_height || !gst_video_info_is_equal(&a.info, &b.info);
}

}  // namespace

RedactRun::RedactRun(GstElement *element, GstPad *src, std::function<Settings()> settings,
                     std::shared_ptr<LineWriter> writer, std::shared_ptr<Counters> counters)
    : element_(element),
      src_(src),
      settings_(std::move(settings)),
      writer_(std::move(writer)),
      counters_(std::move(counters)),
      hold_(settings_().hold_before) {
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
}

RedactRun::~RedactRun() { clear(); }

guint RedactRun::held_frames() const {
  if (hold_ == 0 || !stored_ || GST_VIDEO_INFO_FPS_N(&stored_->info) <= 0) return 0;
  return 1 + static_cast<guint>(gst_util_uint64_scale_ceil(
                 hold_, static_cast<guint64>(GST_VIDEO_INFO_FPS_N(&stored_->info)),
                 static_cast<guint64>(GST_VIDEO_INFO_FPS_D(&stored_->info)) * GST_SECOND));
}

// ---- In --------------------------------------------------------------------------------------

// Frames without PTS are taken to be at the time of the one before. In reverse playback time runs
// backwards, and what is held is covered by what comes later all the same.
GstClockTimeDiff RedactRun::time_of(GstClockTime pts) const {
  if (!GST_CLOCK_TIME_IS_VALID(pts)) return now_.value_or(0);
  const auto time = static_cast<GstClockTimeDiff>(pts);
  return segment_.rate < 0 ? -time : time;
}

GstFlowReturn RedactRun::chain(BufferPtr buffer) {
  ++counters_->frames;
  if (!stored_) return GST_FLOW_NOT_NEGOTIATED;
  const Settings settings = settings_();
  Held held;
  held.findings = find(buffer.get(), stored_->info, settings);
  held.time = time_of(GST_BUFFER_PTS(buffer.get()));
  held.bytes = gst_buffer_get_size(buffer.get());
  held.buffer = std::move(buffer);
  check_picture(held);
  if (hold_ == 0) {
    now_ = held.time;
    return finish(std::move(held));
  }
  // Time that goes back says nothing of the frames that wait.
  if (now_ && held.time < *now_) {
    const GstFlowReturn flow = drain();
    if (flow != GST_FLOW_OK) return flow;
  }
  now_ = held.time;
  held_bytes_ += held.bytes;
  held_.push_back(std::move(held));
  while (held_bytes_ > settings.max_bytes && held_.size() > 1) {
    const GstFlowReturn flow = release_front(Missing::kNoRoom);
    if (flow != GST_FLOW_OK) return flow;
  }
  return release_due();
}

// A result that an element upstream still holds from before new caps is about another picture.
void RedactRun::check_picture(Held &held) {
  if (std::exchange(new_picture_, false)) picture_since_ = held.time;
  Findings &findings = held.findings;
  if (!picture_since_ || !findings.status || findings.missing != Missing::kNothing) return;
  if (held.time - static_cast<GstClockTimeDiff>(findings.age) < *picture_since_ ||
      findings.age_is_unknown)
    findings.missing = Missing::kPending;
}

// False if they are those that were, but for the pace.
bool RedactRun::set_caps(GstEvent *event) {
  GstCaps *caps;
  gst_event_parse_caps(event, &caps);
  GstVideoInfo info;
  const bool understood = gst_video_info_from_caps(&info, caps);
  const auto next = understood ? std::optional(stored_frame(info)) : std::nullopt;
  if (next && stored_ && !differ(*stored_, *next)) {
    stored_ = next;
    return false;
  }
  drain();
  if (stored_) new_picture_ = true;
  stored_.reset();
  results_.clear();
  if (!next) throw FrameError("The video format is not understood.");
  planes_.emplace(next->info);
  stored_ = next;
  return true;
}

// What comes behind says nothing of what waits: it is about another picture, or another time. That
// is not so where the stream ends, be it for now: what waits then has waited for all there is.
bool RedactRun::serialized_event(EventPtr event) {
  switch (GST_EVENT_TYPE(event.get())) {
    case GST_EVENT_CAPS:
      if (!set_caps(event.get())) return keep_in_order(std::move(event));
      break;
    case GST_EVENT_SEGMENT: {
      const GstSegment *segment;
      gst_event_parse_segment(event.get(), &segment);
      if (gst_segment_is_equal(segment, &segment_)) return keep_in_order(std::move(event));
      drain();
      gst_segment_copy_into(segment, &segment_);
      results_.clear();
      picture_since_.reset();
      now_.reset();
      break;
    }
    case GST_EVENT_EOS:
      release_all(Missing::kNothing);
      if (writer_ && !writer_->flush(kAuditPatience) && settings_().audit_required)
        throw OutputError(GST_RESOURCE_ERROR_WRITE,
                          "The audit log could not be written to its end.");
      break;
    case GST_EVENT_STREAM_START:
    case GST_EVENT_SEGMENT_DONE:
      release_all(Missing::kNothing);
      break;
    case GST_EVENT_FLUSH_STOP:
      clear();
      gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
      break;
    case GST_EVENT_GAP: {
      GstClockTime time, duration;
      gst_event_parse_gap(event.get(), &time, &duration);
      if (hold_ == 0 || !GST_CLOCK_TIME_IS_VALID(time)) break;
      if (GST_CLOCK_TIME_IS_VALID(duration)) time += segment_.rate < 0 ? 0 : duration;
      now_ = std::max(now_.value_or(time_of(time)), time_of(time));
      held_.push_back({.event = std::move(event), .buffer = {}, .findings = {}});
      return release_due() == GST_FLOW_OK;
    }
    default:
      return keep_in_order(std::move(event));
  }
  return gst_pad_push_event(src_, event.release());
}

bool RedactRun::keep_in_order(EventPtr event) {
  if (held_.empty()) return gst_pad_push_event(src_, event.release());
  held_.push_back({.event = std::move(event), .buffer = {}, .findings = {}});
  return true;
}

GstFlowReturn RedactRun::drain() { return release_all(Missing::kCutShort); }

// `early` is said of frames whose wait is not over.
GstFlowReturn RedactRun::release_all(Missing early) {
  GstFlowReturn flow = GST_FLOW_OK;
  while (!held_.empty() && flow == GST_FLOW_OK) flow = release_front(early);
  // Nobody wants the others, and they must not come behind what follows.
  if (flow != GST_FLOW_OK) clear();
  return flow;
}

void RedactRun::clear() {
  for (const Held &held : held_) counters_->flushed += held.buffer ? 1 : 0;
  held_.clear();
  held_bytes_ = 0;
  results_.clear();
  now_.reset();
  new_picture_ = false;
  picture_since_.reset();
  dropped_ = false;
}

// ---- Out -------------------------------------------------------------------------------------

// A frame leaves when what was seen `hold_` after it has come in; an event when it is the first.
bool RedactRun::is_due(const Held &held) const {
  return held.event || held.time + static_cast<GstClockTimeDiff>(hold_) <= now_.value_or(0);
}

GstFlowReturn RedactRun::release_due() {
  while (!held_.empty() && is_due(held_.front())) {
    const GstFlowReturn flow = release_front(Missing::kNothing);
    // What is left waits for the flush that must come, or for the end.
    if (flow != GST_FLOW_OK) return flow;
  }
  return GST_FLOW_OK;
}

// A frame that leaves early has not been looked at from behind, as hold-before promises.
GstFlowReturn RedactRun::release_front(Missing early) {
  Held held = std::move(held_.front());
  held_.pop_front();
  held_bytes_ -= held.bytes;
  if (held.event) {
    gst_pad_push_event(src_, held.event.release());
    return GST_FLOW_OK;
  }
  if (held.findings.missing == Missing::kNothing && !is_due(held)) held.findings.missing = early;
  return finish(std::move(held));
}

Plan RedactRun::plan_of(const Held &held, const Settings &settings) const {
  Plan plan(settings, GST_VIDEO_INFO_WIDTH(&stored_->info), GST_VIDEO_INFO_HEIGHT(&stored_->info));
  const auto zones = parse_zones(settings.zones);
  // The property takes no bad text while the element runs.
  if (!zones) throw Error(ErrorKind::kSettings, "The zones are not understood.");
  plan.add_zones(*zones);
  plan.add_findings(held.findings, held.findings.age);

  std::set<guint64> serials = {held.findings.serial};
  for (const Held &later : held_) {
    if (!later.buffer || later.findings.missing != Missing::kNothing) continue;
    const Findings &findings = later.findings;
    const bool own_boxes = findings.moves || findings.serial == 0;
    if (!own_boxes && !serials.insert(findings.serial).second) continue;
    const GstClockTimeDiff seen = seen_at(later.time, findings);
    if (seen > held.time + static_cast<GstClockTimeDiff>(hold_)) continue;
    const GstClockTime apart = distance(seen, held.time);
    plan.add_findings(findings, findings.moves ? std::max(findings.age, apart) : apart);
  }
  if (hold_ > 0) add_ways(plan, held);
  return plan;
}

// By the first frame with each result: where it is moved, that is nearest to what was seen.
void RedactRun::add_ways(Plan &plan, const Held &held) const {
  const Findings &own = held.findings;
  const bool enough = own.missing == Missing::kNothing;
  std::vector<Sighting> before, after;
  const bool known = !results_.empty() && results_.back().findings.serial == own.serial;
  if (enough && !known) before.push_back({&own, own.age});
  for (auto result = results_.rbegin(); result != results_.rend(); ++result)
    before.push_back({&result->findings, distance(result->time, held.time)});
  guint64 serial = own.serial;
  for (const Held &later : held_) {
    if (!later.buffer || later.findings.missing != Missing::kNothing) continue;
    if (std::exchange(serial, later.findings.serial) == later.findings.serial) continue;
    after.push_back({&later.findings, distance(seen_at(later.time, later.findings), held.time)});
  }
  plan.add_ways(before, after, enough && own.age == 0);
}

void RedactRun::remember(const Held &held) {
  if (hold_ == 0 || held.findings.missing != Missing::kNothing || held.findings.serial == 0) return;
  if (results_.empty() || results_.back().findings.serial != held.findings.serial)
    results_.push_back({held.findings, seen_at(held.time, held.findings)});
  while (results_.size() > 1 && distance(results_.front().time, held.time) > hold_)
    results_.pop_front();
}

GstFlowReturn RedactRun::finish(Held held) {
  const Settings settings = settings_();
  const Missing missing = held.findings.missing;
  ++counters_->missing[static_cast<std::size_t>(missing)];
  const bool enough = missing == Missing::kNothing;
  if (missing == Missing::kUnplaced && !std::exchange(unplaced_, true)) warn_of_unplaced();
  if (!enough) {
    GST_LOG_OBJECT(element_, "%s: %" GST_PTR_FORMAT, to_string(missing), held.buffer.get());
    if (settings.on_missing == OnMissing::kError) {
      GST_ELEMENT_ERROR(element_, STREAM, FAILED,
                        ("Too little is known of a frame to redact it: %s.", to_string(missing)),
                        ("on-missing is error: %" GST_PTR_FORMAT, held.buffer.get()));
      return GST_FLOW_ERROR;
    }
    if (settings.on_missing == OnMissing::kDrop) return drop(held);
  }
  const bool cover = !enough && settings.on_missing == OnMissing::kCover;
  const Plan plan = plan_of(held, settings);
  remember(held);
  std::vector<PlannedRegion> regions;
  if (!cover) regions = plan.regions();
  // What lies outside of the frame is no reason to copy it.
  std::erase_if(regions, [&](const PlannedRegion &planned) {
    const Region grown = planes_->grown(planned.region);
    return grown.x_min >= grown.x_max;
  });

  if (cover || !regions.empty() || dropped_)
    held.buffer.reset(gst_buffer_make_writable(held.buffer.release()));
  if (cover || !regions.empty()) redact(held.buffer.get(), regions, cover, settings);
  if (std::exchange(dropped_, false))
    GST_BUFFER_FLAG_SET(held.buffer.get(), GST_BUFFER_FLAG_DISCONT);
  const Action action = cover ? Action::kCover : regions.empty() ? Action::kPass : Action::kRedact;
  audit(held, action, regions, settings);
  ++(cover ? counters_->covered : regions.empty() ? counters_->passed : counters_->redacted);
  counters_->regions += regions.size();
  return gst_pad_push(src_, held.buffer.release());
}

// Once: it is a matter of how the pipeline is built, and concerns every frame.
void RedactRun::warn_of_unplaced() {
  GST_ELEMENT_WARNING(element_, STREAM, FORMAT,
                      ("Where things are on a frame is not known: an element between "
                       "moondreamfilter and this one may have cropped, flipped or padded it."),
                      ("frames are dealt with as on-missing says"));
}

GstFlowReturn RedactRun::drop(const Held &held) {
  ++counters_->dropped;
  dropped_ = true;
  audit(held, Action::kDrop, {}, settings_());
  // Whoever waits downstream for the first frame, or for this one, hears that there is none.
  const GstClockTime pts = GST_BUFFER_PTS(held.buffer.get());
  if (GST_CLOCK_TIME_IS_VALID(pts))
    gst_pad_push_event(src_, gst_event_new_gap(pts, GST_BUFFER_DURATION(held.buffer.get())));
  return GST_FLOW_OK;
}

void RedactRun::redact(GstBuffer *buffer, const std::vector<PlannedRegion> &regions, bool cover,
                       const Settings &settings) {
  // Memory that others see, too, is copied by this.
  MappedFrame frame(*stored_, buffer, GST_MAP_READWRITE);
  if (cover) {
    planes_->cover(frame.get(), settings.colour);
    return;
  }
  for (const PlannedRegion &planned : regions) {
    const Region &region = planned.region;
    switch (settings.style) {
      case Style::kSolid:
        planes_->fill(frame.get(), region, settings.colour);
        break;
      case Style::kPixelate:
        planes_->pixelate(frame.get(), region, block_of(region, settings));
        break;
      case Style::kBlur:
        // Cells of half the side, so that there is as much left of the picture as in a mosaic.
        planes_->blur(frame.get(), region, (block_of(region, settings) + 1) / 2);
        break;
    }
  }
}

void RedactRun::audit(const Held &held, Action action, const std::vector<PlannedRegion> &regions,
                      const Settings &settings) {
  if (!writer_) return;
  const FramePlace place =
      place_of(GST_BUFFER_PTS(held.buffer.get()), segment_, GST_VIDEO_INFO_WIDTH(&stored_->info),
               GST_VIDEO_INFO_HEIGHT(&stored_->info));
  const bool queued =
      writer_->write(audit_line(place, action, held.findings, settings.style, regions, *planes_));
  if (settings.audit_required && writer_->stats().dropped > 0) {
    throw OutputError(GST_RESOURCE_ERROR_WRITE,
                      "A line of the audit log could not be written, and audit-required is set.");
  }
  // Failed writes post a warning of their own.
  if (!queued && !audit_failing_) {
    post_warning(element_,
                 to_failure(OutputError(GST_RESOURCE_ERROR_WRITE,
                                        "The audit log is not written fast enough: lines are "
                                        "left out.")),
                 "LineWriter::write()");
  }
  audit_failing_ = !queued;
}

}  // namespace moondream::redact
