// What must not be shown, and whether a frame's result says that it is.
// Thread-safety: values; functions are safe.
#pragma once

#include <gst/gst.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gstmoondreammeta.h"

namespace moondream::moderation {

// A question and the answers to it that mean stop.
struct AnswerRule {
  std::string question;  // as it was asked, but for case and space around it; empty: any question
  std::vector<std::string> answers;

  bool operator==(const AnswerRule &) const = default;
};

struct Rules {
  std::vector<std::string> labels;  // of objects and points
  double min_score = 0;             // [0, 1], of those
  std::vector<AnswerRule> answers;
  GstClockTime max_age = GST_CLOCK_TIME_NONE;  // of a result that says anything; NONE: no limit

  bool empty() const { return labels.empty() && answers.empty(); }
};

// The items of a list that commas separate, without space around them; empty ones are dropped.
std::vector<std::string> split_list(std::string_view list);

// A GstValueArray of structures with a string "question", which may be absent, and "answers", a
// GstValueArray of strings or a single one. A boolean stands for yes and true, or no and false.
// Throws Error{kSettings} for anything else.
std::vector<AnswerRule> parse_answer_rules(const GValue *array);

// The reverse; `array` is an empty GstValueArray.
void write_answer_rules(const std::vector<AnswerRule> &rules, GValue *array);

// Whether `answer`, a text of the model, begins with the words of `stop`, whatever their case, and
// the space and punctuation between them: "yes" is in "Yes, a knife." and not in "Yesterday".
bool answer_begins_with(std::string_view answer, std::string_view stop);

// What of a result matched a rule.
struct Trigger {
  enum class Kind { kObject, kPoint, kAnswer };

  Kind kind = Kind::kObject;
  std::string subject;  // label, or question
  std::string answer;   // of the model, to a question
  double score = 1;     // [0, 1], the highest; 1 for answers
};

struct Verdict {
  enum class Kind {
    kClean,    // no rule matches
    kStop,     // one does
    kUnknown,  // nobody can say, see `reason`
  };

  Kind kind = Kind::kUnknown;
  // Of kUnknown: "no-result" (no filter has seen the frame), "pending", "failed", "too-old",
  // "unanswered" (a rule's question was not asked, and no other rule matches).
  std::string reason;
  std::vector<Trigger> triggers;  // of kStop: one for each label and question
  guint64 serial = 0;             // of the result
};

// Of a frame that carries `analysis`, or nothing.
Verdict judge(const std::optional<FrameAnalysis> &analysis, const Rules &rules);

// Adds to `all` those of `more` that are new; others raise the score.
void merge(std::vector<Trigger> &all, const std::vector<Trigger> &more);

}  // namespace moondream::moderation
