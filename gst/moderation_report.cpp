#include "moderation_report.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace moondream::moderation {
namespace {

using Json = nlohmann::ordered_json;

const char *to_string(Trigger::Kind kind) {
  switch (kind) {
    case Trigger::Kind::kObject:
      return "object";
    case Trigger::Kind::kPoint:
      return "point";
    case Trigger::Kind::kAnswer:
      return "answer";
  }
  return "";
}

void set_times(GstStructure *structure, const std::string &prefix, const FramePlace &place) {
  gst_structure_set(structure, (prefix + "-pts").c_str(), G_TYPE_UINT64, place.pts,
                    (prefix + "-running-time").c_str(), G_TYPE_UINT64, place.running_time,
                    (prefix + "-stream-time").c_str(), G_TYPE_UINT64, place.stream_time, nullptr);
}

void append(GValue *array, GstStructure *structure) {
  GValue value = G_VALUE_INIT;
  g_value_init(&value, GST_TYPE_STRUCTURE);
  g_value_take_boxed(&value, structure);
  gst_value_array_append_and_take_value(array, &value);
}

GstStructure *to_structure(const Trigger &trigger) {
  GstStructure *structure = gst_structure_new(
      "trigger", "kind", G_TYPE_STRING, to_string(trigger.kind), "subject", G_TYPE_STRING,
      trigger.subject.c_str(), "score", G_TYPE_DOUBLE, trigger.score, nullptr);
  if (trigger.kind == Trigger::Kind::kAnswer)
    gst_structure_set(structure, "answer", G_TYPE_STRING, trigger.answer.c_str(), nullptr);
  return structure;
}

Json time(GstClockTime time) { return GST_CLOCK_TIME_IS_VALID(time) ? Json(time) : Json(nullptr); }

Json times(const FramePlace &place) {
  return {{"pts", time(place.pts)},
          {"running_time", time(place.running_time)},
          {"stream_time", time(place.stream_time)}};
}

Json to_json(const Trigger &trigger) {
  Json json = {{"kind", to_string(trigger.kind)}, {"subject", trigger.subject}};
  if (trigger.kind == Trigger::Kind::kAnswer) json["answer"] = trigger.answer;
  json["score"] = trigger.score;
  return json;
}

}  // namespace

GstStructure *to_structure(const Interval &interval, const char *name) {
  GstStructure *structure = gst_structure_new(name, "kind", G_TYPE_STRING, to_string(interval.kind),
                                              "frames", G_TYPE_UINT64, interval.frames, nullptr);
  set_times(structure, "begin", interval.begin);
  set_times(structure, "end", interval.end);
  gst_structure_set(structure, "since-stream-time", G_TYPE_UINT64, interval.since.stream_time,
                    nullptr);
  if (interval.kind == Interval::Kind::kUnknown)
    gst_structure_set(structure, "reason", G_TYPE_STRING, interval.reason.c_str(), nullptr);
  GValue triggers = G_VALUE_INIT;
  g_value_init(&triggers, GST_TYPE_ARRAY);
  for (const Trigger &trigger : interval.triggers) append(&triggers, to_structure(trigger));
  gst_structure_take_value(structure, "triggers", &triggers);
  return structure;
}

Json to_json(const Interval &interval, const char *action) {
  Json json = {{"kind", to_string(interval.kind)}, {"action", action},
               {"begin", times(interval.begin)},   {"end", times(interval.end)},
               {"since", times(interval.since)},   {"frames", interval.frames}};
  if (interval.kind == Interval::Kind::kUnknown) {
    json["reason"] = interval.reason;
  } else {
    json["triggers"] = Json::array();
    for (const Trigger &trigger : interval.triggers) json["triggers"].push_back(to_json(trigger));
  }
  return json;
}

void IntervalList::add(const Interval &interval) {
  if (intervals_.size() == kMost) {
    intervals_.pop_front();
    ++omitted_;
  }
  intervals_.push_back(interval);
}

GstStructure *IntervalList::take(const char *name) {
  GValue array = G_VALUE_INIT;
  g_value_init(&array, GST_TYPE_ARRAY);
  for (const Interval &interval : intervals_) append(&array, to_structure(interval, "interval"));
  GstStructure *structure =
      gst_structure_new(name, "omitted", G_TYPE_UINT64, std::exchange(omitted_, 0), nullptr);
  gst_structure_take_value(structure, "intervals", &array);
  intervals_.clear();
  return structure;
}

void IntervalList::clear() {
  intervals_.clear();
  omitted_ = 0;
}

}  // namespace moondream::moderation
